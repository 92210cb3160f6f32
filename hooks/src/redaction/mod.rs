//! During a run: what of its output must not be seen?
//!
//! ```text
//!  pipe ─► mask of known secrets ─► plugin ─► plugin ─► … ─► mask of known secrets ─► store, stream
//! ```
//!
//! The first mask keeps known secrets from plugins; the second hides what plugins may have put
//! together by removing what stood between. Nothing leaves a stage before it is decided (S14).

mod breaker;
mod stage;
mod tally;
mod verdict;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use sandclock_core::ports::{Redacted, Redactor};
use sandclock_core::run::HookNote;

pub(crate) use self::stage::{PluginStage, Stream};
use crate::mutants::{Mutant, Mutation};
use crate::recording::{Journal, Shown};
use crate::secrets::{KnownSecrets, Masker};

/// A plugin of the job, and the version of it that is only asked, if there is one.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Its place among the job's plugins.
    pub(crate) place: usize,
    pub(crate) stage: PluginStage,
    /// Gets what the stage gets.
    pub(crate) shadow: Option<Shown>,
}

impl Staged {
    /// Without a shadow, the only one.
    pub(crate) fn alone(stage: PluginStage) -> Self {
        Self {
            place: 0,
            stage,
            shadow: None,
        }
    }

    async fn push(&mut self, bytes: Bytes) -> Bytes {
        if let Some(shadow) = &mut self.shadow {
            shadow.push(&bytes);
        }
        self.stage.push(bytes).await
    }

    fn keep(&mut self, journal: &Journal) {
        let call = self.stage.call(self.place);
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
            let mut out = BytesMut::from(stage.push(bytes).await);
            out.extend_from_slice(&stage.stage.finish().await);
            bytes = out.freeze();
        }
        let mut out = BytesMut::from(self.mask_again(bytes));
        out.extend_from_slice(&self.after.finish());
        for staged in &mut self.stages {
            staged.keep(&self.journal);
        }
        Redacted::vouch(out.freeze())
    }

    fn notes(&self) -> Vec<HookNote> {
        let stages = self.stages.iter();
        stages.filter_map(|staged| staged.stage.note()).collect()
    }
}
