//! Which releases are asked beside those that serve, and this process's plugins after them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandclock_core::backend::{PluginStore, Result, StoredPlugin};
use sandclock_core::error::WithSources;
use sandclock_hooks::{Artifact, PluginHost};

use super::kept::Served;
use super::refused::Refused;

/// Keeps this process's shadows as the store has them.
#[derive(Debug)]
pub(super) struct Shadows {
    store: Arc<dyn PluginStore>,
    host: Arc<PluginHost>,
    /// What was dealt with, by plugin, and why it is not asked if that is so.
    known: Mutex<BTreeMap<String, Known>>,
}

/// A release, and why it is not asked if that is so.
type Known = (Served, Option<Refused>);

impl Shadows {
    /// With nobody asked yet.
    pub(super) fn new(store: Arc<dyn PluginStore>, host: Arc<PluginHost>) -> Self {
        Self {
            store,
            host,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the plugin's shadow is not asked, if that is so.
    pub(super) fn refusal(&self, plugin: &str) -> Option<String> {
        let known = self.known();
        let (_, refused) = known.get(plugin)?;
        refused.as_ref().map(|refused| refused.why.clone())
    }

    /// Does now what the store asks for.
    ///
    /// # Errors
    /// If the store does not answer; what was done by then stays.
    pub(super) async fn follow(&self, plugins: &[StoredPlugin]) -> Result<()> {
        let wanted = plugins.iter().filter_map(StoredPlugin::shadow_release);
        let wanted: Vec<Served> = wanted.map(Served::of).collect();
        let is_wanted = |name: &String| wanted.iter().any(|release| release.plugin == *name);
        let ended: Vec<_> = (self.known().keys())
            .filter(|name| !is_wanted(name))
            .cloned()
            .collect();
        for name in ended {
            self.host.end_shadow(&name);
            self.known().remove(&name);
            tracing::info!(plugin = name, "the plugin has no shadow any more");
        }
        for release in wanted {
            let known = self.known().get(&release.plugin).cloned();
            let is_past = |refused: &Refused| refused.is_past();
            let dealt_with = |(known, refused): &Known| {
                *known == release && !refused.as_ref().is_some_and(is_past)
            };
            if !known.as_ref().is_some_and(dealt_with) {
                self.begin(release).await?;
            }
        }
        Ok(())
    }

    async fn begin(&self, release: Served) -> Result<()> {
        let refused = match self.store.module(&release.digest).await {
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => Some(Refused::for_good(WithSources(&error).to_string())),
            Ok(module) => {
                let version = Some(release.version.clone());
                let artifact = Artifact::new(&release.plugin, version, module.to_vec());
                let begun = self.host.shadow(artifact).await;
                begun.err().map(|error| Refused::because(&error))
            }
        };
        let (plugin, version) = (release.plugin.clone(), &release.version);
        if refused.is_some() {
            // What was asked before is not asked for any more.
            self.host.end_shadow(&plugin);
        }
        match &refused {
            None => tracing::info!(plugin, version, "the plugin has a shadow"),
            Some(Refused { why, .. }) => {
                tracing::error!(plugin, version, why, "the shadow cannot be asked");
            }
        }
        self.known().insert(plugin, (release, refused));
        Ok(())
    }
}
