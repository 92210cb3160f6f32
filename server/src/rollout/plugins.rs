//! Which releases serve, and this process's plugins after them.
//!
//! The version before goes on serving until the new one is ready, and if it never is. A release may have the name of a
//! standard plugin and then takes its place; the standard one is back when none serves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use sandclock_core::backend::{PluginMode, PluginStore, Result, StoredPlugin};
use sandclock_core::error::WithSources;
use sandclock_hooks::{Artifact, PluginHost};

use super::kept::{Kept, Last, Served};
use super::refused::Refused;
use super::shadows::Shadows;
use super::standard;

/// Keeps this process's plugins as the store has them.
#[derive(Debug)]
pub(super) struct Plugins {
    store: Arc<dyn PluginStore>,
    host: Arc<PluginHost>,
    kept: Kept,
    shadows: Shadows,
    state: Mutex<State>,
}

/// What has become of the store's releases here, by plugin.
#[derive(Debug, Default)]
struct State {
    /// Installed.
    installed: BTreeMap<String, Served>,
    /// Could not be installed.
    refused: BTreeMap<String, (Served, Refused)>,
    /// What is only monitored, once that is known.
    monitored: Option<BTreeSet<String>>,
    /// What is remembered on disk, as far as this process has written it.
    remembered: Option<Last>,
    /// The last try to write it failed, which is said once.
    is_unkept: bool,
}

impl State {
    fn has_dealt_with(&self, release: &Served) -> bool {
        let refused = self.refused.get(&release.plugin);
        let refused = refused.filter(|(_, refused)| !refused.is_past());
        let known = [
            self.installed.get(&release.plugin),
            refused.map(|(release, _)| release),
        ];
        known.contains(&Some(release))
    }
}

/// The plugins that are only monitored. A standard plugin that is back in its place is not meant.
fn monitored(plugins: &[StoredPlugin]) -> BTreeSet<String> {
    let meant =
        |plugin: &&StoredPlugin| plugin.mode == PluginMode::Monitor && plugin.serving.is_some();
    let plugins = plugins.iter().filter(meant);
    plugins.map(|plugin| plugin.name.clone()).collect()
}

impl Plugins {
    /// With nothing installed yet. `folder` is for what shall be there at the next start.
    pub(super) fn new(store: Arc<dyn PluginStore>, host: Arc<PluginHost>, folder: PathBuf) -> Self {
        Self {
            shadows: Shadows::new(Arc::clone(&store), Arc::clone(&host)),
            store,
            host,
            kept: Kept::new(folder),
            state: Mutex::default(),
        }
    }

    /// Installs the standard plugins.
    ///
    /// # Errors
    /// If one does not load.
    pub(super) async fn begin(&self) -> anyhow::Result<()> {
        for artifact in standard::all()? {
            let installed = self.host.install_own(artifact.clone()).await;
            installed.with_context(|| format!("plugin {}", artifact.name))?;
        }
        Ok(())
    }

    /// Installs what the fleet served last, as far as this host knows it.
    pub(super) async fn as_last(&self) {
        let last = self.kept.last();
        // The store may have said so before it went away.
        if self.state().monitored.is_none() {
            self.monitor(last.monitored);
        }
        for served in last.serving {
            if let Some(module) = self.kept.module(&served.digest) {
                self.install(&served, &module).await;
            }
        }
    }

    /// Why the release of the plugin that should serve does not, if that is so.
    pub(super) fn refusal(&self, plugin: &str) -> Option<String> {
        let state = self.state();
        let (_, refused) = state.refused.get(plugin)?;
        Some(refused.why.clone())
    }

