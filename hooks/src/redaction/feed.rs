//! A stream on its way to a redactor that decides nothing of it: it is fed beside everything else.
//!
//! Whoever has the stream waits for nothing. What the redactor cannot take in time it is not shown, and nothing after it.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::PluginStage;

/// Pieces of the stream that may wait.
const PIECES: usize = 16;

/// The end that is given the stream.
#[derive(Debug)]
pub(crate) struct Feed {
    /// `None` once the other end has not kept up, or the stream has ended.
    pieces: Option<mpsc::Sender<Bytes>>,
    is_behind: bool,
}

/// The end at which the redactor is shown it.
#[derive(Debug)]
pub(crate) struct Fed {
    stage: PluginStage,
    pieces: mpsc::Receiver<Bytes>,
}

impl Feed {
    pub(crate) fn new(stage: PluginStage) -> (Self, Fed) {
        let (pieces, shown) = mpsc::channel(PIECES);
        let feed = Self {
            pieces: Some(pieces),
            is_behind: false,
        };
        let fed = Fed {
            stage,
            pieces: shown,
        };
        (feed, fed)
    }

    /// Shows a piece, if there is room.
    pub(crate) fn push(&mut self, piece: &Bytes) {
        let Some(pieces) = self.pieces.as_ref().filter(|_| !piece.is_empty()) else {
            return;
        };
        if pieces.try_send(piece.clone()).is_err() {
            self.close();
            self.is_behind = true;
        }
    }

    /// The stream has ended.
    pub(crate) fn close(&mut self) {
        self.pieces = None;
    }

    /// Whether something was not shown.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }
}

impl Fed {
    /// Shows the stream until it ends, or breaks off.
    pub(crate) async fn follow(mut self) -> PluginStage {
        while let Some(piece) = self.pieces.recv().await {
            self.stage.push(piece).await;
        }
        self.stage.finish().await;
        self.stage
    }
}
