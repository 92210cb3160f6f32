//! During a run: what of its output must not be seen?
//!
//! ```text
//!  pipe ─► mask of known secrets ─► plugin ─► plugin ─► … ─► mask of known secrets ─► store, stream
//! ```
//!
//! The first mask keeps known secrets from plugins; the second hides what plugins may have put
//! together by removing what stood between. Nothing leaves a stage before it is decided (S14).

mod aside;
mod feed;
mod stage;
mod tally;
mod verdict;

use async_trait::async_trait;
use bytes::Bytes;
use sandclock_core::ports::{Redacted, Redactor};
use sandclock_core::run::HookNote;
use tokio::time::Instant;

pub(crate) use self::aside::Aside;
pub(crate) use self::feed::{Fed, Feed};
pub(crate) use self::stage::{PluginStage, Stream};
use crate::joined::joined;
use crate::mutants::{Mutant, Mutation};
use crate::recording::{Call, Journal, Shown};
use crate::secrets::{KnownSecrets, Masker};

/// A plugin on its way with a stream, or beside it.
#[derive(Debug)]
pub(crate) enum Station {
    /// The stream passes through it.
    Within(Box<PluginStage>),
    /// It is only monitored: the stream passes by.
    Beside(Box<Aside>),
}

impl Station {
    async fn push(&mut self, bytes: Bytes) -> Bytes {
        match self {
            Self::Within(stage) => stage.push(bytes).await,
            Self::Beside(aside) => {
                aside.push(&bytes);
                bytes
            }
        }
    }

    async fn finish(&mut self) -> Bytes {
        match self {
            Self::Within(stage) => stage.finish().await,
            Self::Beside(aside) => {
                aside.close();
                Bytes::new()
            }
        }
    }

    /// After the end of the stream: waits until `until` for one that is only monitored.
    async fn settle(&mut self, until: Instant) {
        if let Self::Beside(aside) = self {
            aside.settle(until).await;
        }
    }

    fn note(&self) -> Option<HookNote> {
        match self {
            Self::Within(stage) => stage.note(),
            Self::Beside(aside) => aside.note(),
        }
    }

    /// What it did, or would have done, to the whole stream.
    fn call(&self, place: usize) -> Option<Call> {
        match self {
            Self::Within(stage) => stage.call(place),
            Self::Beside(aside) => aside.done()?.call(place),
        }
    }
}

/// A plugin of the job, and the version of it that is only asked, if there is one.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Its place among the job's plugins.
    pub(crate) place: usize,
    pub(crate) station: Station,
    /// Gets what the stage gets.
    pub(crate) shadow: Option<Shown>,
}

impl Staged {
    /// Without a shadow, the only one.
    pub(crate) fn alone(stage: PluginStage) -> Self {
        Self {
            place: 0,
            station: Station::Within(Box::new(stage)),
            shadow: None,
        }
    }

    async fn push(&mut self, bytes: Bytes) -> Bytes {
        if let Some(shadow) = &mut self.shadow {
            shadow.push(&bytes);
        }
        self.station.push(bytes).await
    }

    fn keep(&mut self, journal: &Journal) {
        let call = self.station.call(self.place);
        match (self.shadow.take(), call) {
            (Some(shadow), call) => shadow.end(call, journal),
            (None, Some(call)) => journal.keep(call, None),
            (None, None) => {}
        }
    }
}

/// The redaction of one pipe.
#[derive(Debug)]
pub(crate) struct StreamRedactor {
    before: Masker,
    stages: Vec<Staged>,
    after: Masker,
    journal: Journal,
    mutation: Mutation,
}

impl StreamRedactor {
    pub(crate) fn new(
        secrets: &KnownSecrets,
        stages: Vec<Staged>,
        journal: Journal,
        mutation: Mutation,
    ) -> Self {
        Self {
            before: secrets.masker(),
            stages,
            after: secrets.masker(),
            journal,
            mutation,
        }
    }

    fn mask_again(&mut self, bytes: Bytes) -> Bytes {
        // Without plugins nothing has changed since the first mask.
        if self.stages.is_empty() || self.mutation.is(Mutant::MaskBeforePluginsOnly) {
            return bytes;
        }
        self.after.push(bytes)
    }
}

#[async_trait]
impl Redactor for StreamRedactor {
    async fn push(&mut self, raw: Bytes) -> Redacted {
        let mut bytes = self.before.push(raw);
        for stage in &mut self.stages {
            if bytes.is_empty() {
                break;
            }
            bytes = stage.push(bytes).await;
        }
        Redacted::vouch(self.mask_again(bytes))
    }

    async fn finish(&mut self) -> Redacted {
        let mut bytes = self.before.finish();
        for stage in &mut self.stages {
            bytes = joined([stage.push(bytes).await, stage.station.finish().await]);
        }
        let out = joined([self.mask_again(bytes), self.after.finish()]);
        let until = Instant::now() + aside::PATIENCE;
        for staged in &mut self.stages {
            staged.station.settle(until).await;
            staged.keep(&self.journal);
        }
        Redacted::vouch(out)
    }

    fn notes(&self) -> Vec<HookNote> {
        let stages = self.stages.iter();
        stages.filter_map(|staged| staged.station.note()).collect()
    }
}
