//! A plugin that is only monitored, on one stream: it is shown what it would be asked about, beside the stream, which goes
//! on as it came.
//!
//! No redactor that counts waits for it. What it cannot take in time it is not shown, and the note says so. Only the end of
//! the output waits a moment for it, once all else is decided, so that the run's notes have what it has to say.

use std::time::Duration;

use bytes::Bytes;
use sandclock_core::run::HookNote;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::{Feed, PluginStage};
use crate::monitored::noted;
use crate::plugin::Hook;

/// How long the end of a run's output waits for what they have to say of the last pieces, all of them together.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Aside {
    who: (String, Option<String>),
    feed: Feed,
    /// The one that shows it the stream; it ends with this.
    following: JoinSet<PluginStage>,
    /// Once it is done.
    stage: Option<PluginStage>,
    /// It has not come to the end in time.
    is_late: bool,
}

impl Aside {
    /// From now on the plugin is shown a stream.
    pub(crate) fn new(stage: PluginStage) -> Self {
        let who = stage.who();
        let (feed, fed) = Feed::new(stage);
        let mut following = JoinSet::new();
        following.spawn(fed.follow());
        Self {
            who,
            feed,
            following,
            stage: None,
            is_late: false,
        }
    }

    /// Shows it a piece, if there is room.
    pub(super) fn push(&mut self, piece: &Bytes) {
        self.feed.push(piece);
    }

    /// The stream has ended.
    pub(super) fn close(&mut self) {
        self.feed.close();
    }

    /// Hears what it has to say of a stream that has ended, not later than `until`; if it has not kept up, now.
    pub(super) async fn settle(&mut self, until: Instant) {
        let ended = match self.feed.is_behind() {
            true => self.following.try_join_next(),
            false => timeout_at(until, self.following.join_next())
                .await
                .unwrap_or_default(),
        };
        match ended {
            Some(Ok(stage)) => self.stage = Some(stage),
            None | Some(Err(_)) => {
                self.following.abort_all();
                self.is_late = true;
            }
        }
    }

    fn has_missed_some(&self) -> bool {
        self.feed.is_behind() || self.is_late
    }

    /// The stage, if it has seen the whole stream.
    pub(super) fn done(&self) -> Option<&PluginStage> {
        self.stage.as_ref().filter(|_| !self.has_missed_some())
    }

    /// What it would have done to the stream; nothing if it was never asked.
    pub(super) fn note(&self) -> Option<HookNote> {
        const BEHIND: &str = "it did not keep up, and was not shown all of the output";
        let note = match &self.stage {
            Some(stage) => stage.note(),
            None => self.has_missed_some().then(|| HookNote {
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
            let behind = self.has_missed_some().then_some(BEHIND);
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
