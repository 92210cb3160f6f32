//! From an artifact to a plugin that serves and what is known of it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use sandclock_core::backend::plugins::ModuleDigest;
use wasmtime::component::Linker;

use crate::breaker::Gates;
use crate::capabilities::requests;
use crate::counters::Counters;
use crate::host::{self, HostState};
use crate::install::{self, InstallError};
use crate::log::PluginLog;
use crate::manifest::Manifest;
use crate::plugin::{Hook, Plugin, Runtime};
use crate::registry::{Artifact, PluginInfo, PluginStatus};
use crate::signature::Trust;

/// Where an artifact comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is part of this program, and trusted like it.
    Program,
    /// From whoever may push.
    Elsewhere,
}

/// An installed plugin, and what is known of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) info: PluginInfo,
    pub(crate) plugin: Arc<Plugin>,
}

/// What is kept of a plugin over its versions.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Arc<PluginLog>,
}

impl Record {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            counters: Arc::default(),
            log: Arc::new(PluginLog::new(&Arc::from(name))),
        }
    }
}

/// Checks, compiles and tries an artifact: the slow part of an installation.
///
/// # Errors
/// If it cannot serve.
pub(crate) fn entry(
    artifact: Artifact,
    origin: Origin,
    runtime: Arc<Runtime>,
    linker: &Linker<HostState>,
    record: Record,
) -> Result<Entry, InstallError> {
    let (signed_by, manifest) = vouched(&artifact.bytes, origin, &runtime.trust)?;
    let compiled = install::compile(&runtime, linker, &artifact.bytes)?;
    let mut limits = runtime.limits;
    if let Some(manifest) = &manifest {
        let version = artifact.version.as_deref();
        manifest.check(&artifact.name, version, |hook| compiled.hooks.has(hook))?;
        limits = manifest.limits(limits);
    }
    let requested = manifest.as_ref().map(|manifest| &manifest.capabilities);
    let hooks = Hook::ALL
        .into_iter()
        .filter(|hook| compiled.hooks.has(*hook));
    let hooks: Vec<_> = hooks.collect();
    let grants = &runtime.grants;
    let granted = grants.names(&artifact.name);
    let asked = requested.map_or_else(Vec::new, requests);
    let given = grants.given(&artifact.name, &compiled.imports, &hooks, requested)?;
    let (about, schema) = manifest
        .map(|manifest| (manifest.plugin, manifest.config.map(|config| config.schema)))
        .unzip();
    let schema = schema.flatten();
    let its_own = || Some(about.as_ref()?.version.clone());
    let version = artifact.version.or_else(its_own);
    let name: Arc<str> = Arc::from(artifact.name.as_str());
    let rule = runtime.breakers.of(&name);
    let plugin = Arc::new(Plugin {
        name: Arc::clone(&name),
        version: version.clone(),
        sha256: ModuleDigest::of(&artifact.bytes).to_string(),
        pre: compiled.pre,
        hooks: compiled.hooks,
        policy: artifact.policy,
        limits,
        schema: schema.clone(),
        given: Arc::new(given),
        runtime,
        log: record.log,
        counters: record.counters,
        last_failure: Mutex::default(),
        gates: Gates::new(&name, rule),
        is_shadow: AtomicBool::new(false),
    });
    install::dry_run(&plugin)?;
    let info = PluginInfo {
        hooks,
        capabilities: plugin.given.names(),
        requested: asked,
        granted,
        open_breakers: Vec::new(),
        sha256: plugin.sha256.clone(),
        signed_by,
        bytes: artifact.bytes.len(),
        name: artifact.name,
        version,
        description: about.and_then(|about| about.description),
        schema,
        limits,
        api: host::VERSION,
        policy: artifact.policy,
        status: PluginStatus::Ready,
        last_failure: None,
        log: Vec::new(),
    };
    Ok(Entry { info, plugin })
}

/// The operator's name for who has signed an artifact, if anybody has, and what its author says of it.
///
/// # Errors
/// If it is from elsewhere, and who counts has not signed it or it has no name, though it needs both.
fn vouched(
    artifact: &[u8],
    origin: Origin,
    trust: &Trust,
) -> Result<(Option<String>, Option<Manifest>), InstallError> {
    let signed_by = match origin {
        Origin::Program => None,
        Origin::Elsewhere => trust.signer(artifact)?,
    };
    let manifest = Manifest::of(artifact)?;
    if trust.required && origin == Origin::Elsewhere && manifest.is_none() {
        let why = "it has no manifest, so that nobody has signed its name and version".to_owned();
        return Err(InstallError::Signature { why });
    }
    Ok((signed_by, manifest))
}
