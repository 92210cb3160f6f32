//! The installed plugins, by name.
//!
//! Installing is slow (a compiler runs) and happens beside everything else; taking the result into
//! service is one swap. Calls hold the plugin they began with, so a new version never meets a call
//! or a stream of the old one.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sandclock_core::backend::plugins::is_plugin_name;
use tokio::sync::{Semaphore, oneshot};
use wasmtime::component::Linker;

use crate::counters::PluginCounters;
use crate::entry::{Entry, Origin, Record, entry};
use crate::failure::Failure;
use crate::host::HostState;
use crate::install::{self, InstallError};
use crate::limits::{HookLimits, MAX_COMPILE_TIME};
use crate::log::LogLine;
use crate::plugin::{FailurePolicy, Hook, Plugin, Runtime, not_installed};
use crate::schema::ConfigSchema;

/// An artifact to install.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Under which name; what is installed under it is replaced.
    pub name: String,
    /// What people call this version.
    pub version: Option<String>,
    /// A wasm component, or a core module that carries the metadata of its bindings.
    pub bytes: Vec<u8>,
    /// What happens when it fails.
    pub policy: FailurePolicy,
}

impl Artifact {
    /// With the default of what happens when it fails.
    pub fn new(name: impl Into<String>, version: Option<String>, bytes: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            version,
            bytes,
            policy: FailurePolicy::default(),
        }
    }
}

/// What is known of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginInfo {
    /// Its name.
    pub name: String,
    /// As it was given at installation, or as its manifest says.
    pub version: Option<String>,
    /// What its manifest says that it is for.
    pub description: Option<String>,
    /// What its manifest says of its configurations.
    pub schema: Option<ConfigSchema>,
    /// What its calls may use: the operator's limits, or the manifest's where those are lower.
    pub limits: HookLimits,
    /// The version of the contract that its host speaks.
    pub api: &'static str,
    /// The hooks it has.
    pub hooks: Vec<Hook>,
    /// What it may do beside answering: `kv`, and `http:` with a target.
    pub capabilities: Vec<String>,
    /// What its manifest asks for, in the same words.
    pub requested: Vec<String>,
    /// What the operator grants to a plugin of its name, in the same words.
    pub granted: Vec<String>,
    /// Its hooks that are not called now because it failed too often, and for how many configurations; for redaction, on
    /// how many streams.
    pub open_breakers: Vec<(Hook, u64)>,
    /// SHA-256 of the artifact, in hexadecimal.
    pub sha256: String,
    /// The operator's name for the key that has signed it; `None` if no trusted one has.
    pub signed_by: Option<String>,
    /// Its size in bytes.
    pub bytes: usize,
    /// What happens when it fails.
    pub policy: FailurePolicy,
    /// Whether the newest attempt to install it worked.
    pub status: PluginStatus,
    /// How the last call that failed did so.
    pub last_failure: Option<Failure>,
    /// The newest lines of its log, oldest first.
    pub log: Vec<LogLine>,
}

/// Whether a plugin is what the operator last wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginStatus {
    /// It is.
    Ready,
    /// A newer version could not be installed, for this reason; the one before serves.
    Outdated(String),
}

/// See the module.
pub(crate) struct Registry {
    runtime: Arc<Runtime>,
    linker: Linker<HostState>,
    entries: RwLock<BTreeMap<String, Entry>>,
    /// What is asked beside the plugin of its name, and decides nothing.
    shadows: RwLock<BTreeMap<String, Arc<Plugin>>>,
    records: Mutex<BTreeMap<String, Record>>,
    /// One compilation at a time.
    compiling: Semaphore,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    pub(crate) fn new(runtime: Arc<Runtime>) -> Result<Self, wasmtime::Error> {
        Ok(Self {
            linker: install::linker(&runtime.engine)?,
            runtime,
            entries: RwLock::default(),
            shadows: RwLock::default(),
            records: Mutex::default(),
            compiling: Semaphore::new(1),
        })
    }

    pub(crate) async fn install(
        &self,
        artifact: Artifact,
        origin: Origin,
    ) -> Result<PluginInfo, InstallError> {
        let name = artifact.name.clone();
        let record_of = |name: &str| self.record_of(name);
        match self.make(artifact, origin, record_of).await {
            Ok(entry) => {
                let info = entry.info.clone();
                self.write(|entries| entries.insert(name, entry));
                Ok(info)
            }
            Err(error) => {
                let status = PluginStatus::Outdated(error.to_string());
                self.write(|entries| {
                    if let Some(entry) = entries.get_mut(&name) {
                        entry.info.status = status;
                    }
                });
                Err(error)
            }
        }
    }

    /// As [`Registry::install`], but nobody else asks the plugin; what it counted and logged goes with it.
    pub(crate) async fn check(
        &self,
        artifact: Artifact,
    ) -> Result<(PluginInfo, Arc<Plugin>), InstallError> {
        let made = self.make(artifact, Origin::Elsewhere, Record::new).await?;
        Ok((made.info, made.plugin))
    }

