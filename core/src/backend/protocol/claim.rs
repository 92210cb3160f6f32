//! Take, rebind and end: how a run gets its owner, keeps it, and is let go.

use super::decide::is_claim_of;
use super::{Change, Changes, Facts, RunEnd, Step, mark_of, require_session};
use crate::backend::{
    DoneRecord, End, EndHow, Ended, Fence, OpenRecord, OpenState, RecordSeen, Result, SessionId,
    Take, TakeFrom, Taken, Version, Versioned,
};
use crate::job::JobName;
use crate::run::{Outcome, RunKey};
use crate::time::Timestamp;

/// Claims a run that waits, in an open or in a wait record.
///
/// # Errors
/// `SessionLost` if the session is gone.
pub fn take(
    facts: &dyn Facts,
    session: &SessionId,
    take: &Take,
    at: Version,
) -> Result<Step<Taken>> {
    require_session(facts, session, "fires.take")?;
    let seen = &take.record;
    let open = facts.open(&seen.job, &seen.key)?;
    if let Some(mine) = open
        .as_ref()
        .filter(|open| is_claim_of(&open.value, session, take.nonce))
    {
        let held = held(facts, mine.value.clone(), mine.version)?;
        return Ok(Step::unchanged(held));
    }
    match &take.from {
        TakeFrom::Open => take_open(facts, session, take, open, at),
        TakeFrom::Wait { .. } => take_wait(facts, session, take, at),
    }
}

fn take_open(
    facts: &dyn Facts,
    session: &SessionId,
    take: &Take,
    open: Option<Versioned<OpenRecord>>,
    at: Version,
) -> Result<Step<Taken>> {
    let waiting = open.filter(|open| {
        open.version == take.record.version && matches!(open.value.state, OpenState::Waiting { .. })
    });
    let Some(waiting) = waiting else {
        return Ok(Step::unchanged(Taken::Stale));
    };
    let record = OpenRecord {
        state: claimed(session, take),
        ..waiting.value
    };
    Ok(Step {
        answer: held(facts, record.clone(), at)?,
        changes: vec![Change::Open(record)],
    })
}

fn take_wait(
    facts: &dyn Facts,
    session: &SessionId,
    take: &Take,
    at: Version,
) -> Result<Step<Taken>> {
    let TakeFrom::Wait {
        pinned,
        exclusive,
        skip,
    } = &take.from
    else {
        return Ok(Step::unchanged(Taken::Stale));
    };
    let seen = &take.record;
    let job = &seen.job;
    let Some(wait) = wait_as_seen(facts, seen)? else {
        return Ok(Step::unchanged(Taken::Stale));
    };
    let mut unchanged = facts.job_version(job)? == Some(pinned.version);
    for (older, _) in skip {
        unchanged &= wait_as_seen(facts, older)?.is_some();
    }
    if !unchanged {
        return Ok(Step::unchanged(Taken::Stale));
    }
    if *exclusive && facts.any_open(job)? {
        return Ok(Step::unchanged(Taken::Busy));
    }

    let record = OpenRecord {
        job: job.clone(),
        key: seen.key.clone(),
        state: claimed(session, take),
        attempt: 1,
        reruns: 0,
        pinned: pinned.clone(),
        cause: wait.cause,
    };
    let mut changes = Changes::of(job, mark_of(facts, job)?);
    changes.push(Change::WaitGone(job.clone(), seen.key.clone()));
    changes.push(Change::Open(record.clone()));
    for (older, outcome) in skip {
        changes.push(Change::WaitGone(job.clone(), older.key.clone()));
        changes.end(RunEnd::unstarted(
            older.key.clone(),
            outcome.clone(),
            &take.worker,
            Some(pinned.clone()),
        ));
    }
    Ok(Step {
        answer: held(facts, record, at)?,
        changes: changes.keeping_the_mark(),
    })
}

/// The wait record if it is still at the version seen.
fn wait_as_seen(
    facts: &dyn Facts,
    seen: &RecordSeen,
) -> Result<Option<crate::backend::WaitRecord>> {
    let wait = facts.wait(&seen.job, &seen.key)?;
    Ok(wait
        .filter(|wait| wait.version == seen.version)
        .map(|wait| wait.value))
}

fn claimed(session: &SessionId, take: &Take) -> OpenState {
    OpenState::Claimed {
        session: session.clone(),
        worker: take.worker.clone(),
        nonce: take.nonce,
    }
}

