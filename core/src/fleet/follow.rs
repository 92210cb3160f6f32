//! How a local view follows a store: snapshot, watch, and all over again when anything breaks.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::config::FleetMutant;
use super::state::Shared;
use crate::backend::Result;
use crate::error::{BackendError, ErrorKind};

/// The first and the longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A view that can be built from nothing.
pub(super) trait Follow {
    /// What it follows, for the log.
    const WHAT: &'static str;

    /// Reads a snapshot and applies changes until the watch ends.
    fn once(shared: &Arc<Shared>) -> impl Future<Output = Result<()>> + Send;
}

/// Follows for ever. Starts anew when the watch ends, when a resync is asked for, and every
/// `resync_every`.
pub(super) async fn follow<F: Follow>(shared: &Arc<Shared>) {
    let mut pause = PAUSE.0;
    loop {
        let asked = shared.resync.listen();
        let began = Instant::now();
        let every = match shared.config.is(FleetMutant::NoResync) {
            true => Duration::from_secs(u64::from(u32::MAX)),
            false => shared.config.resync_every,
        };
        tokio::select! {
            biased;
            () = asked.changed() => {}
            () = sleep(every) => {}
            ended = F::once(shared) => {
                match ended {
                    Ok(()) => {}
                    Err(error) if error.kind == ErrorKind::CursorExpired => {}
                    Err(error) => tracing::warn!(%error, "cannot follow {}", F::WHAT),
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
        if began.elapsed() > 4 * PAUSE.1 {
            pause = PAUSE.0;
        }
    }
}

/// Bounds a read by the worker's call timeout.
pub(super) async fn in_time<T>(
    shared: &Shared,
    op: &'static str,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    within(shared.config.call_timeout, op, call).await
}

/// Bounds a call that may take this long.
pub(super) async fn within<T>(
    limit: Duration,
    op: &'static str,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    match timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_) => Err(BackendError::new(op, ErrorKind::Timeout).effect_unknown()),
    }
}
