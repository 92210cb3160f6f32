//! Runs to record.

use std::sync::Arc;

use bytes::Bytes;
use sandclock_core::Timestamp;
use sandclock_core::backend::{DoneRecord, Fence, OutputChunk, Pinned, RunHeader, Version};
use sandclock_core::job::{Job, JobName};
use sandclock_core::policy::Streak;
use sandclock_core::ports::{Channel, Redacted};
use sandclock_core::run::{Outcome, OutputSummary, RunId, RunKey, RunState};

/// When the first tick of every job is due, in Unix milliseconds.
pub(crate) const T: i64 = 1_800_000_000_000;

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(T + ms)
}

pub(crate) fn fence(n: u64) -> Fence {
    Fence::at(Version(n))
}

pub(crate) fn header(job: &str, ms: i64) -> RunHeader {
    let job = JobName::existing(job);
    let key = RunKey::Tick(at(ms));
    RunHeader {
        id: RunId::of(&job, &key),
        job,
        key,
        state: RunState::Running,
        attempt: 1,
        worker: "worker-1".to_owned(),
        started_at: at(ms + 84),
        next_attempt_at: None,
        cause: String::new(),
    }
}

/// An end 2 ms after the start; the job's command is `command`.
pub(crate) fn done(job: &str, ms: i64, state: RunState, command: &str) -> DoneRecord {
    let name = JobName::existing(job);
    DoneRecord {
        key: RunKey::Tick(at(ms)),
        span: None,
        outcome: Outcome {
            started_at: Some(at(ms + 84)),
            exit_code: Some(i32::from(state != RunState::Succeeded) * 3),
            output: OutputSummary { bytes: 6, cut: 0 },
            ..Outcome::without_process(state, "as the test says", at(ms + 86))
        },
        attempts: 1,
        fence: 7,
        worker: "worker-1".to_owned(),
        streak_before: Streak::default(),
        streak: Streak::default(),
        pinned: Some(Pinned {
            job: Arc::new(Job::shell(name.clone(), command)),
            version: Version(1),
        }),
        job: name,
    }
}

pub(crate) fn chunk(seq: u64, offset: u64, bytes: impl Into<Bytes>) -> OutputChunk {
    OutputChunk {
        seq,
        channel: Channel::Combined,
        offset,
        bytes: Redacted::vouch(bytes.into()),
    }
}
