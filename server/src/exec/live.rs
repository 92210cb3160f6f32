//! Following a run's output while it is printed.
//!
//! A follower subscribes and then reads what is stored: the offsets tell it what it has seen
//! already, and, should it be too slow for the stream, what it has missed. Nobody waits for a
//! follower.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandclock_core::ports::{Channel, Redacted};
use sandclock_core::run::RunId;
use tokio::sync::broadcast;

/// Pieces (of up to 64 KiB each) that a follower may lag behind before it loses the oldest.
const LAG_PIECES: usize = 32;

/// A piece of output as it left redaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePiece {
    /// The attempt, from 1.
    pub attempt: u32,
    /// The pipe.
    pub channel: Channel,
    /// Where it begins in the attempt's redacted output, in bytes.
    pub offset: u64,
    /// The bytes.
    pub bytes: Redacted,
}

/// The streams of all runs of this process.
#[derive(Debug, Clone, Default)]
pub struct LiveOutput {
    streams: Arc<Mutex<HashMap<RunId, broadcast::Sender<LivePiece>>>>,
}

impl LiveOutput {
    /// Everything the run prints from now on; the stream ends with the attempt. `None` if it does
    /// not run here.
    pub fn subscribe(&self, run: &RunId) -> Option<broadcast::Receiver<LivePiece>> {
        Some(self.lock().get(run)?.subscribe())
    }

    /// Opens the stream of a run, until the returned guard is dropped.
    pub(super) fn open(&self, run: &RunId) -> LiveStream {
        let sender = broadcast::Sender::new(LAG_PIECES);
        self.lock().insert(run.clone(), sender.clone());
        LiveStream {
            all: self.clone(),
            run: run.clone(),
            sender,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, broadcast::Sender<LivePiece>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end of a run's stream.
#[derive(Debug)]
pub(super) struct LiveStream {
    all: LiveOutput,
    run: RunId,
    sender: broadcast::Sender<LivePiece>,
}

impl LiveStream {
    /// Shows a piece to whoever follows.
    pub(super) fn send(&self, piece: LivePiece) {
        // An error only says that nobody follows.
        let _ = self.sender.send(piece);
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        let mut streams = self.all.lock();
        // A later attempt of the same run may have opened its own by now.
        if streams
            .get(&self.run)
            .is_some_and(|current| current.same_channel(&self.sender))
        {
            streams.remove(&self.run);
        }
    }
}
