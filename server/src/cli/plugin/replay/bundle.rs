//! Recorded calls in one file, with the plugins that answered: what another machine needs to ask again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sandclock_core::backend::ModuleDigest;
use sandclock_hooks::workbench::cannot_ask;
use sandclock_hooks::{Artifact, RecordedCall};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::Told;
use crate::private_file;
use crate::replay::Artifacts;

/// The form of bundles that this program writes, and the newest one that it reads.
const FORM: u32 = 1;

/// A bundle.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) calls: Vec<RecordedCall>,
    /// Artifacts in base64, by their SHA-256.
    modules: BTreeMap<String, String>,
}

/// A bundle's file.
#[derive(Serialize, Deserialize)]
struct Written {
    v: u32,
    calls: Vec<Value>,
    modules: BTreeMap<String, String>,
}

impl Bundle {
    /// These calls, with what answered them and can be asked again; and the digests of what is gone.
    ///
    /// # Errors
    /// If an artifact cannot be had now.
    pub(super) async fn of(
        calls: Vec<RecordedCall>,
        artifacts: &dyn Artifacts,
    ) -> anyhow::Result<(Self, BTreeSet<String>)> {
        let (mut modules, mut gone) = (BTreeMap::new(), BTreeSet::new());
        for call in calls.iter().filter(|call| cannot_ask(call).is_none()) {
            let sha256 = &call.sha256;
            if modules.contains_key(sha256) || gone.contains(sha256) {
                continue;
            }
            match artifacts.artifact(call).await.map_err(Told)? {
                None => drop(gone.insert(sha256.clone())),
                Some(artifact) => {
                    modules.insert(sha256.clone(), BASE64.encode(&artifact.bytes));
                }
            }
        }
        Ok((Self { calls, modules }, gone))
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// If it cannot be read or understood, or is of a newer form.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read(path).with_context(|| format!("read {shown}"))?;
        let written: Written = serde_json::from_slice(&text)
            .with_context(|| format!("{shown} is no bundle of recorded calls"))?;
        if written.v > FORM {
            let told = format!("{shown} is of a newer program: upgrade this one");
            return Err(Told(told).into());
        }
        let calls = written.calls.iter().enumerate().map(|(at, call)| {
            let read = RecordedCall::read(call.to_string().as_bytes());
            read.map_err(|why| Told(format!("{shown}: calls[{at}]: {why}")).into())
        });
        Ok(Self {
            calls: calls.collect::<anyhow::Result<_>>()?,
            modules: written.modules,
        })
    }

    /// Writes it where only its owner can read it: it holds what jobs are configured with, and the ends of their output.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let calls = self.calls.iter().map(serde_json::to_value);
        let written = Written {
            v: FORM,
            calls: calls.collect::<Result<_, _>>()?,
            modules: self.modules.clone(),
        };
        private_file::write(path, &serde_json::to_vec(&written)?)
    }
}

#[async_trait]
impl Artifacts for Bundle {
    async fn artifact(&self, call: &RecordedCall) -> Result<Option<Artifact>, String> {
        let sha256 = &call.sha256;
        let Some(text) = self.modules.get(sha256) else {
            return Ok(None);
        };
        let module = BASE64.decode(text).ok();
        let module = module.filter(|module| ModuleDigest::of(module).as_str() == sha256);
        let broken = || format!("the bundle has another module under the digest {sha256}");
        let module = module.ok_or_else(broken)?;
        let version = call.version.clone();
        Ok(Some(Artifact::new(&call.plugin, version, module)))
    }
}
