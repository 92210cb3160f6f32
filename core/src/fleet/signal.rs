//! A value that others wait for the change of, woken in the order in which they began to wait.
//!
//! Tokio's `watch` wakes its receivers in an order that it draws at random, which a simulation that is
//! to be repeated from a seed cannot have.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The value.
#[derive(Debug)]
pub(super) struct Signal<T> {
    cell: Arc<Cell<T>>,
}

#[derive(Debug)]
struct Cell<T> {
    /// How often it was set, and to what.
    value: Mutex<(u64, T)>,
    changed: Notify,
}

/// Somebody who waits for changes.
#[derive(Debug)]
pub(super) struct Listener<T> {
    cell: Arc<Cell<T>>,
    seen: u64,
}

impl<T> Cell<T> {
    fn lock(&self) -> MutexGuard<'_, (u64, T)> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Signal<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            cell: Arc::new(Cell {
                value: Mutex::new((0, value)),
                changed: Notify::new(),
            }),
        }
    }

    /// The value as it is.
    pub(super) fn get(&self) -> T {
        self.cell.lock().1.clone()
    }

    /// Changes the value and wakes everybody who waits, if `change` says that it did.
    pub(super) fn update(&self, change: impl FnOnce(&mut T) -> bool) {
        let changed = {
            let mut value = self.cell.lock();
            let changed = change(&mut value.1);
            value.0 += u64::from(changed);
            changed
        };
        if changed {
            self.cell.changed.notify_waiters();
        }
    }

    /// Sets the value and wakes everybody who waits.
    pub(super) fn set(&self, to: T) {
        self.update(|value| {
            *value = to;
            true
        });
    }

    /// Listens to changes from now on.
    pub(super) fn listen(&self) -> Listener<T> {
        Listener {
            cell: Arc::clone(&self.cell),
            seen: self.cell.lock().0,
        }
    }
}

impl<T: Clone> Listener<T> {
    /// The value as it is; later changes are news.
    pub(super) fn get(&mut self) -> T {
        let value = self.cell.lock();
        self.seen = value.0;
        value.1.clone()
    }

    /// Resolves once the value has been set since the last look. Cancel-safe.
    pub(super) async fn changed(&self) {
        let mut changed = pin!(self.cell.changed.notified());
        loop {
            changed.as_mut().enable();
            if self.cell.lock().0 != self.seen {
                return;
            }
            changed.as_mut().await;
            changed.set(self.cell.changed.notified());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_listener_hears_of_every_change_once() {
        let signal = Signal::new(1);
        let mut listener = signal.listen();
        assert!(listener.changed().now_or_never().is_none());
        signal.set(2);
        signal.update(|_| false);
        assert!(listener.changed().now_or_never().is_some());
        assert_eq!(listener.get(), 2);
        assert!(listener.changed().now_or_never().is_none());
    }
}