    /// As [`Registry::check`], but the plugin is asked beside the one of its name from now on.
    pub(crate) async fn shadow(&self, artifact: Artifact) -> Result<(), InstallError> {
        let made = self.make(artifact, Origin::Elsewhere, Record::new).await?;
        made.plugin.is_shadow.store(true, Ordering::Relaxed);
        let mut shadows = self.shadows.write().unwrap_or_else(PoisonError::into_inner);
        shadows.insert(made.info.name, made.plugin);
        Ok(())
    }

    /// Asks nobody beside the plugin of this name any more.
    pub(crate) fn end_shadow(&self, name: &str) {
        let mut shadows = self.shadows.write().unwrap_or_else(PoisonError::into_inner);
        shadows.remove(name);
    }

    /// Who is asked beside the plugin of this name, if it has the hook.
    pub(crate) fn shadow_of(&self, name: &str, hook: Hook) -> Option<Arc<Plugin>> {
        let shadows = self.shadows.read().unwrap_or_else(PoisonError::into_inner);
        let shadow = shadows.get(name).filter(|shadow| shadow.hooks.has(hook));
        shadow.cloned()
    }

    /// Takes a plugin out of service; calls that have begun end as they would. False if there is none.
    pub(crate) fn remove(&self, name: &str) -> bool {
        self.write(|entries| entries.remove(name)).is_some()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Plugin>> {
        self.read(|entries| entries.get(name).map(|entry| Arc::clone(&entry.plugin)))
    }

    /// The names of all that is installed.
    pub(crate) fn names(&self) -> Vec<String> {
        self.read(|entries| entries.keys().cloned().collect())
    }

    pub(crate) fn list(&self) -> Vec<PluginInfo> {
        self.read(|entries| {
            let entries = entries.values();
            entries
                .map(|entry| PluginInfo {
                    open_breakers: entry.plugin.open_breakers(),
                    last_failure: entry.plugin.last_failure(),
                    log: entry.plugin.log.lines(),
                    ..entry.info.clone()
                })
                .collect()
        })
    }

    pub(crate) fn compilations(&self) -> u64 {
        self.runtime.compilations.load(Ordering::Relaxed)
    }

    pub(crate) fn counters(&self) -> Vec<PluginCounters> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = records.iter().map(|(name, record)| {
            let plugin = self.get(name);
            PluginCounters {
                breakers: plugin.map_or_else(Vec::new, |plugin| plugin.breakers()),
                ..record.counters.snapshot(name, record.log.dropped())
            }
        });
        counted.collect()
    }

    async fn make(
        &self,
        artifact: Artifact,
        origin: Origin,
        record_of: impl FnOnce(&str) -> Record,
    ) -> Result<Entry, InstallError> {
        let name = artifact.name.clone();
        if !is_plugin_name(&name) {
            return Err(InstallError::Name { name });
        }
        let host = |why: String| InstallError::Host { why };
        let _one = self
            .compiling
            .acquire()
            .await
            .map_err(|error| host(error.to_string()))?;
        let (runtime, linker) = (Arc::clone(&self.runtime), self.linker.clone());
        let record = record_of(&name);
        let (answer, answered) = oneshot::channel();
        // A thread of its own: the compiler takes seconds and cannot be interrupted.
        std::thread::Builder::new()
            .name("plugin-install".to_owned())
            .spawn(move || {
                let made = entry(artifact, origin, runtime, &linker, record);
                // Whoever waited may have given up.
                drop(answer.send(made));
            })
            .map_err(|error| host(error.to_string()))?;
        match tokio::time::timeout(MAX_COMPILE_TIME, answered).await {
            Ok(Ok(made)) => made,
            Ok(Err(_)) => Err(host("the compiler broke off".to_owned())),
            Err(_) => Err(InstallError::TooSlow {
                seconds: MAX_COMPILE_TIME.as_secs(),
            }),
        }
    }

    fn record_of(&self, name: &str) -> Record {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let record = records.entry(name.to_owned());
        record.or_insert_with(|| Record::new(name)).clone()
    }

    fn read<T>(&self, read: impl FnOnce(&BTreeMap<String, Entry>) -> T) -> T {
        read(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut BTreeMap<String, Entry>) -> T) -> T {
        write(&mut self.entries.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The plugin of this name, if it is installed and, if so, has the hook: `Ok(None)` is a plugin that
/// is bound for its other hooks.
///
/// # Errors
/// If it is not installed.
pub(crate) fn with_hook(
    registry: &Registry,
    name: &str,
    hook: Hook,
) -> Result<Option<Arc<Plugin>>, Failure> {
    let plugin = registry.get(name).ok_or_else(|| not_installed(name))?;
    Ok(plugin.hooks.has(hook).then_some(plugin))
}
