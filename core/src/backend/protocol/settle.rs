//! Settle and trigger: what anybody may do to a run without holding it.

use std::time::Duration;

use super::{Change, Changes, Facts, RunEnd, Step, mark_of};
use crate::backend::{
    OpenRecord, OpenState, Request, Result, Settle, SettleAs, Settled, Triggered, Version,
    Versioned, WaitRecord,
};
use crate::error::{BackendError, ErrorKind};
use crate::job::JobName;
use crate::run::{Outcome, RunId, RunKey};
use crate::time::Timestamp;

/// How long a request id is remembered, from its first use.
pub const REQUEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// The longest request id in bytes.
const REQUEST_ID_BYTES: usize = 64;

/// Settles a record whose owner is gone, or that has none. A retained kill wins over what was asked.
pub fn settle(facts: &dyn Facts, settle: &Settle, at: Version) -> Result<Step<Settled>> {
    let seen = &settle.record;
    let open = facts.open(&seen.job, &seen.key)?;
    if let Some(open) = open.filter(|open| open.version == seen.version) {
        return settle_open(facts, settle, open, at);
    }
    let wait = facts.wait(&seen.job, &seen.key)?;
    if wait.is_some_and(|wait| wait.version == seen.version) {
        return settle_wait(facts, settle, at);
    }
    Ok(Step::unchanged(Settled::Stale))
}

fn settle_open(
    facts: &dyn Facts,
    settle: &Settle,
    open: Versioned<OpenRecord>,
    at: Version,
) -> Result<Step<Settled>> {
    let kill = facts.kill(&open.value.run())?;
    let killed = || kill.as_ref().map(|_| settle.killed.clone());
    let (outcome, worker, started) = match (&open.value.state, &settle.how) {
        (OpenState::Claimed { session, .. }, SettleAs::Lost(_) | SettleAs::Rerun { .. })
            if facts.session_lives(session)? =>
        {
            return Ok(Step::unchanged(Settled::Stale));
        }
        (OpenState::Claimed { worker, .. }, SettleAs::Lost(lost)) => {
            let outcome = killed().unwrap_or_else(|| lost.clone());
            (outcome, worker.clone(), true)
        }
        (OpenState::Claimed { worker, .. }, SettleAs::Rerun { not_before }) => match killed() {
            Some(outcome) => (outcome, worker.clone(), true),
            None => return Ok(reruns(open.value, *not_before)),
        },
        (OpenState::Waiting { .. }, SettleAs::IfKilled) => match killed() {
            Some(outcome) => (outcome, settle.worker.clone(), false),
            None => return Ok(Step::unchanged(Settled::Stale)),
        },
        _ => return Ok(Step::unchanged(Settled::Stale)),
    };
    let end = RunEnd::of_open(&open, started, outcome, &worker);
    let gone = Change::OpenGone(open.value.job, open.value.key);
    finish(facts, &settle.record.job, gone, end, at)
}

fn settle_wait(facts: &dyn Facts, settle: &Settle, at: Version) -> Result<Step<Settled>> {
    let seen = &settle.record;
    let kill = facts.kill(&seen.run())?;
    let outcome: &Outcome = match (&settle.how, kill) {
        (SettleAs::IfKilled | SettleAs::Drop { .. }, Some(_)) => &settle.killed,
        (SettleAs::Drop { outcome, job }, None) if facts.job_version(&seen.job)? == *job => outcome,
        _ => return Ok(Step::unchanged(Settled::Stale)),
    };
    let pinned = settle.pinned.clone();
    let end = RunEnd::unstarted(seen.key.clone(), outcome.clone(), &settle.worker, pinned);
    let gone = Change::WaitGone(seen.job.clone(), seen.key.clone());
    finish(facts, &seen.job, gone, end, at)
}

fn reruns(open: OpenRecord, not_before: Timestamp) -> Step<Settled> {
    let record = OpenRecord {
        attempt: open.attempt.saturating_add(1),
        reruns: open.reruns.saturating_add(1),
        state: OpenState::Waiting {
            not_before,
            exclude: None,
        },
        ..open
    };
    Step {
        answer: Settled::Waiting,
        changes: vec![Change::Open(record)],
    }
}

/// The record goes, and its end is recorded.
fn finish(
    facts: &dyn Facts,
    job: &JobName,
    gone: Change,
    end: RunEnd,
    at: Version,
) -> Result<Step<Settled>> {
    let mut changes = Changes::of(job, mark_of(facts, job)?);
    changes.push(gone);
    let done = changes.end(end);
    Ok(Step {
        answer: Settled::Done(Box::new(Versioned {
            version: at,
            value: done,
        })),
        changes: changes.keeping_the_mark(),
    })
}

/// Asks for a run outside the schedule; the same id is the same run.
///
/// # Errors
/// `InvalidConfig` unless the id is 1–64 letters, digits, `-` and `_`.
pub fn trigger(facts: &dyn Facts, job: &JobName, request: &Request) -> Result<Step<Triggered>> {
    let id = &request.id;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if id.is_empty() || id.len() > REQUEST_ID_BYTES || !id.bytes().all(allowed) {
        return Err(
            BackendError::new("fires.trigger", ErrorKind::InvalidConfig).context(format!(
                "request id {id:?} must be 1 to {REQUEST_ID_BYTES} letters a to z or A to Z, digits, '-' or '_'"
            )),
        );
    }
    let key = RunKey::Request(id.clone());
    let run = RunId::of(job, &key);
    if facts.requested(job, id)? {
        return Ok(Step::unchanged(Triggered::Run(run)));
    }
    let Some(policy) = facts.job_policy(job)? else {
        return Ok(Step::unchanged(Triggered::NoJob));
    };
    if request.refuse_if_busy && policy.is_exclusive() && facts.any_open(job)? {
        return Ok(Step::unchanged(Triggered::Busy));
    }
    let wait = WaitRecord {
        job: job.clone(),
        key,
        cause: request.by.clone(),
    };
    Ok(Step {
        answer: Triggered::Run(run),
        changes: vec![Change::Request(job.clone(), id.clone()), Change::Wait(wait)],
    })
}
