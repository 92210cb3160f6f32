//! The steps of the claim protocol as pure functions: facts in, an answer and changes out.
//!
//! A store that has transactions of its own (memory, SQLite) calls the step inside one, lends it the
//! [`Facts`] it asks for, and writes the [`Change`]s at one new version before it answers. So the rules
//! exist once, and such a store is only storage. Steps name the guards in the order of the protocol's
//! tables; what a step does not return, it does not change.
//!
//! `at` is always the version that the step's changes will have; a step without changes uses none up.

use super::{
    DoneRecord, Fence, Generation, Kill, Mark, OpenRecord, Pinned, Result, SessionId, Span,
    Version, Versioned, WaitRecord,
};
use crate::error::{BackendError, ErrorKind};
use crate::job::JobName;
use crate::policy::{ConcurrencyPolicy, Streak};
use crate::run::{Outcome, RunId, RunKey};
use crate::time::Timestamp;

mod claim;
mod decide;
mod mend;
mod settle;

pub use claim::{end, rebind, take};
pub use decide::{MAX_BATCH, adopt, check_batch, decide};
pub use mend::{Unreadable, mend};
pub use settle::{REQUEST_LIFE, settle, trigger};

/// What a step reads of the store, all as of one moment. A record that cannot be read is an error of kind
/// `Corrupt`; guards that only need to know that a record is there count it.
pub trait Facts {
    /// Whether the session is open and its lease has not run out.
    fn session_lives(&self, session: &SessionId) -> Result<bool>;
    /// The job's version, if the job exists.
    fn job_version(&self, job: &JobName) -> Result<Option<Version>>;
    /// The job's concurrency policy, if the job exists.
    fn job_policy(&self, job: &JobName) -> Result<Option<ConcurrencyPolicy>>;
    /// The job's mark.
    fn mark(&self, job: &JobName) -> Result<Option<Versioned<Mark>>>;
    /// The open record of a run.
    fn open(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<OpenRecord>>>;
    /// Whether the job has any open record, of whatever kind and state.
    fn any_open(&self, job: &JobName) -> Result<bool>;
    /// The wait record of a run.
    fn wait(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<WaitRecord>>>;
    /// Whether a tick of the job waits; requests do not count.
    fn tick_waits(&self, job: &JobName) -> Result<bool>;
    /// The done record of a run.
    fn done(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<DoneRecord>>>;
    /// The retained kill of a run.
    fn kill(&self, run: &RunId) -> Result<Option<Kill>>;
    /// Whether this request was made within [`REQUEST_LIFE`].
    fn requested(&self, job: &JobName, request: &str) -> Result<bool>;
}

/// One record to write. Puts replace what is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Put a job's mark.
    Mark(JobName, Mark),
    /// Put an open record.
    Open(OpenRecord),
    /// Delete an open record.
    OpenGone(JobName, RunKey),
    /// Put a wait record.
    Wait(WaitRecord),
    /// Delete a wait record.
    WaitGone(JobName, RunKey),
    /// Put a done record.
    Done(Box<DoneRecord>),
    /// Remember a request for [`REQUEST_LIFE`].
    Request(JobName, String),
}

/// What a step answers and changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<T> {
    /// For the caller.
    pub answer: T,
    /// To be written together, or not at all.
    pub changes: Vec<Change>,
}

impl<T> Step<T> {
    /// An answer that changes nothing.
    pub fn unchanged(answer: T) -> Self {
        Self {
            answer,
            changes: Vec::new(),
        }
    }
}

/// Refuses a call whose session is gone.
fn require_session(facts: &dyn Facts, session: &SessionId, op: &'static str) -> Result<()> {
    if facts.session_lives(session)? {
        return Ok(());
    }
    Err(BackendError::new(op, ErrorKind::SessionLost).context(session))
}

/// The end of one run or range, before the streak is added.
struct RunEnd {
    key: RunKey,
    span: Option<Span>,
    outcome: Outcome,
    attempts: u32,
    fence: u64,
    worker: String,
    pinned: Option<Pinned>,
}

impl RunEnd {
    /// An end without a start, recorded by `worker`.
    fn unstarted(key: RunKey, outcome: Outcome, worker: &str, pinned: Option<Pinned>) -> Self {
        Self {
            key,
            span: None,
            outcome,
            attempts: 0,
            fence: 0,
            worker: worker.to_owned(),
            pinned,
        }
    }

