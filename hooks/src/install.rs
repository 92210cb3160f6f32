//! From the bytes of an artifact to a plugin that can be called.
//!
//! Everything that can be wrong is found here rather than at the first run: the size, the format,
//! the version of the contract, imports beyond what is granted, and by a dry run what only shows
//! when an instance comes to life. Precompiled artifacts are refused whatever they say of
//! themselves: loading one is running it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandclock_core::backend::plugins::{MAX_MODULE_BYTES, PLUGIN_NAMES};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::capabilities::Capability;
use crate::componentize::{WORLDS, componentize};
use crate::failure::{Failure, FailureCode};
use crate::host::{self, GRANTED, HostState, PACKAGE, VERSION};
use crate::instance::{Instance, Scope};
use crate::plugin::{Hook, HookIndices, Plugin, Runtime};

/// Why an artifact cannot serve. What was installed under the name before goes on serving.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// A name that cannot be.
    #[error("invalid plugin name {name:?}: use {PLUGIN_NAMES}")]
    Name {
        /// The name as given.
        name: String,
    },
    /// More bytes than are accepted.
    #[error("the artifact has {bytes} bytes: at most {MAX_MODULE_BYTES} are accepted")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Machine code.
    #[error("the artifact is precompiled: install the wasm file it was made of")]
    Precompiled,
    /// Not wasm, or not a plugin.
    #[error("the artifact is not a plugin: {why}")]
    Malformed {
        /// What its parser says.
        why: String,
    },
    /// A core module that does not say what it implements.
    #[error(
        "the artifact is a core module without the contract: make a plugin of it with `sandclock plugin build`"
    )]
    NoContract,
    /// There is no such world.
    #[error("the contract has no world {world:?}: there are {}", WORLDS.join(", "))]
    World {
        /// The name as given.
        world: String,
    },
    /// It imports what this host does not give.
    #[error(
        "the plugin imports {import}, which is not granted: plugins may import host, log, config \
         and clock of {PACKAGE_NAME}, and kv and http if they ask for them; build for wasm32-unknown-unknown to get rid of WASI"
    )]
    ImportNotGranted {
        /// The import, as it is named in the artifact.
        import: String,
    },
    /// It speaks another version of the contract.
    #[error(
        "the plugin speaks {found}, and this host speaks {PACKAGE_NAME}@{VERSION}: build it with a \
         matching SDK, or upgrade"
    )]
    InterfaceVersion {
        /// The interface, as it is named in the artifact.
        found: String,
    },
    /// It needs what a later version of the contract has.
    #[error(
        "the plugin needs what {found} has and this host, which speaks {PACKAGE_NAME}@{VERSION}, has not: \
         upgrade the host, or build it with an older SDK: {why}"
    )]
    Newer {
        /// The interface, as it is named in the artifact.
        found: String,
        /// What the linker says.
        why: String,
    },
    /// It has nothing that could be called.
    #[error("the plugin exports no hook: register at least one of its kinds")]
    NoHooks,
    /// It does not fit the contract in its details.
    #[error("the plugin does not fit {PACKAGE_NAME}@{VERSION}: {why}")]
    Incompatible {
        /// What the linker says.
        why: String,
    },
    /// It failed the first time it was called.
    #[error("the plugin fails when it is started: {0}")]
    DryRun(#[source] Failure),
    /// What its author says of it cannot be, or is not so.
    #[error("the plugin's manifest is not accepted: {why}")]
    Manifest {
        /// What is wrong.
        why: String,
    },
    /// Nobody who counts vouches for it.
    #[error("the plugin's signature is not accepted: {why}")]
    Signature {
        /// What is wrong.
        why: String,
    },
    /// It would do what it may not.
    #[error("the plugin's capabilities are not accepted: {why}")]
    Capability {
        /// What is wrong, and the remedy.
        why: String,
    },
    /// It takes too long to compile.
    #[error("the plugin takes more than {seconds} s to compile")]
    TooSlow {
        /// How long was waited.
        seconds: u64,
    },
    /// The host could not do its part.
    #[error("the plugin cannot be installed now: {why}")]
    Host {
        /// What is missing.
        why: String,
    },
}

const PACKAGE_NAME: &str = "sandclock:plugin";

/// A component that has passed all checks but the dry run.
pub(crate) struct Compiled {
    pub(crate) pre: wasmtime::component::InstancePre<HostState>,
    pub(crate) hooks: HookIndices,
    /// What it would do beside answering.
    pub(crate) imports: BTreeSet<Capability>,
}

/// Checks and compiles an artifact. Takes up to seconds of processor time.
///
/// # Errors
/// If it cannot serve, for any reason but a failing start.
pub(crate) fn compile(
    runtime: &Runtime,
    linker: &Linker<HostState>,
    bytes: &[u8],
) -> Result<Compiled, InstallError> {
    let engine = &runtime.engine;
    if Engine::detect_precompiled(bytes).is_some() {
        return Err(InstallError::Precompiled);
    }
    let component = componentize(bytes, None)?;
    let component = compiled(runtime, &component)?;
    let imports = check_imports(engine, &component)?;
    check_exports(engine, &component)?;
    let mut linker = linker.clone();
    for capability in &imports {
        host::link(&mut linker, *capability).map_err(|error| incompatible(&error))?;
    }
    let pre = linker.instantiate_pre(&component).map_err(|error| {
        let why = format!("{error:#}");
        match newer_import(engine, &component) {
            Some(found) => InstallError::Newer { found, why },
            None => InstallError::Incompatible { why },
        }
    })?;
    let hooks = HookIndices::probe(&pre);
    check_shapes(engine, &component, &hooks)?;
    if !Hook::ALL.iter().any(|hook| hooks.has(*hook)) {
        return Err(InstallError::NoHooks);
    }
    // Only makes the first call cheaper.
    if let Err(error) = component.initialize_copy_on_write_image() {
        tracing::debug!(%error, "a plugin starts without a memory image");
    }
    Ok(Compiled {
        pre,
        hooks,
        imports,
    })
}

