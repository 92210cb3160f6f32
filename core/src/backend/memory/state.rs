//! What the model holds, how it changes, and what of it expires.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::audit::Trail;
use super::docs::Documents;
use super::history::{Event, History};
use super::kv::Values;
use super::mutant::{Lens, StepOf, StoreMutant};
use super::outbox::Outbox;
use super::plugins::Plugins;
use super::runs::RunLog;
use crate::backend::protocol::{Change, Facts, REQUEST_LIFE, Step};
use crate::backend::{
    DoneRecord, FireEvent, JobRecord, Kill, Mark, OpenRecord, RecordSeen, Recording, Result, Seat,
    SessionEvent, SessionId, Version, Versioned, WaitRecord, WorkerInfo,
};
use crate::job::JobName;
use crate::policy::ConcurrencyPolicy;
use crate::run::{RunId, RunKey};
use crate::time::Timestamp;

/// How long a mark outlives its job, so that a job created again never repeats a tick.
const MARK_OUTLIVES_JOB: Duration = Duration::from_secs(7 * 24 * 3600);

/// An open session.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) info: WorkerInfo,
    pub(super) ttl: Duration,
    pub(super) deadline: Instant,
    pub(super) drain_asked: bool,
}

type Records<T> = BTreeMap<(JobName, RunKey), Versioned<T>>;

/// Everything the model holds.
#[derive(Debug)]
pub(super) struct State {
    pub(super) mutant: Option<StoreMutant>,
    /// The version of the last change.
    pub(super) revision: u64,
    pub(super) history: History,
    /// Grows when all watches are broken.
    pub(super) epoch: u64,
    pub(super) jobs: BTreeMap<JobName, JobRecord>,
    pub(super) sessions: BTreeMap<SessionId, Lease>,
    pub(super) sessions_opened: u64,
    pub(super) seat: Seat,
    pub(super) marks: BTreeMap<JobName, Versioned<Mark>>,
    /// Marks of deleted jobs, and when they go.
    pub(super) orphaned_marks: BTreeMap<JobName, Instant>,
    pub(super) open: Records<OpenRecord>,
    pub(super) wait: Records<WaitRecord>,
    pub(super) done: Records<DoneRecord>,
    pub(super) kills: BTreeMap<RunId, (Kill, Instant)>,
    pub(super) requests: BTreeMap<(JobName, String), Instant>,
    pub(super) docs: Documents,
    pub(super) runs: RunLog,
    pub(super) outbox: Outbox,
    pub(super) plugins: Plugins,
    pub(super) recordings: Vec<Recording>,
    pub(super) kv: Values,
    pub(super) audit: Trail,
}

impl State {
    pub(super) fn new(mutant: Option<StoreMutant>) -> Self {
        Self {
            mutant,
            revision: 0,
            history: History::default(),
            epoch: 0,
            jobs: BTreeMap::new(),
            sessions: BTreeMap::new(),
            sessions_opened: 0,
            seat: Seat::default(),
            marks: BTreeMap::new(),
            orphaned_marks: BTreeMap::new(),
            open: BTreeMap::new(),
            wait: BTreeMap::new(),
            done: BTreeMap::new(),
            kills: BTreeMap::new(),
            requests: BTreeMap::new(),
            docs: Documents::new(),
            runs: RunLog::default(),
            outbox: Outbox::default(),
            plugins: Plugins::default(),
            recordings: Vec::new(),
            kv: Values::default(),
            audit: Trail::new(),
        }
    }

    /// The version that the next change has.
    pub(super) fn next_version(&mut self) -> Version {
        self.revision += 1;
        Version(self.revision)
    }

    /// Runs a step of the protocol on what the store holds, and writes its changes at one new version.
    pub(super) fn step<T>(
        &mut self,
        of: StepOf,
        step: impl FnOnce(&dyn Facts, Version) -> Result<Step<T>>,
    ) -> Result<T> {
        let mut done = step(&Lens { state: self, of }, Version(self.revision + 1))?;
        if let Some(mutant) = self.mutant {
            mutant.tamper(of, &mut done.changes);
        }
        if !done.changes.is_empty() {
            let at = self.next_version();
            for change in done.changes {
                self.write(change, at);
            }
        }
        Ok(done.answer)
    }

    fn write(&mut self, change: Change, version: Version) {
        let gone = |job: &JobName, key: &RunKey| RecordSeen {
            job: job.clone(),
            key: key.clone(),
            version,
        };
        let event = match change {
            Change::Mark(job, value) => {
                let mark = Versioned { version, value };
                self.marks.insert(job.clone(), mark.clone());
                FireEvent::Mark(job, mark)
            }
            Change::Open(value) => {
                let open = Versioned { version, value };
                self.open.insert(of_open(&open.value), open.clone());
                FireEvent::Open(open)
            }
            Change::OpenGone(job, key) => {
                let event = FireEvent::OpenGone(gone(&job, &key));
                self.open.remove(&(job, key));
                event
            }
            Change::Wait(value) => {
                let wait = Versioned { version, value };
                let key = (wait.value.job.clone(), wait.value.key.clone());
                self.wait.insert(key, wait.clone());
                FireEvent::Wait(wait)
            }
            Change::WaitGone(job, key) => {
                let event = FireEvent::WaitGone(gone(&job, &key));
                self.wait.remove(&(job, key));
                event
            }
            Change::Done(value) => {
                let done = Versioned {
                    version,
                    value: *value,
                };
                let key = (done.value.job.clone(), done.value.key.clone());
                self.done.insert(key, done.clone());
                FireEvent::Done(Box::new(done))
            }
            Change::Request(job, id) => {
                self.requests
                    .insert((job, id), Instant::now() + REQUEST_LIFE);
                return;
            }
        };
        self.history.push(Event::Fire(event));
    }

