//! The feed of committed changes: of jobs, of the protocol's records, and of kills.
//!
//! Positions go on in the file from one process to the next, so that a cursor of an earlier life is
//! either still exact or known to be too old, never mistaken for another place.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sandclock_core::backend::{Cursor, Events, FireEvent, JobEvent, Kill, Result};
use sandclock_core::{BackendError, ErrorKind};
use tokio::sync::watch;

use crate::history::{History, Look, Pick, Source, follow};

/// A reader that has skipped this many changes of other kinds is told where it is.
const PROGRESS_EVERY: u64 = 64;

/// A change that was committed.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Job(JobEvent),
    Fire(FireEvent),
    Kill(Kill),
}

/// The feed.
#[derive(Debug)]
pub(crate) struct Changes {
    kept: Mutex<Kept>,
    woken: watch::Sender<()>,
}

#[derive(Debug)]
struct Kept {
    history: History<Arc<Change>>,
    epoch: u64,
}

impl Changes {
    /// A feed that goes on from the position in the file.
    pub(crate) fn from(position: u64) -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::new(Kept {
                history: History::from(position),
                epoch: 0,
            }),
            woken: watch::Sender::new(()),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what was committed.
    pub(crate) fn publish(&self, changes: impl IntoIterator<Item = Change>) {
        let mut kept = self.kept();
        changes
            .into_iter()
            .for_each(|change| kept.history.push(Arc::new(change)));
        drop(kept);
        self.woken.send_replace(());
    }

    /// Nobody can say what happened up to `position`: every reader takes a new snapshot.
    pub(crate) fn forget(&self, position: u64) {
        self.kept().history.jump(position);
        self.woken.send_replace(());
    }

    /// Ends every stream with `Unavailable`.
    pub(crate) fn end_streams(&self) {
        self.kept().epoch += 1;
        self.woken.send_replace(());
    }

    /// Follows one kind of change from a cursor on.
    ///
    /// # Errors
    /// `CursorExpired` if what follows the cursor is not known any more.
    pub(crate) fn watch<T: Send + 'static>(
        self: &Arc<Self>,
        op: &'static str,
        from: &Cursor,
        pick: Pick<Arc<Change>, T>,
    ) -> Result<Events<T>> {
        let known = |at: &u64| self.kept().history.after(*at).is_some();
        let Some(position) = position(from).filter(known) else {
            return Err(BackendError::new(op, ErrorKind::CursorExpired));
        };
        Ok(follow(self, op, position, Vec::new(), pick))
    }
}

impl Source for Changes {
    type Event = Arc<Change>;

    fn look(&self, position: u64, epoch: u64) -> Look<Arc<Change>> {
        let kept = self.kept();
        if kept.epoch != epoch {
            return Look::Over(ErrorKind::Unavailable);
        }
        match kept.history.after(position) {
            None => Look::Over(ErrorKind::CursorExpired),
            Some(events) if events.is_empty() => Look::Nothing(None),
            Some(events) => Look::Events(events),
        }
    }

    fn epoch(&self) -> u64 {
        self.kept().epoch
    }

    fn subscribe(&self) -> watch::Receiver<()> {
        self.woken.subscribe()
    }
}

/// What a watch of one kind says of a change of another: where it is, now and then.
pub(crate) fn progress<T>(position: u64, event: T) -> Option<(Cursor, T)> {
    position
        .is_multiple_of(PROGRESS_EVERY)
        .then(|| (cursor(position), event))
}

/// The cursor that names a position.
pub(crate) fn cursor(position: u64) -> Cursor {
    Cursor(Bytes::copy_from_slice(&position.to_be_bytes()))
}

fn position(cursor: &Cursor) -> Option<u64> {
    let bytes: [u8; 8] = cursor.0.as_ref().try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}
