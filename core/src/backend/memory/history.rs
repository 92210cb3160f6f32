//! The history of changes: one list for all kinds, bounded, with positions that cursors name.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::backend::{Cursor, FireEvent, JobEvent, Kill, SessionEvent};

/// How many changes are kept for watches that lag.
const KEPT: usize = 10_000;

/// A change of the store.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Job(JobEvent),
    Session(SessionEvent),
    Fire(FireEvent),
    Kill(Kill),
}

/// What happened, in order. A position counts all changes before it, since the store began.
#[derive(Debug, Default)]
pub(super) struct History {
    start: u64,
    events: VecDeque<Event>,
}

/// What stands at a position.
#[derive(Debug)]
pub(super) enum At<'a> {
    Event(&'a Event),
    /// Nothing has happened since.
    End,
    /// It was there, but is forgotten.
    Gone,
}

impl History {
    pub(super) fn push(&mut self, event: Event) {
        self.events.push_back(event);
        if self.events.len() > KEPT {
            self.events.pop_front();
            self.start += 1;
        }
    }

    /// The position after the last change.
    pub(super) fn end(&self) -> u64 {
        self.start + u64::try_from(self.events.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn compact(&mut self) {
        self.start = self.end();
        self.events.clear();
    }

    /// Whether everything after a position is still known, and the position is not ahead.
    pub(super) fn reaches(&self, position: u64) -> bool {
        (self.start..=self.end()).contains(&position)
    }

    pub(super) fn at(&self, position: u64) -> At<'_> {
        let Some(index) = position.checked_sub(self.start) else {
            return At::Gone;
        };
        let event = usize::try_from(index).ok().and_then(|i| self.events.get(i));
        event.map_or(At::End, At::Event)
    }
}

/// The cursor that names a position.
pub(super) fn cursor(position: u64) -> Cursor {
    Cursor(Bytes::copy_from_slice(&position.to_be_bytes()))
}

/// The position that a cursor names, if it is one of this store's.
pub(super) fn position(cursor: &Cursor) -> Option<u64> {
    let bytes: [u8; 8] = cursor.0.as_ref().try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}
