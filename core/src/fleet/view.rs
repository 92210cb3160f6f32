//! The local view of the claim protocol's records: marks, open, waiting and done.
//!
//! It lags behind the store and may be wrong for a while; every transaction compares versions, so a
//! wrong view costs a refused request and nothing else. A refusal is a reason to doubt the record it was
//! about: [`View::doubt`] forgets it until the store mentions it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::clock::Now;
use super::follow::{self, Follow};
use super::state::Shared;
use crate::backend::{
    DoneRecord, FireEvent, FireView, Mark, OpenRecord, OpenState, RecordSeen, Result, SessionId,
    Version, Versioned, WaitRecord,
};
use crate::job::JobName;
use crate::run::{RunId, RunKey};
use crate::time::Timestamp;

/// A stretch of time in which a job had open runs, by this worker's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    /// When the first of them was seen.
    pub(super) since: Timestamp,
    /// When the last of them was seen to be gone; `None` while one is there.
    pub(super) until: Option<Timestamp>,
}

/// The records of one job.
#[derive(Debug, Default)]
pub(super) struct JobRecords {
    pub(super) open: BTreeMap<RunKey, Versioned<OpenRecord>>,
    pub(super) wait: BTreeMap<RunKey, Versioned<WaitRecord>>,
    /// The current or the last stretch of being busy.
    pub(super) busy: Option<Busy>,
}

/// A done record and when this worker first saw it.
#[derive(Debug)]
pub(super) struct SeenDone {
    pub(super) record: Arc<Versioned<DoneRecord>>,
    pub(super) since: Instant,
}

/// All records, as far as this worker knows.
#[derive(Debug, Default)]
pub(super) struct View {
    marks: BTreeMap<JobName, Versioned<Mark>>,
    jobs: BTreeMap<JobName, JobRecords>,
    pub(super) done: BTreeMap<(JobName, RunKey), SeenDone>,
    /// Whether a snapshot has been read.
    pub(super) synced: bool,
    /// The defect [`super::FleetMutant::MarkFromLateEvent`].
    late_marks: bool,
}

impl View {
    pub(super) fn new(late_marks: bool) -> Self {
        Self {
            late_marks,
            ..Self::default()
        }
    }

    pub(super) fn mark(&self, job: &JobName) -> Option<&Versioned<Mark>> {
        self.marks.get(job)
    }

    pub(super) fn records(&self, job: &JobName) -> Option<&JobRecords> {
        self.jobs.get(job)
    }

    /// Jobs that have open or waiting records.
    pub(super) fn busy_jobs(&self) -> impl Iterator<Item = &JobName> {
        let has_any = |records: &JobRecords| !records.open.is_empty() || !records.wait.is_empty();
        self.jobs
            .iter()
            .filter(move |(_, records)| has_any(records))
            .map(|(job, _)| job)
    }

    /// The sessions that own open runs.
    pub(super) fn owners(&self) -> BTreeSet<SessionId> {
        self.jobs
            .values()
            .flat_map(|records| records.open.values())
            .filter_map(|open| owner(&open.value).cloned())
            .collect()
    }

