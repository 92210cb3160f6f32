//! Fires: the claim protocol's transactions and the feed of its records.
//!
//! Guards are **stable** where the doc says so: once false they stay false, so that a negative answer
//! is final even for a delayed duplicate of the request. Whoever gets an error with an unknown effect
//! repeats the same request, nonce included, until a definite answer (S6).

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Cursor, DoneRecord, Events, Fence, Generation, Kill, Mark, Nonce, OpenRecord, Pinned,
    RecordSeen, Result, SessionId, Span, Version, Versioned, WaitRecord,
};
use crate::job::JobName;
use crate::policy::ConcurrencyPolicy;
use crate::run::{Outcome, RunId, RunKey, RunState};
use crate::time::Timestamp;

/// The decision about one due tick, after an optional range of ticks that are passed over.
#[derive(Clone, Debug, PartialEq)]
pub struct Decide {
    /// The job, by its name in `pinned`, at the version the planner used (guard, stable).
    pub pinned: Pinned,
    /// The mark that the planner used; `at` and `generation` must still be it (guard, stable).
    pub prev: Mark,
    /// The tick; later than `prev.at`. The mark moves here.
    pub fire: Timestamp,
    /// Ticks between `prev.at` and `fire` that are recorded as passed over in the same step.
    pub passed: Option<(Span, Outcome)>,
    /// What is to become of the tick.
    pub fate: DecideFate,
    /// The caller's worker name, for the records.
    pub worker: String,
    /// Of this claim.
    pub nonce: Nonce,
}

impl Decide {
    /// The job.
    pub fn job(&self) -> &JobName {
        &self.pinned.job.name
    }
}

/// What a decide does with its tick.
#[derive(Clone, Debug, PartialEq)]
pub enum DecideFate {
    /// It runs if the policy admits it; else `busy` is recorded (forbid; queue with a tick waiting), or
    /// the tick waits (queue, replace).
    Run {
        /// The job's policy.
        policy: ConcurrencyPolicy,
        /// The record of a tick that is not admitted. The store appends nothing to it.
        busy: Outcome,
        /// Nothing is recorded instead: a tick that is not admitted stays undecided (`Stale`), because its turn
        /// is yet to come. This guard is not stable: a late duplicate of a refused request may be carried out once
        /// the job is free. What it claims is an orphan then, as after a take.
        in_turn: bool,
    },
    /// It is recorded so, without a run.
    Record(Outcome),
}

/// The answer to a [`Decide`].
#[derive(Clone, Debug, PartialEq)]
pub enum Decided {
    /// The run is the caller's; also the answer to a repeat. A kill that is already there comes along.
    Held {
        /// The claim's fence.
        fence: Fence,
        /// A kill that was sent before the claim.
        kill: Option<Kill>,
    },
    /// The tick is recorded in this state without a run: skipped or missed.
    Recorded(RunState),
    /// The tick waits; with replace the caller now sends the kill of the open run.
    Waits,
    /// A stable guard is false: the mark has moved, or the job has changed. Look again and plan anew.
    /// Also the answer to a repeat of a decide that recorded or queued its tick.
    Stale,
}

/// Moves a mark under a new definition: the first mark of a job, or after a change of generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Adopt {
    /// The job at the version seen (guard, stable).
    pub pinned: Pinned,
    /// The mark's version as seen; `None` if there was none (guard, stable).
    pub seen: Option<Version>,
    /// The mark's new place. The store keeps the later of this and the old mark's.
    pub to: Timestamp,
    /// The new generation.
    pub generation: Generation,
    /// Ticks that were owed under the old definition and are given up.
    pub owed: Option<(Span, Outcome)>,
    /// The caller's worker name, for the records.
    pub worker: String,
}

/// The answer to an [`Adopt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// The mark is now this.
    Done(Versioned<Mark>),
    /// The job or the mark has changed since.
    Stale,
}

/// Claims a run that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Take {
    /// The record as seen (guard, stable).
    pub record: RecordSeen,
    /// Which kind it is.
    pub from: TakeFrom,
    /// The caller's worker name, for the record.
    pub worker: String,
    /// Of this claim.
    pub nonce: Nonce,
}

