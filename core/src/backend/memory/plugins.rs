//! The plugin store of the model.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

use super::MemoryStore;
use crate::backend::{ModuleDigest, PluginMode, PluginStore, Release, Result, StoredPlugin};
use crate::error::{BackendError, ErrorKind};

/// Plugins by name, and their modules.
#[derive(Debug, Default)]
pub(super) struct Plugins {
    plugins: BTreeMap<String, StoredPlugin>,
    modules: BTreeMap<ModuleDigest, Bytes>,
}

impl Plugins {
    fn push(&mut self, new: &Release, module: &Bytes) -> Result<()> {
        let plugin = self.plugins.entry(new.plugin.clone());
        let plugin = plugin.or_insert_with(|| StoredPlugin {
            name: new.plugin.clone(),
            releases: Vec::new(),
            serving: None,
            before: None,
            shadow: None,
            mode: PluginMode::default(),
        });
        match plugin.release(&new.version) {
            Some(old) => old.is_repeated_by(new),
            None => {
                plugin.releases.insert(0, new.clone());
                self.modules.insert(new.digest.clone(), module.clone());
                Ok(())
            }
        }
    }

    fn serve(&mut self, name: &str, from: Option<&str>, to: Option<&str>) -> Result<()> {
        const OP: &str = "plugins.serve";
        let plugin = self.plugins.get_mut(name);
        let known = |plugin: &&mut StoredPlugin| to.is_none_or(|to| plugin.release(to).is_some());
        let Some(plugin) = plugin.filter(known) else {
            return Err(BackendError::new(OP, ErrorKind::NotFound).context(name));
        };
        if plugin.serving.as_deref() == to {
            return Ok(());
        }
        if plugin.serving.as_deref() != from {
            return Err(BackendError::new(OP, ErrorKind::Conflict).context(name));
        }
        plugin.before = plugin.serving.take();
        plugin.serving = to.map(str::to_owned);
        plugin.shadow.take_if(|shadow| Some(shadow.as_str()) == to);
        Ok(())
    }

    fn shadow(&mut self, name: &str, version: Option<&str>) -> Result<()> {
        let refused = |kind| Err(BackendError::new("plugins.shadow", kind).context(name));
        let Some(plugin) = self.plugins.get_mut(name) else {
            return refused(ErrorKind::NotFound);
        };
        if version.is_some_and(|version| plugin.release(version).is_none()) {
            return refused(ErrorKind::NotFound);
        }
        if version.is_some() && plugin.serving.as_deref() == version {
            return refused(ErrorKind::Conflict);
        }
        plugin.shadow = version.map(str::to_owned);
        Ok(())
    }

    fn set_mode(&mut self, name: &str, mode: PluginMode) -> Result<()> {
        let missing = || BackendError::new("plugins.set_mode", ErrorKind::NotFound).context(name);
        self.plugins.get_mut(name).ok_or_else(missing)?.mode = mode;
        Ok(())
    }

    fn withdraw(&mut self, name: &str, version: &str) -> Result<()> {
        const OP: &str = "plugins.withdraw";
        let Some(plugin) = self.plugins.get_mut(name) else {
            return Ok(());
        };
        if plugin.serving.as_deref() == Some(version) {
            return Err(BackendError::new(OP, ErrorKind::Conflict).context(name));
        }
        plugin.releases.retain(|release| release.version != version);
        plugin.before.take_if(|before| before == version);
        plugin.shadow.take_if(|shadow| shadow == version);
        if plugin.releases.is_empty() {
            self.plugins.remove(name);
        }
        let kept = self.plugins.values().flat_map(|plugin| &plugin.releases);
        let kept: Vec<_> = kept.map(|release| &release.digest).collect();
        self.modules.retain(|digest, _| kept.contains(&digest));
        Ok(())
    }
}

#[async_trait]
impl PluginStore for MemoryStore {
    async fn push(&self, release: &Release, module: &Bytes) -> Result<()> {
        release.check(module)?;
        (self.shared).change(|state| state.plugins.push(release, module))
    }

    async fn list(&self) -> Result<Vec<StoredPlugin>> {
        Ok((self.shared).change(|state| state.plugins.plugins.values().cloned().collect()))
    }

    async fn module(&self, digest: &ModuleDigest) -> Result<Bytes> {
        const OP: &str = "plugins.module";
        let module = (self.shared).change(|state| state.plugins.modules.get(digest).cloned());
        let missing = || BackendError::new(OP, ErrorKind::NotFound).context(digest);
        digest.verified(module.ok_or_else(missing)?)
    }

    async fn serve(&self, plugin: &str, from: Option<&str>, to: Option<&str>) -> Result<()> {
        (self.shared).change(|state| state.plugins.serve(plugin, from, to))
    }

    async fn shadow(&self, plugin: &str, version: Option<&str>) -> Result<()> {
        (self.shared).change(|state| state.plugins.shadow(plugin, version))
    }

    async fn set_mode(&self, plugin: &str, mode: PluginMode) -> Result<()> {
        (self.shared).change(|state| state.plugins.set_mode(plugin, mode))
    }

    async fn withdraw(&self, plugin: &str, version: &str) -> Result<()> {
        (self.shared).change(|state| state.plugins.withdraw(plugin, version))
    }
}
