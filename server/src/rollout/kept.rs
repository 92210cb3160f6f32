//! What the fleet served last, on this host's disk: a process that starts while the plugin store is away serves it, and
//! one that starts while it is there need not fetch it again.
//!
//! A module is used only if it has its digest. Nothing here has to be there: whatever is lost is fetched.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use sandclock_core::backend::{ModuleDigest, Release};
use serde::{Deserialize, Serialize};

use crate::private_file;

/// The form of the file that this program writes, and the newest one that it reads.
const FORM: u32 = 1;

/// The file of what served.
const SERVING: &str = "serving.json";

/// What modules' files end in.
const ENDING: &str = "wasm";

/// A folder for it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    folder: PathBuf,
}

/// The file of what served.
#[derive(Debug, Serialize, Deserialize)]
struct Serving {
    v: u32,
    serving: Vec<KeptRelease>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    monitored: BTreeSet<String>,
}

/// What the fleet had last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Last {
    /// The releases that served.
    pub(super) serving: Vec<Served>,
    /// The plugins that were only monitored.
    pub(super) monitored: BTreeSet<String>,
}

/// A release that served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Served {
    pub(super) plugin: String,
    pub(super) version: String,
    pub(super) digest: ModuleDigest,
}

impl Served {
    pub(super) fn of(release: &Release) -> Self {
        Self {
            plugin: release.plugin.clone(),
            version: release.version.clone(),
            digest: release.digest.clone(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptRelease {
    plugin: String,
    version: String,
    sha256: String,
}

impl Kept {
    /// In this folder, which need not be there.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What the fleet had last; nothing if nobody knows.
    pub(super) fn last(&self) -> Last {
        self.read().unwrap_or_else(|error| {
            let error = format!("{error:#}");
            tracing::warn!(error, "what the fleet served last is not known");
            Last::default()
        })
    }

    fn read(&self) -> anyhow::Result<Last> {
        let path = self.folder.join(SERVING);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Last::default()),
            text => text.with_context(|| format!("read {}", path.display()))?,
        };
        let fail = || format!("{} cannot be understood", path.display());
        let file: Serving = serde_json::from_slice(&text).with_context(fail)?;
        if file.v > FORM {
            bail!("{} is of a newer program", path.display());
        }
        let served = file.serving.into_iter().map(|kept| {
            let digest = ModuleDigest::parse(&kept.sha256).with_context(fail)?;
            Ok(Served {
                plugin: kept.plugin,
                version: kept.version,
                digest,
            })
        });
        Ok(Last {
            serving: served.collect::<anyhow::Result<_>>()?,
            monitored: file.monitored,
        })
    }

    /// The module, if it is here and whole.
    pub(super) fn module(&self, digest: &ModuleDigest) -> Option<Bytes> {
        let module = fs::read(self.path(digest)).ok()?;
        digest.verified(module.into()).ok()
    }

    /// Keeps a module.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn keep(&self, digest: &ModuleDigest, module: &[u8]) -> anyhow::Result<()> {
        private_file::write(&self.path(digest), module)
    }

    /// From now on this is what the fleet had last; modules of anything else go.
    ///
    /// # Errors
    /// If a file cannot be written or removed.
    pub(super) fn remember(&self, last: &Last) -> anyhow::Result<()> {
        let served = &last.serving;
        let kept = served.iter().map(|served| KeptRelease {
            plugin: served.plugin.clone(),
            version: served.version.clone(),
            sha256: served.digest.to_string(),
        });
        let file = Serving {
            v: FORM,
            serving: kept.collect(),
            monitored: last.monitored.clone(),
        };
        private_file::write(&self.folder.join(SERVING), &serde_json::to_vec(&file)?)?;
        let stays = |path: &Path| {
            served
                .iter()
                .any(|served| self.path(&served.digest) == path)
        };
        for file in fs::read_dir(&self.folder)? {
            let path = file?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) && !stays(&path) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, digest: &ModuleDigest) -> PathBuf {
        self.folder.join(digest.as_str()).with_extension(ENDING)
    }
}