/// Which record a [`Take`] claims.
#[derive(Clone, Debug, PartialEq)]
pub enum TakeFrom {
    /// An open record between attempts.
    Open,
    /// A wait record. If `exclusive`, only while no open record of the job exists (guard, **not**
    /// stable: hence the orphan rule). `skip` are older waiting ticks that this one replaces.
    Wait {
        /// What the run will keep of its job, at the version seen (guard, stable).
        pinned: Pinned,
        /// The job admits one run at a time.
        exclusive: bool,
        /// Older waiting ticks and how they are recorded.
        skip: Vec<(RecordSeen, Outcome)>,
    },
}

/// The answer to a [`Take`].
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// It is the caller's; also the answer to a repeat.
    Held {
        /// The record as it now is.
        record: Box<OpenRecord>,
        /// The claim's fence.
        fence: Fence,
        /// A kill that was sent before.
        kill: Option<Kill>,
    },
    /// The job is busy.
    Busy,
    /// The record or the job has changed since.
    Stale,
}

/// Ends the caller's hold of a run. Needs the fence (guard, stable) but no live session.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// The job.
    pub job: JobName,
    /// What the run stands for.
    pub key: RunKey,
    /// The caller's fence.
    pub fence: Fence,
    /// How it ends.
    pub how: EndHow,
    /// The caller's worker name, for the record.
    pub worker: String,
}

/// How a hold ends.
#[derive(Clone, Debug, PartialEq)]
pub enum EndHow {
    /// The run is over.
    Terminal(Outcome),
    /// Another attempt follows, unless a kill is there: then `killed` is recorded.
    Retry {
        /// Not before this.
        not_before: Timestamp,
        /// A worker that should leave it to others.
        exclude: Option<String>,
        /// The end if a kill is there.
        killed: Outcome,
    },
    /// The same attempt goes to another worker, unless a kill is there: then `killed` is recorded.
    HandBack {
        /// The end if a kill is there.
        killed: Outcome,
    },
}

/// The answer to an [`End`].
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// The run is over, with this record.
    Done(Box<Versioned<DoneRecord>>),
    /// The run waits for its next attempt.
    Waiting,
    /// The record is gone or has another holder: the end was settled by somebody, or this is the
    /// repeat of an end whose record was already copied.
    Fenced,
}

/// Settles a record whose owner is gone, or that needs none.
#[derive(Clone, Debug, PartialEq)]
pub struct Settle {
    /// The record as seen (guard, stable).
    pub record: RecordSeen,
    /// What becomes of it if no kill is there.
    pub how: SettleAs,
    /// What is recorded if a kill is there.
    pub killed: Outcome,
    /// The job as the caller knows it, for the record of a run that was never admitted. An open record has its own.
    pub pinned: Option<Pinned>,
    /// The caller's worker name, for the record.
    pub worker: String,
}

/// What a [`Settle`] does. For claimed records the owner's session must be gone (guard, stable).
#[derive(Clone, Debug, PartialEq)]
pub enum SettleAs {
    /// An open record whose owner is gone: recorded so.
    Lost(Outcome),
    /// An open record whose owner is gone: it waits for another start, attempt and reruns counted.
    Rerun {
        /// Not before this.
        not_before: Timestamp,
    },
    /// A record without an owner, open or wait: only if a kill is there, else nothing.
    IfKilled,
    /// A wait record: recorded so, such as a tick of a deleted job.
    Drop {
        /// How it is recorded.
        outcome: Outcome,
        /// The job's version by which it will never be admitted, or `None` for no job (guard): news of a new job or
        /// an edit may still be on their way to whoever drops.
        job: Option<Version>,
    },
}

/// The answer to a [`Settle`].
#[derive(Clone, Debug, PartialEq)]
pub enum Settled {
    /// The run is over, with this record.
    Done(Box<Versioned<DoneRecord>>),
    /// The run waits for its next start.
    Waiting,
    /// A guard is false: somebody was there before, the session lives, or no kill is there.
    Stale,
}

/// Asks for a run outside the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The request's id: the same id is the same run, for 24 h.
    pub id: String,
    /// Who asks, for the record.
    pub by: String,
    /// Refuse if an exclusive job is busy, instead of waiting.
    pub refuse_if_busy: bool,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Triggered {
    /// The run waits, or did already when the request is a repeat.
    Run(RunId),
    /// The job is busy and waiting was refused.
    Busy,
    /// There is no such job.
    NoJob,
}

