//! The plugin host, with what it keeps on this host's disk.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use sandclock_core::backend::PluginKv;
use sandclock_hooks::{CompileCache, Effects, HooksConfig, KnownSecrets, PluginHost};
use tokio::runtime::Handle;

use crate::clock::SystemClock;
use crate::config::{Environment, PluginSection};
use crate::egress::{Lookup, SystemLookup, Targets};
use crate::exec::Surroundings;
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
pub(super) async fn open(
    section: &PluginSection,
    kv: Arc<dyn PluginKv>,
    recorder: Option<Arc<RecordingQueue>>,
    (environment, secrets): (&Environment, KnownSecrets),
    data: &Path,
) -> anyhow::Result<PluginHost> {
    let http = targets(section, environment, secrets.clone())?;
    http.learn().await;
    let mut config = HooksConfig::new(secrets, Arc::new(SystemClock));
    config.recorder = recorder.map(|recorder| recorder as _);
    config.trust = section.trust()?;
    config.grants = section.grants()?;
    config.breakers = section.breakers()?;
    config.effects = Some(Effects {
        kv,
        http: Arc::new(http),
        runtime: Handle::current(),
    });
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

/// Where plugins' requests can go.
fn targets(
    section: &PluginSection,
    environment: &Environment,
    secrets: KnownSecrets,
) -> anyhow::Result<Targets> {
    let surroundings = Surroundings::new(environment.variables().clone(), &[], secrets);
    let lookup: Arc<dyn Lookup> = Arc::new(SystemLookup);
    Targets::new(
        section.targets()?,
        section.secrets()?,
        surroundings,
        &lookup,
    )
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
