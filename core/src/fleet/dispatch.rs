//! From a claim to its end: history, hooks, the window, the process, and the word to the store.
//!
//! ```text
//! claim ─► history (≤ 250 ms) ─► before_run ─► window? ─► start ─► window? ─► attend ─► end ─► copy
//!              │                     │ refused      │ closed           │ closed
//!              │                     ▼              ▼                  ▼
//!              └ killed ──────────► failed      handed back       killed at once, lost(paused)
//! ```
//!
//! A panic anywhere in here is that run's failure and nobody else's.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::attend;
use super::config::FleetMutant;
use super::ending::clock_ahead;
use super::requests::until_answered;
use super::rescue;
use super::session::Window;
use super::state::{Phase, Shared};
use crate::backend::{
    DoneRecord, End, EndHow, Ended, Fence, Kill, Nonce, Pinned, RunHeader, SessionId,
};
use crate::error::WithSources;
use crate::job::JobName;
use crate::policy::LostRunPolicy;
use crate::ports::History;
use crate::random;
use crate::run::{Outcome, RunContext, RunId, RunKey, RunState};
use crate::time::Timestamp;

/// How long a run waits for the history that its hooks are shown.
const HISTORY_DEADLINE: Duration = Duration::from_millis(250);
/// How many runs the history covers.
const HISTORY_RUNS: u32 = 100;

/// A run that this worker holds.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// The run.
    pub(super) run: RunId,
    /// What it runs.
    pub(super) pinned: Pinned,
    /// What it stands for.
    pub(super) key: RunKey,
    /// From 1.
    pub(super) attempt: u32,
    /// As of the claim.
    pub(super) fence: Fence,
    /// Of the claim.
    pub(super) nonce: Nonce,
    /// It was claimed under this session.
    pub(super) session: SessionId,
    /// A kill that was sent before.
    pub(super) kill: Option<Kill>,
    /// Why it runs.
    pub(super) cause: String,
}

impl Claim {
    /// The job.
    pub(super) fn job(&self) -> &JobName {
        &self.pinned.job.name
    }
}

/// What has become of a claim.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It was not started and others may.
    HandBack,
    /// The attempt is over.
    Over(Outcome, Bytes),
    /// Somebody else has settled it; there is nothing to say any more.
    Fenced,
}

/// Attends to a claim until its end is with the store.
pub(super) async fn dispatch(shared: Arc<Shared>, claim: Claim) {
    let attended = AssertUnwindSafe(execute(&shared, &claim)).catch_unwind();
    let verdict = match attended.await {
        Ok(verdict) => verdict,
        Err(_) => {
            shared.counters.run_panics.add(1);
            tracing::error!(run = %claim.run, "a panic while the run was attended to");
            let cause = "an internal error ended the attempt (a panic; see the worker's log)";
            Verdict::Over(over(&shared, RunState::Failed, cause), Bytes::new())
        }
    };
    let fence = shared.update(|state| {
        let id = (claim.job().clone(), claim.key.clone());
        let active = state
            .claims
            .held
            .get_mut(&id)
            .filter(|run| run.nonce == claim.nonce)?;
        active.ending = true;
        active.fence
    });
    // The place is free; others may be waiting for it.
    shared.wake.notify_one();
    end(&shared, &claim, fence.unwrap_or(claim.fence), verdict).await;
    shared.update(|state| state.forget_run(claim.job(), &claim.key, claim.nonce));
}

fn over(shared: &Shared, state: RunState, cause: impl Into<String>) -> Outcome {
    Outcome::without_process(state, cause, shared.now().wall)
}

/// A kill of the run that is known by now.
pub(super) fn kill_of(shared: &Shared, claim: &Claim) -> Option<Kill> {
    if shared.config.is(FleetMutant::DeafToKills) {
        return None;
    }
    let known = shared.state().kills.get(&claim.run).cloned();
    known.or_else(|| claim.kill.clone())
}

/// The window, if the claim's session is still the present one.
fn window_of(shared: &Shared, claim: &Claim) -> Option<Window> {
    let window = shared.window.get();
    window.filter(|window| window.session == claim.session)
}