fn held(facts: &dyn Facts, record: OpenRecord, version: Version) -> Result<Taken> {
    Ok(Taken::Held {
        kill: facts.kill(&record.run())?,
        record: Box::new(record),
        fence: Fence::at(version),
    })
}

/// The open record if the fence is its version.
fn open_at(
    facts: &dyn Facts,
    job: &JobName,
    key: &RunKey,
    fence: Fence,
) -> Result<Option<Versioned<OpenRecord>>> {
    let open = facts.open(job, key)?;
    Ok(open.filter(|open| Fence::at(open.version) == fence))
}

/// Puts a claimed run under its owner's new session; the claim's nonce stays, the fence is new.
///
/// The repeat of a rebind that was applied answers `None`: the caller finds its nonce under its session
/// in the feed.
///
/// # Errors
/// `SessionLost` if the new session is gone.
pub fn rebind(
    facts: &dyn Facts,
    session: &SessionId,
    job: &JobName,
    key: &RunKey,
    fence: Fence,
    at: Version,
) -> Result<Step<Option<Fence>>> {
    require_session(facts, session, "fires.rebind")?;
    let Some(open) = open_at(facts, job, key, fence)? else {
        return Ok(Step::unchanged(None));
    };
    let mut record = open.value;
    let OpenState::Claimed { session: owner, .. } = &mut record.state else {
        return Ok(Step::unchanged(None));
    };
    owner.clone_from(session);
    Ok(Step {
        answer: Some(Fence::at(at)),
        changes: vec![Change::Open(record)],
    })
}

/// Ends the caller's hold of a run. A repeat finds its own done record while that is there; the repeat
/// of a retry or hand-back answers `Fenced`.
pub fn end(facts: &dyn Facts, end: &End, at: Version) -> Result<Step<Ended>> {
    let Some(open) = open_at(facts, &end.job, &end.key, end.fence)? else {
        let mine = facts
            .done(&end.job, &end.key)?
            .filter(|done| is_end_of(&done.value, end));
        let answer = mine.map_or(Ended::Fenced, |done| Ended::Done(Box::new(done)));
        return Ok(Step::unchanged(answer));
    };
    let kill = facts.kill(&open.value.run())?;
    let (started, outcome) = match (&end.how, kill) {
        (EndHow::Terminal(outcome), _) => (true, outcome),
        (EndHow::Retry { killed, .. }, Some(_)) => (true, killed),
        (EndHow::HandBack { killed }, Some(_)) => (false, killed),
        (
            EndHow::Retry {
                not_before,
                exclude,
                ..
            },
            None,
        ) => {
            let attempt = open.value.attempt.saturating_add(1);
            return Ok(waits_again(
                open.value,
                attempt,
                *not_before,
                exclude.clone(),
            ));
        }
        (EndHow::HandBack { .. }, None) => {
            let attempt = open.value.attempt;
            return Ok(waits_again(open.value, attempt, Timestamp::default(), None));
        }
    };
    let mut changes = Changes::of(&end.job, mark_of(facts, &end.job)?);
    changes.push(Change::OpenGone(end.job.clone(), end.key.clone()));
    let done = changes.end(RunEnd::of_open(
        &open,
        started,
        outcome.clone(),
        &end.worker,
    ));
    Ok(Step {
        answer: Ended::Done(Box::new(Versioned {
            version: at,
            value: done,
        })),
        changes: changes.keeping_the_mark(),
    })
}

fn waits_again(
    open: OpenRecord,
    attempt: u32,
    not_before: Timestamp,
    exclude: Option<String>,
) -> Step<Ended> {
    let record = OpenRecord {
        attempt,
        state: OpenState::Waiting {
            not_before,
            exclude,
        },
        ..open
    };
    Step {
        answer: Ended::Waiting,
        changes: vec![Change::Open(record)],
    }
}

/// Whether the done record is what this very call wrote, and not what somebody settled.
fn is_end_of(done: &DoneRecord, end: &End) -> bool {
    let outcome: &Outcome = match &end.how {
        EndHow::Terminal(outcome) => outcome,
        EndHow::Retry { killed, .. } | EndHow::HandBack { killed } => killed,
    };
    done.fence == end.fence.get() && done.worker == end.worker && done.outcome == *outcome
}