    /// The jobs with open runs of this session.
    pub(super) fn owned_by<'a>(
        &'a self,
        session: &'a SessionId,
    ) -> impl Iterator<Item = &'a JobName> {
        self.jobs
            .iter()
            .filter(move |(_, records)| {
                let mut owners = records.open.values().filter_map(|open| owner(&open.value));
                owners.any(|owner| owner == session)
            })
            .map(|(job, _)| job)
    }

    /// The job that has an open or waiting record of this run.
    pub(super) fn job_of(&self, run: &RunId) -> Option<&JobName> {
        self.jobs
            .iter()
            .find(|(job, records)| {
                let mut keys = records.open.keys().chain(records.wait.keys());
                keys.any(|key| RunId::of(job, key) == *run)
            })
            .map(|(job, _)| job)
    }

    /// Takes a snapshot over; returns the jobs it may have changed.
    pub(super) fn replace(&mut self, view: FireView, now: Now) -> BTreeSet<JobName> {
        let mut touched: BTreeSet<JobName> = self.busy_jobs().cloned().collect();
        for (job, mark) in &view.marks {
            if self.marks.get(job) != Some(mark) {
                touched.insert(job.clone());
            }
        }
        self.marks = view.marks.into_iter().collect();
        let busy = std::mem::take(&mut self.jobs);
        for (job, records) in busy {
            if let Some(busy) = records.busy {
                self.jobs.entry(job).or_default().busy = Some(busy);
            }
        }
        for open in view.open {
            touched.insert(open.value.job.clone());
            self.put_open(open, now.wall);
        }
        for wait in view.wait {
            touched.insert(wait.value.job.clone());
            let records = self.jobs.entry(wait.value.job.clone()).or_default();
            records.wait.insert(wait.value.key.clone(), wait);
        }
        for job in &touched {
            self.note_free(job, now.wall);
        }
        let mut old = std::mem::take(&mut self.done);
        for done in view.done {
            let id = (done.value.job.clone(), done.value.key.clone());
            let since = old.remove(&id).map_or(now.mono, |seen| seen.since);
            let record = Arc::new(done);
            self.done.insert(id, SeenDone { record, since });
        }
        self.synced = true;
        touched
    }

    /// Applies an event; returns the job it may have changed.
    pub(super) fn apply(&mut self, event: FireEvent, now: Now) -> Option<JobName> {
        match event {
            FireEvent::Mark(job, mark) => self.put_mark(&job, mark).then_some(job),
            FireEvent::MarkGone(job, version) => {
                let newer = self.marks.get(&job)?.version > version;
                (!newer).then(|| {
                    self.marks.remove(&job);
                    job
                })
            }
            FireEvent::Open(open) => {
                let job = open.value.job.clone();
                let old = self
                    .jobs
                    .get(&job)
                    .and_then(|r| r.open.get(&open.value.key));
                let newer = old.is_none_or(|old| old.version < open.version);
                newer.then(|| {
                    self.put_open(open, now.wall);
                    job
                })
            }
            FireEvent::OpenGone(seen) => {
                let open = &mut self.jobs.get_mut(&seen.job)?.open;
                remove_seen(open, &seen, |open| open.version);
                self.note_free(&seen.job, now.wall);
                Some(seen.job)
            }
            FireEvent::Wait(wait) => {
                let job = wait.value.job.clone();
                let records = self.jobs.entry(job.clone()).or_default();
                records.wait.insert(wait.value.key.clone(), wait);
                Some(job)
            }
            FireEvent::WaitGone(seen) => {
                let wait = &mut self.jobs.get_mut(&seen.job)?.wait;
                remove_seen(wait, &seen, |wait| wait.version);
                Some(seen.job)
            }
            FireEvent::Done(done) => {
                let id = (done.value.job.clone(), done.value.key.clone());
                let record = Arc::new(*done);
                let since = now.mono;
                self.done.entry(id).or_insert(SeenDone { record, since });
                None
            }
            FireEvent::DoneGone(seen) => {
                self.done.remove(&(seen.job, seen.key));
                None
            }
            FireEvent::Progress => None,
        }
    }

    /// The store refused a request that rested on this record: it is not what we think.
    pub(super) fn doubt(&mut self, seen: &RecordSeen, now: Timestamp) {
        if let Some(records) = self.jobs.get_mut(&seen.job) {
            remove_seen(&mut records.open, seen, |open| open.version);
            remove_seen(&mut records.wait, seen, |wait| wait.version);
            self.note_free(&seen.job, now);
        }
    }

    /// Our own decision has moved the mark; the event will follow.
    pub(super) fn advance_mark(&mut self, job: &JobName, to: Timestamp) {
        if let Some(mark) = self.marks.get_mut(job) {
            mark.value.at = mark.value.at.max(to);
        }
    }

    /// Takes a mark over if it is newer; false if it is not. An event may be older than our own decision,
    /// which has moved the mark further.
    pub(super) fn put_mark(&mut self, job: &JobName, mut mark: Versioned<Mark>) -> bool {
        if let Some(old) = self.marks.get(job) {
            if old.version >= mark.version {
                return false;
            }
            if old.value.generation == mark.value.generation && !self.late_marks {
                mark.value.at = mark.value.at.max(old.value.at);
            }
        }
        self.marks.insert(job.clone(), mark);
        true
    }

    fn put_open(&mut self, open: Versioned<OpenRecord>, now: Timestamp) {
        let records = self.jobs.entry(open.value.job.clone()).or_default();
        records.open.insert(open.value.key.clone(), open);
        match &records.busy {
            Some(busy) if busy.until.is_none() => {}
            _ => {
                records.busy = Some(Busy {
                    since: now,
                    until: None,
                });
            }
        }
    }

    fn note_free(&mut self, job: &JobName, now: Timestamp) {
        if let Some(records) = self.jobs.get_mut(job)
            && records.open.is_empty()
            && let Some(busy) = &mut records.busy
        {
            busy.until.get_or_insert(now);
        }
    }
}

/// Removes a record unless it is newer than what was seen.
fn remove_seen<R>(
    records: &mut BTreeMap<RunKey, R>,
    seen: &RecordSeen,
    version: impl Fn(&R) -> Version,
) {
    if records
        .get(&seen.key)
        .is_some_and(|record| version(record) <= seen.version)
    {
        records.remove(&seen.key);
    }
}

/// The session that owns an open run.
pub(super) fn owner(open: &OpenRecord) -> Option<&SessionId> {
    match &open.state {
        OpenState::Claimed { session, .. } => Some(session),
        OpenState::Waiting { .. } => None,
    }
}

/// Follows the feed of records.
#[derive(Debug)]
pub(super) struct FollowFires;

impl Follow for FollowFires {
    const WHAT: &'static str = "fires";

    async fn once(shared: &Arc<Shared>) -> Result<()> {
        let feed = &shared.coordination.feed;
        let (view, cursor) = follow::in_time(shared, "feed.snapshot", feed.snapshot()).await?;
        let mut events = follow::in_time(shared, "feed.watch", feed.watch(cursor)).await?;
        let now = shared.now();
        shared.update(|state| {
            let touched = state.view.replace(view, now);
            state.touch_all(touched);
            state.peers.expect(state.view.owners(), now.mono);
        });
        while let Some(event) = events.next().await {
            let (_, event) = event?;
            let now = shared.now();
            shared.update(|state| {
                if let FireEvent::Open(open) = &event
                    && let Some(session) = owner(&open.value)
                {
                    state.peers.expect([session.clone()], now.mono);
                }
                let is_news = state.is_news(&event);
                let touched = state.view.apply(event, now);
                state.touch_all(touched.filter(|_| is_news));
            });
        }
        Ok(())
    }
}
