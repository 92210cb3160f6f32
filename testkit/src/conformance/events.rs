//! Waiting for events with a deadline, so that a backend that says nothing fails instead of hanging.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use sandclock_core::backend::{Events, Result};

/// Longer than any lease in the suite; only a wrong backend ever waits so long.
const DEADLINE: Duration = Duration::from_secs(60);

/// The future's output, or a panic at the deadline.
pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: nothing happened for {DEADLINE:?}"),
    }
}

/// The next item of a watch, error or not.
pub(super) async fn next_item<T>(events: &mut Events<T>) -> Result<T> {
    let item = within("the next event", events.next()).await;
    item.expect("a watch does not end without an error")
}

/// The next event of a watch.
pub(super) async fn next<T>(events: &mut Events<T>) -> T {
    next_item(events).await.expect("the watch goes on")
}

/// Reads up to and including the first event that `wanted` accepts; returns them all.
pub(super) async fn until<T: Debug>(
    events: &mut Events<T>,
    mut wanted: impl FnMut(&T) -> bool,
) -> Vec<T> {
    let mut read = Vec::new();
    loop {
        let event = next(events).await;
        let found = wanted(&event);
        read.push(event);
        if found {
            return read;
        }
    }
}

/// Whatever is left of a watch that was broken, and that it then ends.
pub(super) async fn rest<T>(events: &mut Events<T>) -> (Vec<T>, sandclock_core::BackendError) {
    let mut read = Vec::new();
    loop {
        match next_item(events).await {
            Ok(event) => read.push(event),
            Err(error) => {
                let end = within("the end after the error", events.next()).await;
                assert!(end.is_none(), "a watch ends after its error");
                return (read, error);
            }
        }
    }
}
