//! The planning loop: looks at the jobs that may need something, and sends what the plans say.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep};

use super::clock::Now;
use super::config::FleetMutant;
use super::dispatch::Claim;
use super::pass::Pass;
use super::requests::{Op, perform};
use super::state::{Phase, Shared, State};
use crate::job::JobName;

/// The most jobs looked at in one pass, so that the other parts of the worker have their turn.
const PASS: usize = 256;
/// The most requests on their way at once, for the reason that bounds the ends.
const IN_FLIGHT: usize = 16;
/// The longest sleep: a wall clock may jump.
const POLL: Duration = Duration::from_secs(1);

/// Plans for ever. Claims go to `claims`; requests that are on their way are finished even when the
/// worker drains.
pub(super) async fn schedule(shared: &Arc<Shared>, claims: UnboundedSender<Claim>) {
    let mut flight = FuturesUnordered::new();
    let mut ready = VecDeque::new();
    let mut swept = Instant::now();
    loop {
        let mut pause = Duration::MAX;
        if ready.is_empty() {
            if swept.elapsed() >= shared.config.sweep_every {
                swept = Instant::now();
                sweep(shared);
            }
            let ops;
            (ops, pause) = pass(shared);
            ready.extend(ops);
        }
        while flight.len() < IN_FLIGHT
            && let Some(op) = ready.pop_front()
        {
            flight.push(Box::pin(perform(Arc::clone(shared), op, claims.clone())));
        }
        let all_sent = ready.is_empty();
        tokio::select! {
            biased;
            Some(()) = flight.next(), if !flight.is_empty() => {}
            () = shared.wake.notified(), if all_sent => {}
            () = sleep(pause), if all_sent => {}
        }
    }
}

/// Looks at everything that has records, should an event have been missed.
fn sweep(shared: &Shared) {
    let now = Instant::now();
    let in_doubt = shared.update(|state| {
        let busy: Vec<JobName> = state.view.busy_jobs().cloned().collect();
        state.touch_all(busy);
        state.touch_done();
        state.peers.is_in_doubt(now)
    });
    if in_doubt {
        shared.resync.set(());
    }
}

/// One pass: the requests to send, and how long nothing else is to be done.
fn pass(shared: &Shared) -> (Vec<Op>, Duration) {
    let now = shared.now();
    let phase = shared.phase.get();
    let session = shared.claiming_session();
    let mut guard = shared.state();
    let state = &mut *guard;
    if !state.is_ready() {
        return (Vec::new(), POLL);
    }
    judge_clock(shared, state, now);
    judge_zone(shared, state);
    let free = match phase {
        Phase::Working => {
            (shared.limits().max_concurrent_runs).saturating_sub(state.claims.running())
        }
        Phase::Draining | Phase::Stopping => 0,
    };
    let jobs = state.wakes.take(now.wall, PASS);
    let ops = Pass::new(shared, now, free, session).ops(state, &jobs);
    let pause = match (state.wakes.is_touched(), state.wakes.next()) {
        (true, _) => Duration::ZERO,
        (false, Some(at)) => at.since(now.wall).min(POLL),
        (false, None) => POLL,
    };
    (ops, pause)
}

/// Whether this worker's clock may say that ticks are due.
fn judge_clock(shared: &Shared, state: &mut State, now: Now) {
    let doubted = !shared.config.is(FleetMutant::TrustOwnClock) && state.peers.doubts_clock(now);
    if doubted != state.clock_doubted {
        state.clock_doubted = doubted;
        shared.info_changed.notify_one();
        tracing::warn!(doubted, "the clock's standing among the peers' has changed");
    }
}

/// Whether this worker reads schedules in the zone that counts.
fn judge_zone(shared: &Shared, state: &mut State) {
    let elder = state.peers.elder(state.decides);
    state.decides = elder.is_none();
    if elder == state.elder {
        return;
    }
    match &elder {
        Some(elder) => {
            tracing::error!("it takes nothing new: {elder}");
            state.zone_before = Some(elder.time_zone.clone());
        }
        None => {
            tracing::info!("it takes jobs again: nobody decides in another zone any more");
            // At once: who starts now does not know what the other zone owed.
            let jobs: Vec<_> = state.catalog.iter().map(|(job, _)| job.clone()).collect();
            state.touch_all(jobs);
        }
    }
    state.elder = elder;
    shared.info_changed.notify_one();
}
