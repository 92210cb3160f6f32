//! A bounded history of changes and the streams that follow it.
//!
//! A position counts all changes before it. A reader that falls behind what is kept is told so with
//! `CursorExpired` and takes a new snapshot; nobody waits for readers.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream;
use sandclock_core::backend::{Events, Result};
use sandclock_core::{BackendError, ErrorKind};
use tokio::sync::watch;
use tokio::time::Instant;

/// How many changes are kept for readers that lag.
pub(crate) const KEPT: usize = 16_384;

/// How many changes a stream takes over at once.
const BATCH: usize = 256;

/// The changes from a position on.
#[derive(Debug)]
pub(crate) struct History<E> {
    start: u64,
    events: VecDeque<E>,
}

impl<E: Clone> History<E> {
    /// An empty history that goes on from a position.
    pub(crate) fn from(start: u64) -> Self {
        Self {
            start,
            events: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, event: E) {
        self.events.push_back(event);
        if self.events.len() > KEPT {
            self.events.pop_front();
            self.start += 1;
        }
    }

    /// The position after the last change.
    pub(crate) fn end(&self) -> u64 {
        self.start + u64::try_from(self.events.len()).unwrap_or(u64::MAX)
    }

    /// Forgets everything, and goes on from a position that nobody has seen the way to.
    pub(crate) fn jump(&mut self, to: u64) {
        self.events.clear();
        self.start = to;
    }

    /// The next changes from `position` on; `None` if they are forgotten or never were.
    pub(crate) fn after(&self, position: u64) -> Option<Vec<E>> {
        let skip = usize::try_from(position.checked_sub(self.start)?).ok()?;
        (skip <= self.events.len())
            .then(|| self.events.iter().skip(skip).take(BATCH).cloned().collect())
    }
}

/// What a source has at a position.
#[derive(Debug)]
pub(crate) enum Look<E> {
    /// These changes.
    Events(Vec<E>),
    /// Nothing yet. Worth another look at this instant, if any, even without a wake-up.
    Nothing(Option<Instant>),
    /// The stream ends with this.
    Over(ErrorKind),
}

/// Something with a history that streams can follow.
pub(crate) trait Source: Send + Sync + 'static {
    /// A change.
    type Event: Clone + Send + 'static;

    /// What there is from `position` on. `epoch` is what [`Source::epoch`] was when the stream began.
    fn look(&self, position: u64, epoch: u64) -> Look<Self::Event>;

    /// Grows when all streams are to end.
    fn epoch(&self) -> u64;

    /// Wakes with every change.
    fn subscribe(&self) -> watch::Receiver<()>;
}

/// What a stream makes of a change, given the position after it.
pub(crate) type Pick<E, T> = fn(u64, E) -> Option<T>;

/// Where a stream is.
struct Follower<S: Source, T> {
    source: Arc<S>,
    op: &'static str,
    pick: Pick<S::Event, T>,
    woken: watch::Receiver<()>,
    position: u64,
    epoch: u64,
    ready: VecDeque<T>,
    over: bool,
}

/// A stream of `first` and then of what `pick` makes of every change from `position` on.
pub(crate) fn follow<S: Source, T: Send + 'static>(
    source: &Arc<S>,
    op: &'static str,
    position: u64,
    first: Vec<T>,
    pick: Pick<S::Event, T>,
) -> Events<T> {
    let follower = Follower {
        source: Arc::clone(source),
        op,
        pick,
        woken: source.subscribe(),
        position,
        epoch: source.epoch(),
        ready: first.into(),
        over: false,
    };
    let next =
        |mut follower: Follower<S, T>| async move { Some((follower.next().await?, follower)) };
    Box::pin(stream::unfold(follower, next))
}

impl<S: Source, T> Follower<S, T> {
    async fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            if self.over {
                return None;
            }
            self.woken.mark_unchanged();
            match self.source.look(self.position, self.epoch) {
                Look::Events(events) => self.take(events),
                Look::Over(kind) => {
                    self.over = true;
                    return Some(Err(BackendError::new(self.op, kind)));
                }
                Look::Nothing(until) => self.wait(until).await,
            }
        }
    }

    fn take(&mut self, events: Vec<S::Event>) {
        for event in events {
            self.position += 1;
            self.ready.extend((self.pick)(self.position, event));
        }
    }

    /// Waits for a change or an instant. A source that is gone has said so in its last look.
    async fn wait(&mut self, until: Option<Instant>) {
        let woken = async {
            if self.woken.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        match until {
            None => woken.await,
            Some(at) => tokio::select! {
                biased;
                () = woken => {}
                () = tokio::time::sleep_until(at) => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_or_ahead_is_said() {
        let mut history = History::from(100);
        for n in 0..3 {
            history.push(n);
        }
        assert_eq!(history.end(), 103);
        assert_eq!(history.after(99), None, "before it began");
        assert_eq!(history.after(100), Some(vec![0, 1, 2]));
        assert_eq!(history.after(102), Some(vec![2]));
        assert_eq!(history.after(103), Some(vec![]), "nothing yet");
        assert_eq!(history.after(104), None, "ahead");
        history.jump(200);
        assert_eq!(history.after(103), None);
        assert_eq!(history.after(200), Some(vec![]));
    }

    #[test]
    fn a_reader_that_lags_too_far_is_overrun() {
        let mut history = History::from(0);
        let kept = u64::try_from(KEPT).unwrap();
        for n in 0..kept + 5 {
            history.push(n);
        }
        assert_eq!(history.after(4), None);
        let first = history.after(5).unwrap();
        assert_eq!((first.len(), first.first()), (BATCH, Some(&5)));
        assert_eq!(history.end(), kept + 5);
    }
}