    /// Drops what has expired by `now`.
    pub(super) fn expire(&mut self, now: Instant) {
        let gone: Vec<_> = (self.sessions.iter())
            .filter(|(_, lease)| lease.deadline <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for session in gone {
            self.end_session(&session);
        }
        self.kills.retain(|_, (_, until)| *until > now);
        self.requests.retain(|_, until| *until > now);
        let gone: Vec<_> = (self.orphaned_marks.iter())
            .filter(|(_, until)| **until <= now)
            .map(|(job, _)| job.clone())
            .collect();
        for job in gone {
            self.remove_mark(&job);
        }
    }

    /// Closes a session or lets it expire.
    pub(super) fn end_session(&mut self, session: &SessionId) {
        if self.sessions.remove(session).is_some() {
            let event = SessionEvent::Gone(session.clone());
            self.history.push(Event::Session(event));
        }
    }

    /// The mark of a deleted job stays for a while; that of a job created again stays for good.
    pub(super) fn job_lives(&mut self, job: &JobName, lives: bool) {
        self.orphaned_marks.remove(job);
        if lives {
            return;
        }
        if self.mutant == Some(StoreMutant::MarkDeletedWithJob) {
            self.remove_mark(job);
        } else if self.marks.contains_key(job) {
            self.orphaned_marks
                .insert(job.clone(), Instant::now() + MARK_OUTLIVES_JOB);
        }
    }

    fn remove_mark(&mut self, job: &JobName) {
        self.orphaned_marks.remove(job);
        if self.marks.remove(job).is_some() {
            let event = FireEvent::MarkGone(job.clone(), self.next_version());
            self.history.push(Event::Fire(event));
        }
    }

    /// Breaks all watches.
    pub(super) fn drop_watches(&mut self) {
        self.epoch += 1;
    }

    /// The open records of a job.
    pub(super) fn open_of(&self, job: &JobName) -> impl Iterator<Item = &Versioned<OpenRecord>> {
        of_job(&self.open, job)
    }
}

fn of_open(open: &OpenRecord) -> (JobName, RunKey) {
    (open.job.clone(), open.key.clone())
}

/// The records of one job, ticks first.
fn of_job<'a, T>(records: &'a Records<T>, job: &JobName) -> impl Iterator<Item = &'a Versioned<T>> {
    let first = (job.clone(), RunKey::Tick(Timestamp::from_millis(i64::MIN)));
    let job = job.clone();
    records
        .range(first..)
        .take_while(move |((of, _), _)| *of == job)
        .map(|(_, record)| record)
}

impl Facts for State {
    fn session_lives(&self, session: &SessionId) -> Result<bool> {
        Ok(self.sessions.contains_key(session))
    }

    fn job_version(&self, job: &JobName) -> Result<Option<Version>> {
        Ok(self.jobs.get(job).map(JobRecord::version))
    }

    fn job_policy(&self, job: &JobName) -> Result<Option<ConcurrencyPolicy>> {
        let record = self.jobs.get(job).cloned();
        let stored = record.map(|record| record.readable("fires.trigger"));
        Ok(stored.transpose()?.map(|stored| stored.job.concurrency))
    }

    fn mark(&self, job: &JobName) -> Result<Option<Versioned<Mark>>> {
        Ok(self.marks.get(job).cloned())
    }

    fn open(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<OpenRecord>>> {
        Ok(self.open.get(&(job.clone(), key.clone())).cloned())
    }

    fn any_open(&self, job: &JobName) -> Result<bool> {
        Ok(self.open_of(job).next().is_some())
    }

    fn wait(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<WaitRecord>>> {
        Ok(self.wait.get(&(job.clone(), key.clone())).cloned())
    }

    fn tick_waits(&self, job: &JobName) -> Result<bool> {
        let first = of_job(&self.wait, job).next();
        Ok(first.is_some_and(|wait| wait.value.key.fire_time().is_some()))
    }

    fn done(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<DoneRecord>>> {
        Ok(self.done.get(&(job.clone(), key.clone())).cloned())
    }

    fn kill(&self, run: &RunId) -> Result<Option<Kill>> {
        Ok(self.kills.get(run).map(|(kill, _)| kill.clone()))
    }

    fn requested(&self, job: &JobName, request: &str) -> Result<bool> {
        Ok(self
            .requests
            .contains_key(&(job.clone(), request.to_owned())))
    }
}