    /// Ticks that are passed over; they stand under the last of them.
    fn range(span: Span, outcome: Outcome, worker: &str, pinned: &Pinned) -> Self {
        Self {
            span: Some(span),
            ..Self::unstarted(
                RunKey::Tick(span.last),
                outcome,
                worker,
                Some(pinned.clone()),
            )
        }
    }

    /// The end of an open record: of the attempt it has reached if that was started, else of the one before.
    fn of_open(
        open: &Versioned<OpenRecord>,
        started: bool,
        outcome: Outcome,
        worker: &str,
    ) -> Self {
        let attempt = open.value.attempt;
        Self {
            key: open.value.key.clone(),
            span: None,
            outcome,
            attempts: if started {
                attempt
            } else {
                attempt.saturating_sub(1)
            },
            fence: Fence::at(open.version).get(),
            worker: worker.to_owned(),
            pinned: Some(open.value.pinned.clone()),
        }
    }
}

/// Collects the changes of a step on one job, and carries the job's streak from end to end.
struct Changes {
    job: JobName,
    mark: Option<Mark>,
    streak: Streak,
    list: Vec<Change>,
}

impl Changes {
    /// Starts with the job's mark as it is. A job without a mark has no streak and gets none.
    fn of(job: &JobName, mark: Option<Mark>) -> Self {
        Self {
            job: job.clone(),
            mark,
            streak: mark.map(|mark| mark.streak).unwrap_or_default(),
            list: Vec::new(),
        }
    }

    fn push(&mut self, change: Change) {
        self.list.push(change);
    }

    /// Puts the done record of this end.
    fn end(&mut self, end: RunEnd) -> DoneRecord {
        let before = self.streak;
        self.streak = before.after(end.outcome.state);
        let done = DoneRecord {
            job: self.job.clone(),
            key: end.key,
            span: end.span,
            outcome: end.outcome,
            attempts: end.attempts,
            fence: end.fence,
            worker: end.worker,
            streak_before: before,
            streak: self.streak,
            pinned: end.pinned,
        };
        self.push(Change::Done(Box::new(done.clone())));
        done
    }

    /// All changes, with the mark where it was and the new streak.
    fn keeping_the_mark(mut self) -> Vec<Change> {
        if let Some(mark) = self.mark.filter(|mark| mark.streak != self.streak) {
            let mark = Mark {
                streak: self.streak,
                ..mark
            };
            self.list.push(Change::Mark(self.job, mark));
        }
        self.list
    }

    /// Where the mark is once it has moved to `at` under `generation`: never back (S2).
    fn moved(&self, at: Timestamp, generation: Generation) -> Mark {
        Mark {
            at: self.mark.map_or(at, |old| old.at.max(at)),
            generation,
            streak: self.streak,
        }
    }

    /// All changes, with this mark.
    fn moving_the_mark(mut self, mark: Mark) -> Vec<Change> {
        self.list.push(Change::Mark(self.job, mark));
        self.list
    }
}

/// Nothing, for a record that cannot be read.
fn if_readable<T>(found: Result<Option<T>>) -> Result<Option<T>> {
    match found {
        Err(error) if error.kind == ErrorKind::Corrupt => Ok(None),
        found => found,
    }
}

/// The mark without its version. One that cannot be read is none: it is not what a planner saw, and an end
/// does without its streak.
fn mark_of(facts: &dyn Facts, job: &JobName) -> Result<Option<Mark>> {
    Ok(if_readable(facts.mark(job))?.map(|mark| mark.value))
}
