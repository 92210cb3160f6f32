//! The local view of all jobs: what the planner plans with.
//!
//! It follows the job store by snapshot and watch. Events are hints: a version that is not newer is
//! dropped, and every so often a whole new snapshot replaces the view, whatever the watch said (S10).
//! A job whose record cannot be read makes no ticks, a job whose schedule cannot be read is never due, and
//! neither stops the others. The last readable definition is remembered: if the repair leaves the generation
//! as it was, the mark goes on from where it is, and ticks of the time in between are late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;

use super::follow::{self, Follow};
use super::state::Shared;
use crate::backend::{BrokenJob, Generation, JobEvent, Pinned, Result, StoredJob, Version};
use crate::job::{Job, JobName, ScheduleSpec};
use crate::schedule::{Schedule, ScheduleError, Timetable, parse_zone};
use crate::time::Timestamp;

/// When a job is due, ready to be asked.
#[derive(Clone, Debug)]
pub(super) enum Timing {
    /// It has no schedule, or is not enabled.
    Never,
    /// By this.
    Table(Arc<Timetable>),
    /// Its schedule cannot be read.
    Broken(String),
}

impl Timing {
    fn of(job: &Job) -> Self {
        match &job.schedule {
            Some(spec) if job.enabled => match timetable(spec) {
                Ok(table) => Self::Table(Arc::new(table)),
                Err(error) => Self::Broken(error.to_string()),
            },
            _ => Self::Never,
        }
    }

    /// The timetable, if there is one.
    pub(super) fn table(&self) -> Option<&Timetable> {
        match self {
            Self::Table(table) => Some(table),
            Self::Never | Self::Broken(_) => None,
        }
    }
}

fn timetable(spec: &ScheduleSpec) -> std::result::Result<Timetable, ScheduleError> {
    let schedule = Schedule::parse(&spec.expr, spec.dialect)?;
    let zone = parse_zone(&spec.time_zone)?;
    Timetable::new(schedule, zone, spec.dst, spec.starts_at, spec.ends_at)
}

/// One job of the catalogue.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// As stored.
    pub(super) stored: StoredJob,
    /// The generation that its mark should have.
    pub(super) generation: Generation,
    /// When it is due.
    pub(super) timing: Timing,
    /// The definition before the last change of generation within this life of the name: whoever adopts the
    /// change knows by it which ticks were owed.
    pub(super) previous: Option<(Generation, Timing)>,
}

impl Entry {
    pub(super) fn new(stored: StoredJob, before: Option<&Self>) -> Self {
        let generation = Generation::of(&stored.job, stored.created);
        let (timing, previous) = match before {
            Some(old) if old.generation == generation => (old.timing.clone(), old.previous.clone()),
            Some(old) if old.stored.created == stored.created => (
                Timing::of(&stored.job),
                Some((old.generation, old.timing.clone())),
            ),
            _ => (Timing::of(&stored.job), None),
        };
        Self {
            stored,
            generation,
            timing,
            previous,
        }
    }

    /// When the job is due if its schedule is read in this zone, provided that its generation is then this one.
    pub(super) fn in_zone(&self, zone: &str, generation: Generation) -> Option<Timing> {
        let mut job = Job::clone(&self.stored.job);
        zone.clone_into(&mut job.schedule.as_mut()?.time_zone);
        let is_it = Generation::of(&job, self.stored.created) == generation;
        is_it.then(|| Timing::of(&job))
    }

    /// The job as a claim of now would pin it.
    pub(super) fn pinned(&self) -> Pinned {
        Pinned {
            job: Arc::clone(&self.stored.job),
            version: self.stored.version,
        }
    }
}

/// A job whose record cannot be read.
#[derive(Debug)]
struct Broken {
    record: BrokenJob,
    /// As it was when it could be read last.
    before: Option<Entry>,
}

/// What the catalogue has under a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Definition<'a> {
    /// A job.
    Known(&'a Entry),
    /// A record that cannot be read: the job is there, but nobody knows what it is.
    Broken(&'a BrokenJob),
    /// Nothing.
    Gone,
}

impl Definition<'_> {
    /// The version of what is there.
    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Self::Known(entry) => Some(entry.stored.version),
            Self::Broken(record) => Some(record.version),
            Self::Gone => None,
        }
    }
}

/// All jobs, as far as this worker knows.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    jobs: BTreeMap<JobName, Entry>,
    broken: BTreeMap<JobName, Broken>,
    /// Whether a snapshot has been read.
    pub(super) synced: bool,
}

impl Catalog {
    pub(super) fn get(&self, name: &JobName) -> Option<&Entry> {
        self.jobs.get(name)
    }

