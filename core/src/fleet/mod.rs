//! The fleet: what a worker does, from its first session to its last.
//!
//! A [`Worker`] is one future that drives all its parts; nothing is spawned. So whoever runs it can
//! stop polling it (a paused process), drop it (a crash) and repeat it bit for bit (a simulation).
//!
//! | part | does |
//! |---|---|
//! | `session` | keeps the lease; the trust window says what may still be done (S4) |
//! | `catalog`, `view`, `peers`, `kills` | local views that follow the store (`follow`) |
//! | `claims` | what this worker has claimed itself |
//! | `planner`, `rescue`, `rank`, `clock` | pure: what should be done now, and by whom first |
//! | `known` | what this worker has seen, as `rescue` asks for it |
//! | `agenda`, `wake` | which job to look at next |
//! | `scheduler`, `pass`, `requests` | ask the store, again until the answer is definite (S6) |
//! | `outage` | whether the store carries them out, for readiness and the log |
//! | `dispatch`, `attend`, `ending` | one claimed run, from hooks to its end |
//! | `rebind` | a run that is kept when its session is gone and another one is there |
//! | `drain` | the end of its work, for good or until its process is started again (L3) |
//! | `copy` | done records to the run log, alerts to the outbox (S8) |
//!
//! The parts share [`state::Shared`]. None waits for another: the session is renewed whatever hooks,
//! stores and plans are doing.

mod agenda;
mod attend;
mod catalog;
mod claims;
mod clock;
mod config;
mod copy;
mod counters;
mod dispatch;
mod drain;
mod ending;
mod follow;
mod handle;
mod kills;
mod known;
mod outage;
mod pass;
mod peers;
mod planner;
mod rank;
mod rebind;
mod recovery;
mod requests;
mod rescue;
mod scheduler;
mod session;
mod signal;
mod skew;
mod state;
mod view;
mod wake;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::backend::{Coordination, Records};
use crate::ports::{Executor, Hooks};
use crate::random::Random;
use crate::time::Clock;

pub use catalog::CatalogJob;
pub use clock::TOLERANCE_MS as CLOCK_TOLERANCE_MS;
pub use config::{FleetMutant, Limits, WorkerConfig};
pub use counters::CountersSnapshot;
pub use handle::{RunningRun, WorkerHandle, WorkerStatus};
pub use outage::Outage;
pub use peers::Elder;
pub use skew::{START_SKEW_BOUNDS, StartSkew};

use dispatch::Claim;
use follow::follow;
use state::Shared;

/// A part of a worker, which goes on for ever.
type Part<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One worker of the fleet. It does nothing until [`Worker::run`] is polled.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
}

/// How a worker stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Runs whose end could not be told; others will settle them.
    pub unfinished: usize,
}

impl Worker {
    /// A worker over these stores. `random` makes nonces and jitter: it must differ between processes.
    pub fn new(
        config: WorkerConfig,
        coordination: Coordination,
        records: Records,
        hooks: Arc<dyn Hooks>,
        executor: Arc<dyn Executor>,
        clock: Arc<dyn Clock>,
        random: Box<dyn Random>,
    ) -> Self {
        let shared = Shared::new(
            config,
            coordination,
            records,
            hooks,
            executor,
            clock,
            random,
        );
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What others in the process may see and ask of the worker.
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle::new(Arc::clone(&self.shared))
    }

    /// Works until `shutdown` is ready or [`WorkerHandle::drain`] was called and all runs have ended.
    ///
    /// A worker that is asked to drain through the store stops claiming and goes on without work.
    ///
    /// On shutdown it stops claiming, lets its runs end for `drain_timeout`, then ends them, and at last
    /// closes its session, so that others take over at once (L3). Dropping the future is a crash: others
    /// settle its runs after their `lost_after`.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Stopped {
        let shared = self.shared;
        let (claims, claimed) = unbounded_channel();
        // Each part is polled when something woke it, and only then.
        let parts: [Part<'_>; 10] = [
            Box::pin(session::keep(&shared)),
            Box::pin(follow::<kills::FollowKills>(&shared)),
            Box::pin(follow::<peers::FollowSessions>(&shared)),
            Box::pin(follow::<catalog::FollowJobs>(&shared)),
            Box::pin(follow::<view::FollowFires>(&shared)),
            Box::pin(scheduler::schedule(&shared, claims)),
            Box::pin(attend_all(&shared, claimed)),
            Box::pin(copy::copy(&shared)),
            Box::pin(copy::prune(&shared)),
            Box::pin(drain::on_request(&shared)),
        ];
        let mut parts: FuturesUnordered<Part<'_>> = parts.into_iter().collect();
        let mut drained = Box::pin(drain::before_leaving(&shared, shutdown));
        loop {
            tokio::select! {
                biased;
                () = &mut drained => break,
                // None of them ever ends.
                Some(()) = parts.next() => {}
            }
        }
        drop(parts);
        let unfinished = shared.state().claims.held.len();
        close(&shared).await;
        Stopped { unfinished }
    }
}

/// Drives every claimed run to its end.
async fn attend_all(shared: &Arc<Shared>, mut claimed: UnboundedReceiver<Claim>) {
    let mut runs = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(claim) = claimed.recv() => {
                runs.push(Box::pin(dispatch::dispatch(Arc::clone(shared), claim)));
            }
            Some(()) = runs.next(), if !runs.is_empty() => {}
        }
    }
}

/// Closes the session, so that nobody has to wait for its lease to run out.
async fn close(shared: &Shared) {
    let session = shared.window.get().map(|window| window.session);
    let Some(session) = session else { return };
    let close = shared.coordination.sessions.close(&session);
    if !matches!(timeout(shared.config.call_timeout, close).await, Ok(Ok(()))) {
        tracing::warn!(%session, "the session is left to run out");
    }
}