async fn execute(shared: &Arc<Shared>, claim: &Claim) -> Verdict {
    let context = RunContext {
        id: claim.run.clone(),
        key: claim.key.clone(),
        job: Arc::clone(&claim.pinned.job),
        attempt: claim.attempt,
        fence: claim.fence.get(),
        worker: shared.config.name.clone(),
    };
    if let Some(kill) = kill_of(shared, claim) {
        let outcome = rescue::killed_by(Some(&kill), shared.now().wall);
        return Verdict::Over(outcome, Bytes::new());
    }
    let reading = shared.records.runs.history(claim.job(), HISTORY_RUNS);
    let history = match timeout(HISTORY_DEADLINE, reading).await {
        Ok(Ok(history)) => history,
        Ok(Err(_)) | Err(_) => History::default(),
    };
    let default_limit = shared.limits().default_limit;
    let policy = shared
        .hooks
        .before_run(&context, &history, default_limit)
        .await;
    if let Some(cause) = policy.refuse {
        let mut outcome = over(shared, RunState::Failed, cause);
        outcome.notes = policy.notes;
        return Verdict::Over(outcome, Bytes::new());
    }
    if let Some(kill) = kill_of(shared, claim) {
        let outcome = rescue::killed_by(Some(&kill), shared.now().wall);
        return Verdict::Over(outcome, Bytes::new());
    }
    let careless = shared.config.is(FleetMutant::StartWithoutWindow);
    let window = window_of(shared, claim);
    let open = |window: &Window| careless || window.may_start(shared.now());
    let draining = shared.phase.get() != Phase::Working;
    let Some(window) = window.filter(|window| open(window) && !draining) else {
        return Verdict::HandBack;
    };
    let limits = window.contact_limits(claim.pinned.job.lost_after);
    let started_at = shared.now().wall;
    let alive_for = attend::alive_for(shared, &window, limits.dead);
    let mut process = match shared.executor.start(&context, alive_for).await {
        Ok(process) => process,
        Err(error) => {
            let mut outcome = over(shared, RunState::Failed, error.cause);
            outcome.notes = policy.notes;
            return Verdict::Over(outcome, Bytes::new());
        }
    };
    shared.counters.runs_started.add(1);
    // A retry is late by design.
    if let (Some(due), 1) = (claim.key.fire_time(), claim.attempt) {
        shared.starts.count(shared.now().wall.since(due));
    }
    let kill = note_started(shared, claim, started_at);
    if !careless && !window.is_trusted(shared.now()) {
        // Frozen between the two looks: it should not have been started.
        process.terminate(Duration::ZERO);
        let ended = process.wait().await;
        let cause = match window.ran_ahead(window.trusted_for(), shared.now()) {
            Some(by) => format!("{} while the run started", clock_ahead(by)),
            None => "the worker was paused while the run started".to_owned(),
        };
        let mut outcome = over(shared, RunState::Lost, cause);
        outcome.started_at = Some(started_at);
        outcome.output = ended.output;
        return Verdict::Over(outcome, ended.tail);
    }
    attend::attend(shared, claim, window, policy, process, started_at, kill).await
}

fn note_started(shared: &Shared, claim: &Claim, at: Timestamp) -> Arc<Notify> {
    shared.update(|state| {
        let id = (claim.job().clone(), claim.key.clone());
        match state.claims.held.get_mut(&id) {
            Some(active) => {
                active.started_at = Some(at);
                Arc::clone(&active.kill)
            }
            None => Arc::new(Notify::new()),
        }
    })
}

