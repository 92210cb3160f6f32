//! The local view of all jobs: what the planner plans with.
//!
//! It follows the job store by snapshot and watch. Events are hints: a version that is not newer is
//! dropped, and every so often a whole new snapshot replaces the view, whatever the watch said (S10).
//! A job whose stored form cannot be planned is kept with the reason and never stops the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;

use super::follow::{self, Follow};
use super::state::Shared;
use crate::backend::{Generation, JobEvent, Result, StoredJob, Version};
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
}

/// All jobs, as far as this worker knows.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    jobs: BTreeMap<JobName, Entry>,
    /// Whether a snapshot has been read.
    pub(super) synced: bool,
}

impl Catalog {
    pub(super) fn get(&self, name: &JobName) -> Option<&Entry> {
        self.jobs.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&JobName, &Entry)> {
        self.jobs.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Takes a snapshot over; returns the jobs that are not what they were.
    pub(super) fn replace(&mut self, jobs: Vec<StoredJob>) -> BTreeSet<JobName> {
        let mut old = std::mem::take(&mut self.jobs);
        let mut changed = BTreeSet::new();
        for stored in jobs {
            let name = stored.job.name.clone();
            let before = old.remove(&name);
            match before {
                Some(entry) if entry.stored.version == stored.version => {
                    self.jobs.insert(name, entry);
                }
                before => {
                    changed.insert(name.clone());
                    self.jobs.insert(name, Entry::new(stored, before.as_ref()));
                }
            }
        }
        changed.extend(old.into_keys());
        self.synced = true;
        changed
    }

    /// Applies an event; returns the job if it is not what it was.
    pub(super) fn apply(&mut self, event: JobEvent) -> Option<JobName> {
        match event {
            JobEvent::Put(stored) => {
                let name = stored.job.name.clone();
                let before = self.jobs.get(&name);
                if before.is_some_and(|entry| entry.stored.version >= stored.version) {
                    return None;
                }
                let entry = Entry::new(stored, before);
                self.jobs.insert(name.clone(), entry);
                Some(name)
            }
            JobEvent::Deleted(name, version) => self.delete(name, version),
            JobEvent::Progress => None,
        }
    }

    fn delete(&mut self, name: JobName, version: Version) -> Option<JobName> {
        let newer = self.jobs.get(&name)?.stored.version > version;
        (!newer).then(|| {
            self.jobs.remove(&name);
            name
        })
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
            let changed = state.catalog.replace(snapshot.jobs);
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
