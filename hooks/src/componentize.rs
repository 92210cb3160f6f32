//! From what a toolchain writes to a component.
//!
//! Toolchains end at one of three points. Those of JavaScript and Python write components. Those of Rust and C write core modules that
//! carry the contract as metadata of their bindings. Those of Go write plain core modules, which need to be told what they
//! implement: [`describe`] does so for a plugin with a world of its own, [`componentize`] for one of the contract's worlds.
//!
//! Modules that were made for WASI preview 1 get what they import of it from an adapter of our own (`hooks/wasi/preview1.wat`), which
//! has nothing to give that the contract does not grant: the host links no WASI.

use std::fmt::Display;
use std::path::Path;

use sandclock_core::backend::plugins::MAX_MODULE_BYTES;
use wasmparser::Parser;
use wit_component::{ComponentEncoder, LibraryInfo, StringEncoding};
use wit_parser::{Resolve, WorldId};

use crate::install::InstallError;

/// The contract, as its authors write it.
const CONTRACT: &str = include_str!("../../plugins-sdk/wit/plugin.wit");

/// What stands in for WASI, made of `preview1.wat` by `cargo xtask plugins`.
const ADAPTER: &[u8] = include_bytes!("../wasi/preview1.wasm");

/// The module whose functions it has.
const WASI: &str = "wasi_snapshot_preview1";

/// The world of what the adapter imports.
const ADAPTER_WORLD: &str = "pure-imports";

/// The worlds that an author can implement; `world` of [`componentize`].
pub const WORLDS: [&str; 7] = [
    "timeout-plugin",
    "redaction-plugin",
    "alert-plugin",
    "alert-plugin-kv",
    "alert-plugin-http",
    "alert-plugin-kv-http",
    "all-hooks",
];

/// Makes a component of a core module; a component stays as it is. `world` says what a module without metadata implements, and
/// is one of [`WORLDS`]; it is not asked for what a module says itself.
///
/// # Errors
/// [`InstallError::NoContract`] for a module without metadata if no world is given, [`InstallError::World`] for one that does not
/// exist, and [`InstallError::Malformed`] for what cannot be a plugin.
pub fn componentize(bytes: &[u8], world: Option<&str>) -> Result<Vec<u8>, InstallError> {
    if bytes.len() > MAX_MODULE_BYTES {
        return Err(InstallError::TooLarge { bytes: bytes.len() });
    }
    // The layer field of the preamble tells modules (0) and components (1) apart.
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(bytes.to_vec()),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => {
            let of_contract = |module: &mut Vec<u8>| {
                let world = world.ok_or(InstallError::NoContract)?;
                embed_of_contract(module, world)
            };
            encode(&described(bytes, of_contract)?)
        }
        _ => Err(malformed("it is not a wasm binary")),
    }
}

/// The module with metadata: its own, or what `embed` gives it.
fn described(
    module: &[u8],
    embed: impl FnOnce(&mut Vec<u8>) -> Result<(), InstallError>,
) -> Result<Vec<u8>, InstallError> {
    // What decodes metadata relies on whole sections.
    for payload in Parser::new(0).parse_all(module) {
        payload.map_err(malformed)?;
    }
    let (stripped, _) = wit_component::metadata::decode(module).map_err(malformed)?;
    let mut module = module.to_vec();
    if stripped.is_none() {
        embed(&mut module)?;
    }
    Ok(module)
}

/// Tells a core module without metadata that it implements `world` of the WIT package in the folder `wit`. What says so itself
/// stays as it is.
///
/// # Errors
/// [`InstallError::Malformed`] if the package, the world or the module is none.
pub fn describe(module: &[u8], wit: &Path, world: &str) -> Result<Vec<u8>, InstallError> {
    described(module, |module| {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(wit).map_err(malformed)?;
        let world = resolve.select_world(&[package], Some(world));
        embed(module, &resolve, world.map_err(malformed)?)
    })
}

fn embed_of_contract(module: &mut Vec<u8>, world: &str) -> Result<(), InstallError> {
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("plugin.wit", CONTRACT)
        .map_err(malformed)?;
    let id = resolve
        .select_world(&[package], Some(world))
        .map_err(|_| InstallError::World {
            world: world.to_owned(),
        })?;
    embed(module, &resolve, id)
}

fn embed(module: &mut Vec<u8>, resolve: &Resolve, world: WorldId) -> Result<(), InstallError> {
    wit_component::embed_component_metadata(module, resolve, world, StringEncoding::UTF8)
        .map_err(malformed)
}

fn encode(module: &[u8]) -> Result<Vec<u8>, InstallError> {
    let mut encoder = ComponentEncoder::default()
        .validate(true)
        .module(module)
        .map_err(malformed)?;
    // The name in passing costs a module a few milliseconds and gives it nothing that it does not import.
    if memchr::memmem::find(module, WASI.as_bytes()).is_some() {
        let mut adapter = ADAPTER.to_vec();
        embed_of_contract(&mut adapter, ADAPTER_WORLD)?;
        // As a library it may have a memory of its own, which what is called an adapter may not.
        let info = LibraryInfo {
            instantiate_after_shims: false,
            arguments: Vec::new(),
        };
        encoder = encoder.library(WASI, &adapter, info).map_err(malformed)?;
    }
    encoder.encode().map_err(malformed)
}

fn malformed(why: impl Display) -> InstallError {
    InstallError::Malformed {
        why: format!("{why:#}"),
    }
}