/// Tells the store how the hold ends, for as long as it takes to get an answer.
async fn end(shared: &Shared, claim: &Claim, fence: Fence, verdict: Verdict) {
    let (how, tail) = match verdict {
        Verdict::Fenced => {
            shared.counters.runs_fenced.add(1);
            return;
        }
        Verdict::HandBack => {
            shared.counters.runs_handed_back.add(1);
            let kill = kill_of(shared, claim);
            let killed = rescue::killed_by(kill.as_ref(), shared.now().wall);
            (EndHow::HandBack { killed }, Bytes::new())
        }
        Verdict::Over(outcome, tail) => (how_to_end(shared, claim, outcome), tail),
    };
    if let (EndHow::Terminal(outcome), true) = (&how, shared.config.is(FleetMutant::LogBeforeEnd)) {
        log_early(shared, claim, fence, outcome).await;
    }
    shared.update(|state| state.keep_tail(&claim.run, tail));
    let request = End {
        job: claim.job().clone(),
        key: claim.key.clone(),
        fence,
        how,
        worker: shared.config.name.clone(),
    };
    let fires = &shared.coordination.fires;
    // An error would mean that it was closed, which nobody does.
    let turn = shared.ends.acquire().await;
    let answer = until_answered(shared, "fires.end", || fires.end(&request)).await;
    drop(turn);
    match answer {
        Ok(Ended::Done(_)) => shared.counters.runs_ended.add(1),
        Ok(Ended::Waiting) => {
            shared.counters.runs_ended.add(1);
            note_queued(shared, claim, &request).await;
        }
        Ok(Ended::Fenced) => {
            shared.counters.runs_fenced.add(1);
            tracing::warn!(run = %claim.run, "the run's end had been settled");
        }
        Err(error) => {
            let error = WithSources(&error);
            tracing::error!(%error, run = %claim.run, "cannot end the run");
        }
    }
}

/// Whether the run is over with this outcome, or waits for another attempt.
fn how_to_end(shared: &Shared, claim: &Claim, outcome: Outcome) -> EndHow {
    let job = &claim.pinned.job;
    let reruns = match (job.on_lost, outcome.state) {
        (LostRunPolicy::Rerun { max }, RunState::Lost) => max,
        _ => 0,
    };
    let wanted = job.retry.wants(
        claim.attempt,
        outcome.state,
        outcome.exit_code,
        outcome.signal,
    );
    let wait = match (
        wanted,
        claim.attempt <= job.retry.max.saturating_add(reruns),
    ) {
        (true, _) => {
            let dice = random::unit(&*shared.random);
            job.retry.backoff.wait_after(claim.attempt, dice)
        }
        (false, true) if reruns > 0 => Duration::ZERO,
        (false, _) => return EndHow::Terminal(outcome),
    };
    let other = job.retry.other_worker || outcome.state == RunState::Lost;
    let kill = kill_of(shared, claim);
    EndHow::Retry {
        not_before: shared.now().wall.plus(wait),
        exclude: other.then(|| shared.config.name.clone()),
        killed: rescue::killed_by(kill.as_ref(), shared.now().wall),
    }
}

/// Tells the run log that the run waits; best effort, since the store knows.
async fn note_queued(shared: &Shared, claim: &Claim, request: &End) {
    let EndHow::Retry { not_before, .. } = &request.how else {
        return;
    };
    let header = RunHeader {
        id: claim.run.clone(),
        job: claim.job().clone(),
        key: claim.key.clone(),
        state: RunState::Queued,
        attempt: claim.attempt,
        worker: shared.config.name.clone(),
        started_at: shared.now().wall,
        next_attempt_at: Some(*not_before),
        cause: "it waits for its next attempt".to_owned(),
    };
    let begin = shared.records.sink.begin(&header, request.fence);
    if !matches!(timeout(shared.config.call_timeout, begin).await, Ok(Ok(()))) {
        tracing::debug!(run = %claim.run, "the run log does not know that the run waits");
    }
}

/// The defect [`FleetMutant::LogBeforeEnd`].
async fn log_early(shared: &Shared, claim: &Claim, fence: Fence, outcome: &Outcome) {
    let done = DoneRecord {
        job: claim.job().clone(),
        key: claim.key.clone(),
        span: None,
        outcome: outcome.clone(),
        attempts: claim.attempt,
        fence: fence.get(),
        worker: shared.config.name.clone(),
        streak_before: crate::policy::Streak::default(),
        streak: crate::policy::Streak::default(),
        pinned: Some(claim.pinned.clone()),
    };
    let _ = timeout(
        shared.config.call_timeout,
        shared.records.sink.finish(&done),
    )
    .await;
}
