//! Decide and adopt: the only two steps that move a mark (S2), and what they record with it (S7).

use std::collections::BTreeSet;

use super::{Change, Changes, Facts, RunEnd, Step, if_readable, mark_of, require_session};
use crate::backend::{
    Adopt, Adopted, Decide, DecideFate, Decided, Fence, Nonce, OpenRecord, OpenState, Result,
    SessionId, Version, Versioned, WaitRecord,
};
use crate::error::{BackendError, ErrorKind};
use crate::job::JobName;
use crate::policy::ConcurrencyPolicy;
use crate::run::{Outcome, RunId, RunKey};

/// The most items of one decide call.
pub const MAX_BATCH: usize = 64;

/// Why a tick waits, for people.
const WAITS: &str = "a run of the job was open when it was due";

/// Refuses a batch that no store may apply: too long, two items of one job, or a tick or range that does
/// not lie after the mark in order.
///
/// # Errors
/// `InvalidConfig`; nothing of the batch may be applied then.
pub fn check_batch(due: &[Decide]) -> Result<()> {
    let refuse =
        |why: String| Err(BackendError::new("fires.decide", ErrorKind::InvalidConfig).context(why));
    if due.len() > MAX_BATCH {
        return refuse(format!(
            "{} ticks in one call, at most {MAX_BATCH}",
            due.len()
        ));
    }
    let mut jobs = BTreeSet::new();
    for item in due {
        if !jobs.insert(item.job()) {
            return refuse(format!("job {} occurs twice in one call", item.job()));
        }
        let from = item.prev.at;
        let in_order = item.passed.as_ref().is_none_or(|(span, _)| {
            from < span.first && span.first <= span.last && span.last < item.fire
        });
        if item.fire <= from || !in_order {
            return refuse(format!(
                "job {}: tick {} and what it passes must lie after the mark {from}, in order",
                item.job(),
                item.fire
            ));
        }
    }
    Ok(())
}

/// What becomes of a tick under its job's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    Runs,
    Waits,
    Busy,
}

/// What is to be looked up for it may cost a store a branch, so nothing is asked that does not matter.
fn admit(facts: &dyn Facts, job: &JobName, policy: ConcurrencyPolicy) -> Result<Admission> {
    use ConcurrencyPolicy::{Allow, Forbid, Queue, Replace};
    Ok(match policy {
        Allow => Admission::Runs,
        Forbid if facts.any_open(job)? => Admission::Busy,
        Forbid => Admission::Runs,
        Queue if facts.tick_waits(job)? => Admission::Busy,
        Queue | Replace if facts.any_open(job)? => Admission::Waits,
        Queue => Admission::Runs,
        Replace if facts.tick_waits(job)? => Admission::Waits,
        Replace => Admission::Runs,
    })
}

/// One item of a decide call that [`check_batch`] has passed. If its mark cannot be read it is `Stale`, so
/// that the others of the batch do not suffer for it.
///
/// # Errors
/// `SessionLost` if the session is gone.
pub fn decide(
    facts: &dyn Facts,
    session: &SessionId,
    due: &Decide,
    at: Version,
) -> Result<Step<Decided>> {
    require_session(facts, session, "fires.decide")?;
    let job = due.job();
    let mark = mark_of(facts, job)?
        .filter(|mark| mark.at == due.prev.at && mark.generation == due.prev.generation);
    let planned_version = facts.job_version(job)? == Some(due.pinned.version);
    let Some(mark) = mark.filter(|_| planned_version) else {
        return repeated(facts, session, due);
    };

    let mut changes = Changes::of(job, Some(mark));
    if let Some((span, outcome)) = &due.passed {
        changes.end(RunEnd::range(
            *span,
            outcome.clone(),
            &due.worker,
            &due.pinned,
        ));
    }
    let key = RunKey::Tick(due.fire);
    let answer = match &due.fate {
        DecideFate::Record(outcome) => record(&mut changes, due, outcome.clone()),
        DecideFate::Run {
            policy,
            busy,
            in_turn,
        } => match admit(facts, job, *policy)? {
            Admission::Runs => {
                changes.push(Change::Open(claimed(session, due, key.clone())));
                Decided::Held {
                    fence: Fence::at(at),
                    kill: facts.kill(&RunId::of(job, &key))?,
                }
            }
            Admission::Waits => {
                changes.push(Change::Wait(WaitRecord {
                    job: job.clone(),
                    key,
                    cause: WAITS.to_owned(),
                }));
                Decided::Waits
            }
            Admission::Busy if *in_turn => return Ok(Step::unchanged(Decided::Stale)),
            Admission::Busy => record(&mut changes, due, busy.clone()),
        },
    };
    let mark = changes.moved(due.fire, mark.generation);
    Ok(Step {
        answer,
        changes: changes.moving_the_mark(mark),
    })
}

/// A guard is false: the caller holds the run if this is a repeat of a claim that was applied.
fn repeated(facts: &dyn Facts, session: &SessionId, due: &Decide) -> Result<Step<Decided>> {
    let open = if_readable(facts.open(due.job(), &RunKey::Tick(due.fire)))?;
    let answer = match open.filter(|open| is_claim_of(&open.value, session, due.nonce)) {
        Some(open) => Decided::Held {
            fence: Fence::at(open.version),
            kill: facts.kill(&open.value.run())?,
        },
        None => Decided::Stale,
    };
    Ok(Step::unchanged(answer))
}

/// Whether the record is claimed by this session with this nonce.
pub(super) fn is_claim_of(open: &OpenRecord, session: &SessionId, nonce: Nonce) -> bool {
    matches!(&open.state, OpenState::Claimed { session: owner, nonce: claim, .. }
        if owner == session && *claim == nonce)
}

fn record(changes: &mut Changes, due: &Decide, outcome: Outcome) -> Decided {
    let state = outcome.state;
    let pinned = Some(due.pinned.clone());
    let key = RunKey::Tick(due.fire);
    changes.end(RunEnd::unstarted(key, outcome, &due.worker, pinned));
    Decided::Recorded(state)
}

fn claimed(session: &SessionId, due: &Decide, key: RunKey) -> OpenRecord {
    OpenRecord {
        job: due.job().clone(),
        key,
        state: OpenState::Claimed {
            session: session.clone(),
            worker: due.worker.clone(),
            nonce: due.nonce,
        },
        attempt: 1,
        reruns: 0,
        pinned: due.pinned.clone(),
        cause: String::new(),
    }
}

/// Moves a mark under a new definition, never back. A repeat of an adopt that was applied is `Stale`.
pub fn adopt(facts: &dyn Facts, adopt: &Adopt, at: Version) -> Result<Step<Adopted>> {
    let job = &adopt.pinned.job.name;
    let old = facts.mark(job)?;
    let as_seen = old.as_ref().map(|mark| mark.version) == adopt.seen;
    if !as_seen || facts.job_version(job)? != Some(adopt.pinned.version) {
        return Ok(Step::unchanged(Adopted::Stale));
    }
    let mut changes = Changes::of(job, old.map(|mark| mark.value));
    if let Some((span, outcome)) = &adopt.owed {
        changes.end(RunEnd::range(
            *span,
            outcome.clone(),
            &adopt.worker,
            &adopt.pinned,
        ));
    }
    let mark = changes.moved(adopt.to, adopt.generation);
    Ok(Step {
        answer: Adopted::Done(Versioned {
            version: at,
            value: mark,
        }),
        changes: changes.moving_the_mark(mark),
    })
}
