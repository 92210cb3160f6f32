//! A plugin that is only monitored, on one stream: it is shown what it would be asked about, beside the stream, which goes
//! on as it came.
//!
//! No redactor that counts waits for it. What it cannot take in time it is not shown, and the note says so. Only the end of
//! the output waits a moment for it, once all else is decided, so that the run's notes have what it has to say.

use std::time::Duration;

use bytes::Bytes;
use sandclock_core::run::HookNote;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::PluginStage;
use crate::monitored::noted;
use crate::plugin::Hook;

/// Pieces of the stream that may wait for it.
const PIECES: usize = 16;

/// How long the end of a run's output waits for what they have to say of the last pieces, all of them together.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Aside {
    who: (String, Option<String>),
    /// `None` once it has not kept up, or the stream has ended.
    pieces: Option<mpsc::Sender<Bytes>>,
    /// The one that shows it the stream; it ends with this.
    following: JoinSet<PluginStage>,
    /// Once it is done.
    stage: Option<PluginStage>,
    is_behind: bool,
}

impl Aside {
    /// From now on the plugin is shown a stream.
    pub(crate) fn new(mut stage: PluginStage) -> Self {
        let (pieces, mut shown) = mpsc::channel(PIECES);
        let who = stage.who();
        let mut following = JoinSet::new();
        following.spawn(async move {
            while let Some(piece) = shown.recv().await {
                stage.push(piece).await;
            }
            stage.finish().await;
            stage
        });
        Self {
            who,
            pieces: Some(pieces),
            following,
            stage: None,
            is_behind: false,
        }
    }

    /// Shows it a piece, if there is room.
    pub(super) fn push(&mut self, piece: &Bytes) {
        let Some(pieces) = self.pieces.as_ref().filter(|_| !piece.is_empty()) else {
            return;
        };
        if pieces.try_send(piece.clone()).is_err() {
            self.pieces = None;
            self.is_behind = true;
        }
    }

    /// The stream has ended.
    pub(super) fn close(&mut self) {
        self.pieces = None;
    }

    /// Hears what it has to say of a stream that has ended, not later than `until`; if it has not kept up, now.
    pub(super) async fn settle(&mut self, until: Instant) {
        let ended = match self.is_behind {
            true => self.following.try_join_next(),
            false => timeout_at(until, self.following.join_next())
                .await
                .unwrap_or_default(),
        };
        match ended {
            Some(Ok(stage)) => self.stage = Some(stage),
            None | Some(Err(_)) => {
                self.following.abort_all();
                self.is_behind = true;
            }
        }
    }

    /// The stage, if it has seen the whole stream.
    pub(super) fn done(&self) -> Option<&PluginStage> {
        self.stage.as_ref().filter(|_| !self.is_behind)
    }

    /// What it would have done to the stream; nothing if it was never asked.
    pub(super) fn note(&self) -> Option<HookNote> {
        const BEHIND: &str = "it did not keep up, and was not shown all of the output";
        let note = match &self.stage {
            Some(stage) => stage.note(),
            None => self.is_behind.then(|| HookNote {
                plugin: self.who.0.clone(),
                version: self.who.1.clone(),
                hook: Hook::OutputRedaction.as_str().to_owned(),
                decision: String::new(),
                failed: false,
                monitored: true,
                took: Duration::ZERO,
            }),
        };
        note.map(|note| {
            let behind = self.is_behind.then_some(BEHIND);
            let said = Some(note.decision.as_str()).filter(|said| !said.is_empty());
            let parts: Vec<_> = said.into_iter().chain(behind).collect();
            HookNote {
                decision: noted(&parts.join("; ")),
                monitored: true,
                ..note
            }
        })
    }
}