/// The claim protocol's writes. Each call is one atomic step per item.
#[async_trait]
pub trait Fires: Debug + Send + Sync + 'static {
    /// Decides due ticks, one answer each, in order. At most one item per job and at most 64.
    ///
    /// # Errors
    /// `InvalidConfig` for a batch out of bounds, or ticks that do not lie after the mark in order.
    /// `SessionLost` if the session is gone (guard, stable): nothing was decided.
    async fn decide(&self, session: &SessionId, due: &[Decide]) -> Result<Vec<Decided>>;

    /// Moves a mark under a new definition. The repeat of one that was applied answers `Stale`.
    async fn adopt(&self, adopt: &Adopt) -> Result<Adopted>;

    /// Claims a run that waits.
    ///
    /// # Errors
    /// `SessionLost` if the session is gone (guard, stable).
    async fn take(&self, session: &SessionId, take: &Take) -> Result<Taken>;

    /// Ends the caller's hold of a run. The repeat of a terminal end answers `Done` until the record is
    /// cleaned; the repeat of a retry or hand-back answers `Fenced`.
    async fn end(&self, end: &End) -> Result<Ended>;

    /// Keeps a run whose owner is back with a new session before anybody settled it. `None` if the
    /// fence no longer holds, as in the repeat of a rebind that was applied: then the caller finds its nonce
    /// under its new session in the feed.
    ///
    /// # Errors
    /// `SessionLost` if the new session is gone.
    async fn rebind(
        &self,
        session: &SessionId,
        job: &JobName,
        key: &RunKey,
        fence: Fence,
    ) -> Result<Option<Fence>>;

    /// Settles a record; the repeat of one that was applied answers `Stale`. Only after the caller has itself seen the owner's session absent for the
    /// job's `lost_after`.
    async fn settle(&self, settle: &Settle) -> Result<Settled>;

    /// Asks for a run. Idempotent by request id.
    ///
    /// # Errors
    /// `InvalidConfig` unless the id is 1–64 letters, digits, `-` and `_`.
    async fn trigger(&self, job: &JobName, request: &Request) -> Result<Triggered>;
}

/// All records of the claim protocol at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FireView {
    /// Marks by job.
    pub marks: Vec<(JobName, Versioned<Mark>)>,
    /// Open runs.
    pub open: Vec<Versioned<OpenRecord>>,
    /// Runs not yet admitted, in order of creation.
    pub wait: Vec<Versioned<WaitRecord>>,
    /// Ended runs not yet in the run log.
    pub done: Vec<Versioned<DoneRecord>>,
}

/// A change of one record.
#[derive(Clone, Debug, PartialEq)]
pub enum FireEvent {
    /// A mark was set or has moved.
    Mark(JobName, Versioned<Mark>),
    /// A mark was removed.
    MarkGone(JobName, Version),
    /// An open record was put.
    Open(Versioned<OpenRecord>),
    /// An open record was deleted, at the version in `RecordSeen`.
    OpenGone(RecordSeen),
    /// A wait record was put.
    Wait(Versioned<WaitRecord>),
    /// A wait record was deleted.
    WaitGone(RecordSeen),
    /// A done record was put.
    Done(Box<Versioned<DoneRecord>>),
    /// A done record was deleted.
    DoneGone(RecordSeen),
    /// Nothing changed; only the cursor moves.
    Progress,
}

/// The claim protocol's reads, and the clean-up of what has been copied.
#[async_trait]
pub trait FireFeed: Debug + Send + Sync + 'static {
    /// All records and the cursor from which [`FireFeed::watch`] continues.
    ///
    /// A record that cannot be read is left out and stops no other. It still is what guards find: a job with
    /// such an open record is busy. See [`super::protocol::mend`] for its end.
    async fn snapshot(&self) -> Result<(FireView, Cursor)>;

    /// Every change after `from`, at least once and in order for each record. Of one step the job's mark
    /// comes last.
    ///
    /// # Errors
    /// `CursorExpired`, as the call's error or as the stream's last item, if the history is gone.
    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, FireEvent)>>;

    /// Deletes done records that the run log has, each only at the version seen. Idempotent. Returns
    /// how many it deleted. It may wait that long for other requests that this one can go along with.
    async fn clean(&self, done: &[RecordSeen], patience: Duration) -> Result<u32>;
}