    pub(super) fn definition(&self, name: &JobName) -> Definition<'_> {
        match (self.jobs.get(name), self.broken.get(name)) {
            (Some(entry), _) => Definition::Known(entry),
            (None, Some(broken)) => Definition::Broken(&broken.record),
            (None, None) => Definition::Gone,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&JobName, &Entry)> {
        self.jobs.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// The jobs whose records cannot be read.
    pub(super) fn broken(&self) -> impl ExactSizeIterator<Item = &BrokenJob> {
        self.broken.values().map(|broken| &broken.record)
    }

    /// Takes a snapshot over; returns the jobs that are not what they were.
    pub(super) fn replace(
        &mut self,
        jobs: Vec<StoredJob>,
        broken: Vec<BrokenJob>,
    ) -> BTreeSet<JobName> {
        let mut old = std::mem::take(self);
        let mut changed = BTreeSet::new();
        for stored in jobs {
            let name = stored.job.name.clone();
            match old.jobs.remove(&name) {
                Some(entry) if entry.stored.version == stored.version => {
                    self.jobs.insert(name, entry);
                }
                before => {
                    let before = before.or_else(|| old.take(&name));
                    changed.insert(name.clone());
                    self.jobs.insert(name, Entry::new(stored, before.as_ref()));
                }
            }
        }
        for record in broken {
            match old.broken.remove(&record.name) {
                Some(known) if known.record.version == record.version => {
                    self.broken.insert(record.name, known);
                }
                known => {
                    let before = known.and_then(|known| known.before);
                    let before = before.or_else(|| old.take(&record.name));
                    changed.insert(record.name.clone());
                    self.note_broken(record, before);
                }
            }
        }
        changed.extend(old.jobs.into_keys().chain(old.broken.into_keys()));
        self.synced = true;
        changed
    }

    /// Applies an event; returns the job if it is not what it was.
    pub(super) fn apply(&mut self, event: JobEvent) -> Option<JobName> {
        match event {
            JobEvent::Put(stored) => {
                let name = stored.job.name.clone();
                if self.version(&name) >= Some(stored.version) {
                    return None;
                }
                let before = self.take(&name);
                let entry = Entry::new(stored, before.as_ref());
                self.jobs.insert(name.clone(), entry);
                Some(name)
            }
            JobEvent::Broken(record) => {
                let name = record.name.clone();
                if self.version(&name) >= Some(record.version) {
                    return None;
                }
                let before = self.take(&name);
                self.note_broken(record, before);
                Some(name)
            }
            JobEvent::Deleted(name, version) => {
                let older = self.version(&name)? <= version;
                older.then(|| {
                    self.take(&name);
                    name
                })
            }
            JobEvent::Progress => None,
        }
    }

    fn version(&self, name: &JobName) -> Option<Version> {
        self.definition(name).version()
    }

    /// Removes what is there; returns the job as it was when it could be read last.
    fn take(&mut self, name: &JobName) -> Option<Entry> {
        let broken = self.broken.remove(name);
        let before = broken.and_then(|broken| broken.before);
        self.jobs.remove(name).or(before)
    }

    /// Said once for each version, since what is known already never comes here.
    fn note_broken(&mut self, record: BrokenJob, before: Option<Entry>) {
        let (job, version) = (record.name.as_str(), record.version.0);
        tracing::warn!(
            job,
            version,
            reason = record.reason,
            "a job cannot be read: it makes no ticks until it is saved anew or deleted"
        );
        let broken = Broken { record, before };
        self.broken.insert(broken.record.name.clone(), broken);
    }
}

/// Follows the job store.
#[derive(Debug)]
pub(super) struct FollowJobs;

impl Follow for FollowJobs {
    const WHAT: &'static str = "jobs";

    async fn once(shared: &Arc<Shared>) -> Result<()> {
        let store = &shared.coordination.jobs;
        let snapshot = follow::in_time(shared, "jobs.snapshot", store.snapshot()).await?;
        let mut events =
            follow::in_time(shared, "jobs.watch", store.watch(snapshot.cursor)).await?;
        shared.update(|state| {
            let changed = state.catalog.replace(snapshot.jobs, snapshot.broken);
            state.touch_all(changed);
        });
        while let Some(event) = events.next().await {
            let (_, event) = event?;
            shared.update(|state| {
                let changed = state.catalog.apply(event);
                state.touch_all(changed);
            });
        }
        Ok(())
    }
}

/// A job of the catalogue, as a server shows it.
#[derive(Clone, Debug)]
pub struct CatalogJob {
    /// As stored.
    pub stored: StoredJob,
    /// Why its schedule cannot be planned.
    pub broken: Option<String>,
    /// The next fire time after the moment of asking.
    pub next: Option<Timestamp>,
}

impl CatalogJob {
    pub(super) fn of(entry: &Entry, now: Timestamp) -> Self {
        Self {
            stored: entry.stored.clone(),
            broken: match &entry.timing {
                Timing::Broken(why) => Some(why.clone()),
                Timing::Never | Timing::Table(_) => None,
            },
            next: entry.timing.table().and_then(|table| table.next_after(now)),
        }
    }
}

#[cfg(test)]
mod tests;
