//! Watches: streams that follow the history and wake for what expires.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use futures_util::stream;
use tokio::time::Instant;

use super::Shared;
use super::history::{self, At, Event};
use super::state::State;
use crate::backend::{Cursor, Events, Result};
use crate::error::{BackendError, ErrorKind};

/// A watch that has skipped this many changes of other kinds says where it is.
const PROGRESS_EVERY: u64 = 64;

/// What distinguishes one kind of watch from another.
#[derive(Debug)]
pub(super) struct Kind<T> {
    /// The contract method, for errors.
    pub(super) op: &'static str,
    /// What a change means to the reader, if anything; with the position after it.
    pub(super) pick: fn(u64, &Event) -> Option<T>,
    /// Says that the reader has seen everything before a position.
    pub(super) progress: Option<fn(u64) -> T>,
    /// When something expires that the reader would want to learn.
    pub(super) expiry: fn(&State) -> Option<Instant>,
}

/// Where a watch is.
struct Watch<T> {
    shared: Arc<Shared>,
    kind: Kind<T>,
    /// Goes out before anything else.
    first: VecDeque<T>,
    position: u64,
    /// The position that the reader knows of.
    told: u64,
    epoch: u64,
    broken: bool,
}

/// What a look at the store yields.
enum Look<T> {
    Item(T),
    Broken(ErrorKind),
    WaitUntil(Option<Instant>),
}

impl Shared {
    /// A watch that goes on from a cursor.
    pub(super) fn follow<T: Send + 'static>(
        self: &Arc<Self>,
        kind: Kind<T>,
        from: &Cursor,
    ) -> Result<Events<T>> {
        let place = self.change(|state| {
            let at = history::position(from).filter(|at| state.history.reaches(*at));
            at.map(|at| (at, state.epoch))
        });
        let Some((position, epoch)) = place else {
            return Err(BackendError::new(kind.op, ErrorKind::CursorExpired));
        };
        Ok(self.events(kind, epoch, position, Vec::new()))
    }

    /// A watch that begins with what `first` makes of the state as it is.
    pub(super) fn announce<T: Send + 'static>(
        self: &Arc<Self>,
        kind: Kind<T>,
        first: impl FnOnce(&State) -> Vec<T>,
    ) -> Events<T> {
        let (first, position, epoch) =
            self.change(|state| (first(state), state.history.end(), state.epoch));
        self.events(kind, epoch, position, first)
    }

    fn events<T: Send + 'static>(
        self: &Arc<Self>,
        kind: Kind<T>,
        epoch: u64,
        position: u64,
        first: Vec<T>,
    ) -> Events<T> {
        let watch = Watch {
            shared: Arc::clone(self),
            kind,
            first: first.into(),
            position,
            told: position,
            epoch,
            broken: false,
        };
        let next = |mut watch: Watch<T>| async move { Some((watch.next().await?, watch)) };
        Box::pin(stream::unfold(watch, next))
    }
}

impl<T> Watch<T> {
    async fn next(&mut self) -> Option<Result<T>> {
        if self.broken {
            return None;
        }
        loop {
            let shared = Arc::clone(&self.shared);
            let mut changed = pin!(shared.changed.notified());
            changed.as_mut().enable();
            match shared.change(|state| self.look(state)) {
                Look::Item(item) => return Some(Ok(item)),
                Look::Broken(kind) => {
                    self.broken = true;
                    return Some(Err(BackendError::new(self.kind.op, kind)));
                }
                Look::WaitUntil(None) => changed.await,
                Look::WaitUntil(Some(at)) => tokio::select! {
                    biased;
                    () = &mut changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    fn look(&mut self, state: &State) -> Look<T> {
        if self.epoch != state.epoch {
            return Look::Broken(ErrorKind::Unavailable);
        }
        if let Some(item) = self.first.pop_front() {
            return Look::Item(item);
        }
        loop {
            match state.history.at(self.position) {
                At::Gone => return Look::Broken(ErrorKind::CursorExpired),
                At::End => break,
                At::Event(event) => {
                    self.position += 1;
                    if let Some(item) = (self.kind.pick)(self.position, event) {
                        self.told = self.position;
                        return Look::Item(item);
                    }
                }
            }
        }
        match self.kind.progress {
            Some(progress) if self.position - self.told >= PROGRESS_EVERY => {
                self.told = self.position;
                Look::Item(progress(self.position))
            }
            _ => Look::WaitUntil((self.kind.expiry)(state)),
        }
    }
}
