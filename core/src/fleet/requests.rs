//! Requests of the claim protocol on their way to the store, and what follows from the answers.
//!
//! A request whose effect is not known is sent again, nonce included, until a definite answer comes
//! (S6). A refusal means that the plan rested on an old view; it is noted so that the same plan is not
//! sent again at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep};

use super::config::FleetMutant;
use super::dispatch::Claim;
use super::follow::in_time;
use super::outage::{About, came_to_nothing};
use super::rescue;
use super::state::{Shared, Stale, State};
use crate::backend::kills::RETAIN;
use crate::backend::{
    Adopt, Adopted, Decide, DecideFate, Decided, End, EndHow, Ended, Fence, Kill, RecordSeen,
    Result, SessionId, Settle, Settled, Take, TakeFrom, Taken,
};
use crate::error::{Effect, ErrorKind};
use crate::job::JobName;
use crate::run::{RunId, RunKey};
use crate::time::Timestamp;

/// The first and the longest pause between two tries of a request.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long a refused plan is not sent again although nothing has changed, at first.
const HOLD: Duration = Duration::from_millis(200);
/// After so many refusals of one plan the views are read anew.
const SUSPICIOUS: u32 = 5;

/// A request that planning came to.
#[derive(Debug)]
pub(super) enum Op {
    /// See [`Adopt`].
    Adopt(Adopt),
    /// See [`Decide`].
    Decide(SessionId, Vec<Decide>),
    /// See [`Take`].
    Take(SessionId, Take),
    /// See [`Settle`].
    Settle(Settle),
    /// An orphan goes back.
    HandBack(RecordSeen),
    /// A run makes way for another.
    Kill(Kill),
}

