//! The plugin host, with what it keeps on this host's disk.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use sandclock_hooks::{CompileCache, HooksConfig, KnownSecrets, PluginHost};

use crate::clock::SystemClock;
use crate::config::PluginSection;
use crate::recorder::RecordingQueue;
use crate::{private_file, random};

/// The folder of modules and of what served, below the data folder.
pub(super) const MODULES: &str = "plugins";

/// The folder of compiled plugins, below the data folder.
const COMPILED: &str = "plugins/compiled";

/// The file of the key that compiled plugins are told by. It is not beside them.
const KEY: &str = "plugin-cache.key";

/// Opens the host, whose calls are told to `recorder`. Without a cache it works as well and starts later.
///
/// # Errors
/// If this machine cannot run plugins.
pub(super) fn open(
    section: &PluginSection,
    secrets: KnownSecrets,
    recorder: Option<Arc<RecordingQueue>>,
    data: &Path,
) -> anyhow::Result<PluginHost> {
    let mut config = HooksConfig::new(secrets, Arc::new(SystemClock));
    config.recorder = recorder.map(|recorder| recorder as _);
    config.trust = section.trust()?;
    match cache(data) {
        Ok(cache) => config.cache = Some(cache),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(
                error,
                "compiled plugins are not kept: each start compiles them"
            );
        }
    }
    Ok(PluginHost::new(config)?)
}

fn cache(data: &Path) -> anyhow::Result<CompileCache> {
    let path = data.join(KEY);
    let key = key(&path).with_context(|| format!("{}", path.display()))?;
    Ok(CompileCache::open(&data.join(COMPILED), key)?)
}

/// The key, which the first process makes.
fn key(path: &Path) -> anyhow::Result<[u8; 64]> {
    if !path.exists() {
        let mut new = [0; 64];
        random::fill(&mut new);
        private_file::write(path, &new)?;
    }
    // Of two that make one at the same time, the later counts.
    let found = fs::read(path)?;
    let bytes = found.len();
    let wrong = |_| anyhow!("it has {bytes} bytes and not 64: remove it, and a new one is made");
    found.try_into().map_err(wrong)
}