    /// Why the plugin's shadow is not asked, if that is so.
    pub(super) fn shadow_refusal(&self, plugin: &str) -> Option<String> {
        self.shadows.refusal(plugin)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does now what the store asks for.
    ///
    /// # Errors
    /// If the store does not answer; what was done by then stays.
    pub(super) async fn follow(&self) -> Result<()> {
        let plugins = self.store.list().await?;
        let serving = plugins.iter().filter_map(StoredPlugin::serving_release);
        let serving: Vec<Served> = serving.map(Served::of).collect();
        let monitored = monitored(&plugins);
        // What begins to serve, serves as it shall; what is not replaced yet goes on as it did.
        let mut meanwhile = self.state().monitored.clone().unwrap_or_default();
        meanwhile.extend(monitored.iter().cloned());
        self.monitor(meanwhile);
        for release in &serving {
            if !self.state().has_dealt_with(release) {
                self.take_over(release).await?;
            }
        }
        for name in self.out_of_service(&plugins) {
            self.retire(&name).await;
        }
        self.monitor(monitored.clone());
        let serves = |name: &String| serving.iter().any(|release| release.plugin == *name);
        self.state().refused.retain(|name, _| serves(name));
        self.remember(Last { serving, monitored });
        self.shadows.follow(&plugins).await
    }

    fn monitor(&self, plugins: BTreeSet<String>) {
        self.host.monitor(plugins.clone());
        self.state().monitored = Some(plugins);
    }

    /// What is installed although no release of it shall serve.
    fn out_of_service(&self, plugins: &[StoredPlugin]) -> Vec<String> {
        let serves = |name: &str| {
            let mut plugins = plugins.iter();
            plugins.any(|plugin| plugin.name == name && plugin.serving.is_some())
        };
        let state = self.state();
        let gone = state.installed.keys().filter(|name| !serves(name));
        gone.cloned().collect()
    }

    /// For the next start. If it cannot be written, that start needs the store; it is tried with each look.
    fn remember(&self, last: Last) {
        if self.state().remembered.as_ref() == Some(&last) {
            return;
        }
        let kept = self.kept.remember(&last);
        let mut state = self.state();
        let was_told = std::mem::replace(&mut state.is_unkept, kept.is_err());
        match kept {
            Ok(()) => state.remembered = Some(last),
            Err(_) if was_told => {}
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "what the fleet serves is not kept for the next start"
                );
            }
        }
    }

    /// # Errors
    /// If the store does not answer now. That the release cannot serve is none.
    async fn take_over(&self, release: &Served) -> Result<()> {
        let digest = &release.digest;
        if let Some(module) = self.kept.module(digest) {
            self.install(release, &module).await;
            return Ok(());
        }
        let module = match self.store.module(digest).await {
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                let why = WithSources(&error).to_string();
                self.refuse(release, Refused::for_good(why));
                return Ok(());
            }
            Ok(module) => module,
        };
        if let Err(error) = self.kept.keep(digest, &module) {
            let error = format!("{error:#}");
            tracing::warn!(
                plugin = release.plugin,
                error,
                "the module is not kept for the next start"
            );
        }
        self.install(release, &module).await;
        Ok(())
    }

    async fn install(&self, release: &Served, module: &[u8]) {
        let (plugin, version) = (&release.plugin, &release.version);
        let artifact = Artifact::new(plugin, Some(version.clone()), module.to_vec());
        match self.host.install(artifact).await {
            Err(error) => self.refuse(release, Refused::because(&error)),
            Ok(_) => {
                tracing::info!(plugin, version, "the plugin serves");
                let mut state = self.state();
                state.refused.remove(plugin);
                state.installed.insert(plugin.clone(), release.clone());
            }
        }
    }

    fn refuse(&self, release: &Served, refused: Refused) {
        let (plugin, version, why) = (&release.plugin, &release.version, &refused.why);
        tracing::error!(
            plugin,
            version,
            why,
            "the plugin cannot serve; what was there before does"
        );
        let refused = (release.clone(), refused);
        self.state().refused.insert(plugin.clone(), refused);
    }

    /// No release of the plugin serves any more.
    async fn retire(&self, name: &str) {
        match standard::named(name).cloned() {
            None => {
                self.host.remove(name);
                tracing::info!(plugin = name, "the plugin serves no more");
            }
            Some(artifact) => match self.host.install_own(artifact).await {
                Ok(_) => tracing::info!(plugin = name, "the standard plugin serves again"),
                Err(error) => {
                    tracing::error!(plugin = name, %error, "the standard plugin cannot serve");
                    return;
                }
            },
        }
        self.state().installed.remove(name);
    }
}
