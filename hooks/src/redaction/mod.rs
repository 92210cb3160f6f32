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
mod verdict;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use sandclock_core::ports::{Redacted, Redactor};
use sandclock_core::run::HookNote;

pub(crate) use self::stage::{PluginStage, Stream};
use crate::mutants::{Mutant, Mutation};
use crate::secrets::{KnownSecrets, Masker};

/// The redaction of one pipe.
#[derive(Debug)]
pub(crate) struct StreamRedactor {
    before: Masker,
    stages: Vec<PluginStage>,
    after: Masker,
    mutation: Mutation,
}

impl StreamRedactor {
    pub(crate) fn new(
        secrets: &KnownSecrets,
        stages: Vec<PluginStage>,
        mutation: Mutation,
    ) -> Self {
        Self {
            before: secrets.masker(),
            stages,
            after: secrets.masker(),
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
            out.extend_from_slice(&stage.finish().await);
            bytes = out.freeze();
        }
        let mut out = BytesMut::from(self.mask_again(bytes));
        out.extend_from_slice(&self.after.finish());
        Redacted::vouch(out.freeze())
    }

    fn notes(&self) -> Vec<HookNote> {
        self.stages.iter().filter_map(PluginStage::note).collect()
    }
}