/// Sends a request until a definite answer comes (S6). `SessionLost` is one, since that guard is
/// stable; so is an error without effect, unless an earlier try may have had one.
pub(super) async fn until_definite<T, F: Future<Output = Result<T>>>(
    shared: &Shared,
    op: &'static str,
    request: impl Fn() -> F,
) -> Result<T> {
    let mut unknown = false;
    let mut pause = PAUSE.0;
    let asked = shared.outages.ask(About::Claims);
    loop {
        let error = match in_time(shared, op, request()).await {
            Ok(answer) => {
                asked.answered();
                return Ok(answer);
            }
            Err(error) if error.kind == ErrorKind::SessionLost => return Err(error),
            Err(error) => error,
        };
        asked.failed(&error, shared.now());
        unknown |= error.effect == Effect::Unknown;
        let careless = shared.config.is(FleetMutant::UnknownIsFailure);
        if !unknown || careless || !(error.is_transient() || error.effect == Effect::Unknown) {
            return Err(error);
        }
        shared.counters.requests_repeated.add(1);
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Sends a request for as long as the store is only out of reach.
pub(super) async fn until_answered<T, F: Future<Output = Result<T>>>(
    shared: &Shared,
    op: &'static str,
    request: impl Fn() -> F,
) -> Result<T> {
    loop {
        match until_definite(shared, op, &request).await {
            Err(error) if error.is_transient() => sleep(PAUSE.1).await,
            answer => return answer,
        }
    }
}

/// Sends the request and lets its answer take effect.
pub(super) async fn perform(shared: Arc<Shared>, op: Op, claims: UnboundedSender<Claim>) {
    match op {
        Op::Adopt(request) => adopt(&shared, request).await,
        Op::Decide(session, due) => decide(&shared, session, due, &claims).await,
        Op::Take(session, request) => take(&shared, session, request, &claims).await,
        Op::Settle(request) => settle(&shared, request).await,
        Op::HandBack(record) => hand_back(&shared, record).await,
        Op::Kill(kill) => send_kill(&shared, kill).await,
    }
}

async fn adopt(shared: &Shared, request: Adopt) {
    let fires = &shared.coordination.fires;
    let answer = until_definite(shared, "fires.adopt", || fires.adopt(&request)).await;
    let job = &request.pinned.job.name;
    shared.update(|state| {
        state.deciding.remove(job);
        state.wakes.touch(job);
        match answer {
            Ok(Adopted::Done(mark)) => {
                state.stale.remove(job);
                state.view.put_mark(job, mark);
            }
            Ok(Adopted::Stale) => refused(shared, state, job),
            Err(error) => {
                came_to_nothing(&error, "cannot adopt", job);
                refused(shared, state, job);
            }
        }
    });
}

async fn decide(
    shared: &Shared,
    session: SessionId,
    due: Vec<Decide>,
    claims: &UnboundedSender<Claim>,
) {
    let fires = &shared.coordination.fires;
    let answer = until_definite(shared, "fires.decide", || fires.decide(&session, &due)).await;
    let mut make_way = Vec::new();
    shared.update(|state| match answer {
        Ok(answers) => {
            for (request, answer) in due.iter().zip(answers) {
                make_way.extend(decided(shared, state, &session, request, answer, claims));
            }
        }
        Err(error) => {
            came_to_nothing(&error, "cannot decide ticks", &due.len());
            for request in &due {
                let job = request.job();
                state.deciding.remove(job);
                state.give_up_claim(job, &RunKey::Tick(request.fire), request.nonce);
                refused(shared, state, job);
            }
        }
    });
    for kill in make_way {
        send_kill(shared, kill).await;
    }
}

/// Takes the answer to one tick; returns the kills by which open runs make way for it.
fn decided(
    shared: &Shared,
    state: &mut State,
    session: &SessionId,
    request: &Decide,
    answer: Decided,
    claims: &UnboundedSender<Claim>,
) -> Vec<Kill> {
    let job = request.job();
    let key = RunKey::Tick(request.fire);
    state.deciding.remove(job);
    state.wakes.touch(job);
    if answer == Decided::Stale {
        state.give_up_claim(job, &key, request.nonce);
        refused(shared, state, job);
        return Vec::new();
    }
    shared.counters.ticks_decided.add(1);
    state.stale.remove(job);
    state.view.advance_mark(job, request.fire);
    if let Decided::Held { fence, kill } = answer {
        let claim = Claim {
            run: RunId::of(job, &key),
            pinned: request.pinned.clone(),
            key,
            attempt: 1,
            fence,
            nonce: request.nonce,
            session: session.clone(),
            kill,
            cause: "the schedule".to_owned(),
        };
        held(shared, state, claim, claims);
        return Vec::new();
    }
    state.give_up_claim(job, &key, request.nonce);
    let open = match answer {
        Decided::Waits => state.view.records(job).map(|records| &records.open),
        _ => None,
    };
    let replaces = matches!(
        &request.fate,
        DecideFate::Run {
            policy: crate::policy::ConcurrencyPolicy::Replace,
            ..
        }
    );
    let open = open.into_iter().flat_map(|open| open.values());
    open.filter(|_| replaces)
        .map(|open| rescue::make_way(open.value.run()))
        .collect()
}

fn held(shared: &Shared, state: &mut State, claim: Claim, claims: &UnboundedSender<Claim>) {
    shared.counters.claims_held.add(1);
    if let Some(kill) = &claim.kill
        && !shared.config.is(FleetMutant::DeafToKills)
    {
        state.note_kill(kill.clone());
    }
    let id = (claim.job().clone(), claim.key.clone());
    if let Some(active) = state.claims.held.get_mut(&id) {
        active.fence = Some(claim.fence);
        active.attempt = claim.attempt;
    }
    if claims.send(claim).is_err() {
        // Only when the worker is being dropped: the claim is settled by others.
        tracing::debug!("a claim came after the end");
    }
}

async fn take(shared: &Shared, session: SessionId, request: Take, claims: &UnboundedSender<Claim>) {
    let fires = &shared.coordination.fires;
    let answer = until_definite(shared, "fires.take", || fires.take(&session, &request)).await;
    let RecordSeen { job, key, .. } = &request.record;
    let from_wait = matches!(request.from, TakeFrom::Wait { .. });
    shared.update(|state| {
        state.pending.remove(&(job.clone(), key.clone()));
        state.wakes.touch(job);
        match answer {
            Ok(Taken::Held {
                record,
                fence,
                kill,
            }) => {
                let cause = match (from_wait, record.cause.is_empty()) {
                    (true, false) => record.cause.clone(),
                    _ => "the next attempt".to_owned(),
                };
                let claim = Claim {
                    run: record.run(),
                    pinned: record.pinned.clone(),
                    key: key.clone(),
                    attempt: record.attempt,
                    fence,
                    nonce: request.nonce,
                    session: session.clone(),
                    kill,
                    cause,
                };
                held(shared, state, claim, claims);
            }
            Ok(Taken::Busy) => {
                state.give_up_claim(job, key, request.nonce);
                not_before(state, job, key, HOLD);
            }
            Ok(Taken::Stale) => {
                shared.counters.plans_stale.add(1);
                state.give_up_claim(job, key, request.nonce);
                not_before(state, job, key, HOLD);
                if !from_wait {
                    state.view.doubt(&request.record, shared.now().wall);
                }
            }
            Err(error) => {
                came_to_nothing(&error, "cannot take", &request.record.run());
                state.give_up_claim(job, key, request.nonce);
                not_before(state, job, key, PAUSE.1);
            }
        }
    });
}

async fn settle(shared: &Shared, request: Settle) {
    let fires = &shared.coordination.fires;
    let answer = until_definite(shared, "fires.settle", || fires.settle(&request)).await;
    let RecordSeen { job, key, .. } = &request.record;
    shared.update(|state| {
        state.pending.remove(&(job.clone(), key.clone()));
        state.wakes.touch(job);
        match answer {
            Ok(Settled::Done(_) | Settled::Waiting) => {
                shared.counters.runs_settled.add(1);
                state.view.doubt(&request.record, shared.now().wall);
            }
            // The session may live on, or the kill may have run out: nothing is wrong with the view.
            Ok(Settled::Stale) => not_before(state, job, key, PAUSE.1),
            Err(error) => {
                came_to_nothing(&error, "cannot settle", &request.record.run());
                not_before(state, job, key, PAUSE.1);
            }
        }
    });
}

async fn hand_back(shared: &Shared, record: RecordSeen) {
    let fires = &shared.coordination.fires;
    let now = shared.now().wall;
    let request = End {
        job: record.job.clone(),
        key: record.key.clone(),
        fence: Fence::at(record.version),
        how: EndHow::HandBack {
            killed: rescue::killed_by(shared.state().kills.get(&record.run()), now),
        },
        worker: shared.config.name.clone(),
    };
    let answer = until_definite(shared, "fires.end", || fires.end(&request)).await;
    shared.update(|state| {
        state
            .pending
            .remove(&(record.job.clone(), record.key.clone()));
        match answer {
            Ok(Ended::Waiting | Ended::Done(_)) => shared.counters.runs_handed_back.add(1),
            Ok(Ended::Fenced) => state.view.doubt(&record, now),
            Err(error) => came_to_nothing(&error, "cannot hand back", &record.run()),
        }
        not_before(state, &record.job, &record.key, HOLD);
        state.wakes.touch(&record.job);
    });
}

async fn send_kill(shared: &Shared, kill: Kill) {
    let kills = &shared.coordination.kills;
    match until_definite(shared, "kills.send", || kills.send(&kill, RETAIN)).await {
        Ok(()) => shared.update(|state| state.note_kill(kill)),
        Err(error) => came_to_nothing(&error, "cannot send a kill", &kill.run),
    }
}

/// Steps about this record count as possible only from then on.
fn not_before(state: &mut State, job: &JobName, key: &RunKey, wait: Duration) {
    let from = Instant::now() + wait;
    let possible = state.possible.entry(job.clone()).or_default();
    possible.insert(key.clone(), from);
}

/// Notes that a plan about the job's ticks was refused.
fn refused(shared: &Shared, state: &mut State, job: &JobName) {
    shared.counters.plans_stale.add(1);
    let times = state.stale.get(job).map_or(0, |stale| stale.times) + 1;
    let hold = HOLD * 2_u32.saturating_pow(times.min(SUSPICIOUS) - 1);
    let (job_version, mark) = planned_with(state, job);
    let stale = Stale {
        job: job_version,
        mark,
        times,
        until: Instant::now() + hold,
    };
    state.stale.insert(job.clone(), stale);
    if times == SUSPICIOUS {
        shared.resync.set(());
    }
}

/// What a plan about the job's ticks would rest on now.
pub(super) fn planned_with(
    state: &State,
    job: &JobName,
) -> (
    Option<crate::backend::Version>,
    Option<(crate::backend::Version, Timestamp)>,
) {
    let entry = state.catalog.get(job).map(|entry| entry.stored.version);
    let mark = state.view.mark(job);
    (entry, mark.map(|mark| (mark.version, mark.value.at)))
}
