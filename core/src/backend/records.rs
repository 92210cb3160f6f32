//! The records of the claim protocol, as every backend stores them.
//!
//! | record | says | lives |
//! |---|---|---|
//! | [`Mark`] | the last decided fire time of a job | until 7 days after the job's deletion |
//! | [`WaitRecord`] | a run that is not yet admitted; does not count as active | until taken |
//! | [`OpenRecord`] | a run that is active: owned, or waiting for its next attempt | until terminal |
//! | [`DoneRecord`] | how a run, or a range of ticks, ended | until copied to the run log |

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{SessionId, Version};
use crate::job::{Job, JobName};
use crate::policy::Streak;
use crate::run::{Outcome, RunId, RunKey};
use crate::time::Timestamp;

/// Chosen at random for each claim; a repeat of the claim carries the same one (S6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub u128);

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({:032x})", self.0)
    }
}

/// Which life of a job's schedule a mark belongs to: it differs after the job was deleted and
/// created again, and after any change of what decides about ticks.
///
/// It is a hash of the store's creation number of the job and of its schedule, zone, DST policy,
/// enabled flag, bounds and `schedule_since`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation of `job` in the life of its name that began at `created`.
    pub fn of(job: &Job, created: Version) -> Self {
        let mut hash = Sha256::new();
        hash.update(created.0.to_le_bytes());
        hash.update([u8::from(job.enabled), u8::from(job.schedule.is_some())]);
        let instant = |hash: &mut Sha256, at: Option<Timestamp>| {
            hash.update(at.map_or(i64::MIN, Timestamp::as_millis).to_le_bytes());
        };
        instant(&mut hash, job.schedule_since);
        if let Some(spec) = &job.schedule {
            hash.update(spec.expr.as_bytes());
            hash.update([0]);
            hash.update(spec.time_zone.as_bytes());
            hash.update([0, spec.dialect as u8, spec.dst as u8]);
            instant(&mut hash, spec.starts_at);
            instant(&mut hash, spec.ends_at);
        }
        let digest: [u8; 32] = hash.finalize().into();
        Self(
            digest
                .iter()
                .take(8)
                .fold(0, |n, byte| (n << 8) | u64::from(*byte)),
        )
    }
}

/// From when on the ticks of `job` are owed, which replaces `old`: from `now` if anything else that decides about
/// ticks differs, so that none of the time before is owed under the new definition; else as before.
pub fn owed_since(job: &Job, old: Option<&Job>, now: Timestamp) -> Option<Timestamp> {
    let kept = old.and_then(|old| old.schedule_since);
    let job = Job {
        schedule_since: kept,
        ..job.clone()
    };
    let generation = |job| Generation::of(job, Version(0));
    match old {
        Some(old) if generation(old) == generation(&job) => kept,
        _ => Some(now),
    }
}

/// A job's last decided fire time. It only rises, and only by compare-and-swap (S2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Every tick up to here is decided.
    pub at: Timestamp,
    /// Under this definition.
    pub generation: Generation,
    /// How the job has been doing; kept by `end`, `settle` and what records a miss.
    pub streak: Streak,
}

/// What a run keeps of its job from claim to end, whatever happens to the job meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct Pinned {
    /// The definition.
    pub job: Arc<Job>,
    /// Its version.
    pub version: Version,
}

/// Who has an open run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenState {
    /// A session owns it and must run it.
    Claimed {
        /// The owner's session.
        session: SessionId,
        /// The owner's worker name, for people.
        worker: String,
        /// The claim's nonce.
        nonce: Nonce,
    },
    /// Nobody owns it; any worker may take it once `not_before` has passed.
    Waiting {
        /// Not before this, by the taker's clock.
        not_before: Timestamp,
        /// A worker that should leave it to others until 30 s after `not_before`.
        exclude: Option<String>,
    },
}

/// A run that is active.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenRecord {
    /// The job.
    pub job: JobName,
    /// What the run stands for.
    pub key: RunKey,
    /// Who has it.
    pub state: OpenState,
    /// From 1.
    pub attempt: u32,
    /// How often it was started again after its worker was gone.
    pub reruns: u32,
    /// The definition it runs under.
    pub pinned: Pinned,
    /// Why it runs, if by request: who asked.
    pub cause: String,
}

impl OpenRecord {
    /// The run's id.
    pub fn run(&self) -> RunId {
        RunId::of(&self.job, &self.key)
    }
}

/// A run that is not yet admitted: a queued or replacing tick, or a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitRecord {
    /// The job.
    pub job: JobName,
    /// What the run stands for.
    pub key: RunKey,
    /// Why it waits, or who asked.
    pub cause: String,
}

/// Which record a caller has seen; what it sends is applied only if it has not changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSeen {
    /// The job.
    pub job: JobName,
    /// What the run stands for.
    pub key: RunKey,
    /// The version the caller saw.
    pub version: Version,
}

impl RecordSeen {
    /// The run's id.
    pub fn run(&self) -> RunId {
        RunId::of(&self.job, &self.key)
    }
}

/// Ticks that one record stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first fire time.
    pub first: Timestamp,
    /// The last; equal to `first` for one tick.
    pub last: Timestamp,
    /// How many ticks there are from first to last; at least 1.
    pub count: u64,
}

/// How a run or a range of ticks ended: the decision of the store, which the run log copies (S8).
#[derive(Clone, Debug, PartialEq)]
pub struct DoneRecord {
    /// The job.
    pub job: JobName,
    /// What the run stands for; of a range, its last tick.
    pub key: RunKey,
    /// Set if the record stands for a range of ticks.
    pub span: Option<Span>,
    /// How it ended.
    pub outcome: Outcome,
    /// Attempts made; 0 if it never started.
    pub attempts: u32,
    /// The fence of the last holder; 0 if it never had one.
    pub fence: u64,
    /// The worker of the last attempt, or who recorded the end.
    pub worker: String,
    /// How the job was doing before this end.
    pub streak_before: Streak,
    /// And after it.
    pub streak: Streak,
    /// The definition it ran under, if it was ever admitted, else the one it was decided with.
    pub pinned: Option<Pinned>,
}

impl DoneRecord {
    /// The run's id.
    pub fn run(&self) -> RunId {
        RunId::of(&self.job, &self.key)
    }

    /// How long the last attempt's process ran.
    pub fn duration(&self) -> Duration {
        match self.outcome.started_at {
            Some(started) => self.outcome.ended_at.since(started),
            None => Duration::ZERO,
        }
    }
}
