//! Recorded calls in one file, with the plugins that answered: what another machine needs to ask again.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sandclock_core::backend::ModuleDigest;
use sandclock_hooks::{Artifact, RecordedCall};
use serde::{Deserialize, Serialize};

use crate::cli::Told;
use crate::private_file;
use crate::replay::Artifacts;

/// The form of bundles that this program writes, and the newest one that it reads.
const FORM: u32 = 1;

/// A bundle.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bundle {
    v: u32,
    pub(super) calls: Vec<RecordedCall>,
    /// Artifacts in base64, by their SHA-256.
    modules: BTreeMap<String, String>,
}

impl Bundle {
    /// These calls, with what answered, as far as it is still there.
    pub(super) async fn of(calls: Vec<RecordedCall>, artifacts: &dyn Artifacts) -> Self {
        let mut modules = BTreeMap::new();
        for call in &calls {
            if !modules.contains_key(&call.sha256)
                && let Ok(artifact) = artifacts.artifact(call).await
            {
                modules.insert(call.sha256.clone(), BASE64.encode(&artifact.bytes));
            }
        }
        Self {
            v: FORM,
            calls,
            modules,
        }
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// If it cannot be read or understood, or is of a newer form.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read(path).with_context(|| format!("read {shown}"))?;
        let bundle: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{shown} is no bundle of recorded calls"))?;
        if bundle.v > FORM {
            let told = format!("{shown} is of a newer program: upgrade this one");
            return Err(Told(told).into());
        }
        Ok(bundle)
    }

    /// Writes it where only its owner can read it: it holds what jobs are configured with, and the ends of their output.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        private_file::write(path, &serde_json::to_vec(self)?)
    }
}

#[async_trait]
impl Artifacts for Bundle {
    async fn artifact(&self, call: &RecordedCall) -> Result<Artifact, String> {
        let sha256 = &call.sha256;
        let module = self.modules.get(sha256);
        let module = module.and_then(|text| BASE64.decode(text).ok());
        let module = module.filter(|module| ModuleDigest::of(module).as_str() == sha256);
        let missing = || format!("the bundle lacks the version with digest {sha256}");
        let module = module.ok_or_else(missing)?;
        Ok(Artifact::new(&call.plugin, call.version.clone(), module))
    }
}