/// The component as machine code: as it is kept, or compiled now.
fn compiled(runtime: &Runtime, bytes: &[u8]) -> Result<Component, InstallError> {
    let (engine, cache) = (&runtime.engine, runtime.cache.as_ref());
    if let Some(kept) = cache.and_then(|cache| cache.load(engine, bytes, runtime.mutation)) {
        return Ok(kept);
    }
    runtime.compilations.fetch_add(1, Ordering::Relaxed);
    let compiled =
        Component::from_binary(engine, bytes).map_err(|error| malformed(format!("{error:#}")))?;
    if let Some(cache) = cache {
        cache.keep(engine, bytes, &compiled);
    }
    Ok(compiled)
}

/// Starts an instance, loads each hook, and asks for an opinion on the empty configuration.
///
/// # Errors
/// If the plugin does not get through. An opinion that the configuration lacks something is no error.
pub(crate) fn dry_run(plugin: &Arc<Plugin>) -> Result<(), InstallError> {
    let limits = plugin.limits.lifecycle;
    let scope = Scope::without_run(serde_json::json!({}));
    let mut instance = Instance::start(plugin, &scope, limits).map_err(InstallError::DryRun)?;
    instance
        .check_hooks()
        .map_err(|error| incompatible(&error))?;
    if plugin.hooks.has(Hook::Lifecycle) {
        match instance.validate_config(limits) {
            Err(failure) if failure.code != FailureCode::PluginError => {
                return Err(InstallError::DryRun(failure));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// What the component imports beside what every plugin may.
fn check_imports(
    engine: &Engine,
    component: &Component,
) -> Result<BTreeSet<Capability>, InstallError> {
    let mut effects = BTreeSet::new();
    for (import, _) in component.component_type().imports(engine) {
        let interface = import.strip_prefix(PACKAGE);
        let (name, version) = interface
            .and_then(|interface| interface.split_once('@'))
            .unwrap_or_default();
        let capability = Capability::ALL.into_iter().find(|it| it.as_str() == name);
        if !GRANTED.contains(&name) && capability.is_none() {
            return Err(InstallError::ImportNotGranted {
                import: import.to_owned(),
            });
        }
        check_version(import, version)?;
        effects.extend(capability);
    }
    Ok(effects)
}

/// An import of a later version of the contract than this host speaks, within its track.
fn newer_import(engine: &Engine, component: &Component) -> Option<String> {
    let patch = |version: &str| -> Option<u32> { version.rsplit('.').next()?.parse().ok() };
    let component_type = component.component_type();
    let mut imports = component_type.imports(engine).map(|(import, _)| import);
    let newer = imports.find(|import| {
        let version = import.split_once('@').map_or("", |(_, version)| version);
        patch(version) > patch(VERSION)
    });
    newer.map(str::to_owned)
}

fn check_exports(engine: &Engine, component: &Component) -> Result<(), InstallError> {
    for (export, _) in component.component_type().exports(engine) {
        let interface = export.strip_prefix(PACKAGE);
        if let Some((_, version)) = interface.and_then(|interface| interface.split_once('@')) {
            check_version(export, version)?;
        }
    }
    Ok(())
}

/// Before 1.0 the minor number is the track.
fn check_version(interface: &str, version: &str) -> Result<(), InstallError> {
    let track = |version: &str| -> Option<(String, String)> {
        let mut numbers = version.split('.');
        Some((numbers.next()?.to_owned(), numbers.next()?.to_owned()))
    };
    if track(version) == track(VERSION) {
        return Ok(());
    }
    Err(InstallError::InterfaceVersion {
        found: interface.to_owned(),
    })
}

/// A hook that is exported under its name but cannot be found by its type has another shape.
fn check_shapes(
    engine: &Engine,
    component: &Component,
    hooks: &HookIndices,
) -> Result<(), InstallError> {
    for (export, _) in component.component_type().exports(engine) {
        let name = export.strip_prefix(PACKAGE).unwrap_or_default();
        let name = name.split('@').next().unwrap_or_default();
        let hook = Hook::ALL.iter().find(|hook| hook.as_str() == name);
        if hook.is_some_and(|hook| !hooks.has(*hook)) {
            return Err(InstallError::Incompatible {
                why: format!("{export} lacks a function of the contract"),
            });
        }
    }
    Ok(())
}

fn malformed(why: String) -> InstallError {
    InstallError::Malformed { why }
}

fn incompatible(error: &wasmtime::Error) -> InstallError {
    InstallError::Incompatible {
        why: format!("{error:#}"),
    }
}

/// A linker for [`compile`].
///
/// # Errors
/// If the contract cannot be linked, which no artifact can cause.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<HostState>, wasmtime::Error> {
    host::linker(engine)
}
