//! The end of a worker's work (L3): it takes nothing new, lets its runs end within `drain_timeout`, and then ends
//! them.
//!
//! Whoever stops its process has it leave: afterwards it closes its session and is gone. Who asks through the store
//! has it stay without work until its process is stopped, because what starts processes again when they end would
//! put it back to work at once.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::state::{Phase, Shared};

/// How long a worker that ends its runs waits for the store to hear of it.
const LAST_WORDS: Duration = Duration::from_secs(15);
/// How often a draining worker looks whether it is done.
const POLL: Duration = Duration::from_millis(100);

/// Resolves once the worker has been told to leave, by `shutdown` or its handle, and holds nothing any more or has
/// waited long enough.
pub(super) async fn before_leaving(shared: &Arc<Shared>, shutdown: impl Future<Output = ()>) {
    let mut leave = shared.leave.listen();
    let told = async {
        while !leave.get() {
            leave.changed().await;
        }
    };
    tokio::select! {
        biased;
        () = shutdown => {}
        () = told => {}
    }
    drain(shared).await;
}

/// Drains once that is asked for through the store. Never ends.
pub(super) async fn on_request(shared: &Arc<Shared>) {
    let mut asked = shared.drain_asked.listen();
    while !asked.get() {
        asked.changed().await;
    }
    tracing::warn!("asked to drain: takes nothing new until its process is started again");
    drain(shared).await;
    tracing::info!("drained");
    pending().await
}

async fn drain(shared: &Shared) {
    enter(shared, Phase::Draining);
    if timeout(shared.limits().drain_timeout, idle(shared))
        .await
        .is_err()
    {
        enter(shared, Phase::Stopping);
        let _ = timeout(LAST_WORDS, idle(shared)).await;
    }
}

pub(super) fn enter(shared: &Shared, phase: Phase) {
    shared.phase.update(|now| {
        let later = *now < phase;
        *now = phase.max(*now);
        later
    });
    shared.info_changed.notify_one();
    shared.wake.notify_one();
}

/// Resolves once no run is held, no claim is on its way and the own ends are copied.
async fn idle(shared: &Shared) {
    loop {
        {
            let state = shared.state();
            let mine = |name: &String| *name == shared.config.name;
            let copied = !state
                .view
                .done
                .values()
                .any(|d| mine(&d.record.value.worker));
            if state.claims.held.is_empty() && state.deciding.is_empty() && copied {
                return;
            }
        }
        sleep(POLL).await;
    }
}
