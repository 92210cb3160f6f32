//! Rust's tools, as a build drives them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use serde_json::Value;

use super::tool::Tool;
use crate::cli::Told;
use crate::config::Environment;

/// What plugins are compiled for: no files, no sockets, no environment.
const TARGET: &str = "wasm32-unknown-unknown";

const RUSTUP: &str = "https://rustup.rs";
const CARGO: Tool = Tool {
    program: "cargo",
    own: None,
    remedy: RUSTUP,
};
const RUSTC: Tool = Tool {
    program: "rustc",
    own: None,
    remedy: RUSTUP,
};

/// What cargo reads.
pub(super) const MANIFEST: &str = "Cargo.toml";

/// Compiles the crate in `folder` and says where its module is. What the compiler says goes to standard error.
///
/// # Errors
/// If cargo or the target is missing, with what mends that; or the sources do not compile.
pub(super) fn compile(folder: &Path) -> anyhow::Result<PathBuf> {
    let flags = without_places(&sysroot(folder)?);
    let format = "--message-format=json-render-diagnostics";
    let mut cargo = CARGO.in_folder(folder)?;
    cargo.args([
        "build",
        "--release",
        "--target",
        TARGET,
        format,
        "--config",
        &flags,
    ]);
    let built = CARGO.output(cargo.stderr(Stdio::inherit()))?;
    if !built.status.success() {
        let told = format!("cargo cannot build {}: it says above why", folder.display());
        return Err(Told(told).into());
    }
    module(&String::from_utf8_lossy(&built.stdout)).context("what cargo built")
}

/// Where the compiler's own files are, among which the target has to be.
fn sysroot(folder: &Path) -> anyhow::Result<PathBuf> {
    let print = [
        "--print",
        "sysroot",
        "--print",
        "target-libdir",
        "--target",
        TARGET,
    ];
    let found = RUSTC.output(RUSTC.in_folder(folder)?.args(print))?;
    let printed = String::from_utf8_lossy(&found.stdout);
    if let [sysroot, libraries] = printed.lines().collect::<Vec<_>>().as_slice()
        && found.status.success()
        && Path::new(libraries).is_dir()
    {
        return Ok(PathBuf::from(sysroot));
    }
    let told = format!("Rust's target {TARGET} is not installed: rustup target add {TARGET}");
    Err(Told(told).into())
}

/// Cargo's setting that keeps this machine's folders out of the module: the texts of panics name source files, and the same
/// sources have to become the same bytes elsewhere. What the author sets for the target stays beside it.
fn without_places(sysroot: &Path) -> String {
    let environment = Environment::of_process();
    let variable = |name: &str| environment.variables().get(name).map(PathBuf::from);
    let home = variable("CARGO_HOME").or_else(|| Some(variable("HOME")?.join(".cargo")));
    let places = [(Some(sysroot.to_owned()), "/rust"), (home, "/cargo")];
    let flag = |(from, to): (Option<PathBuf>, &str)| {
        Some(format!("--remap-path-prefix={}={to}", from?.display()))
    };
    let flags: Vec<_> = places.into_iter().filter_map(flag).collect();
    format!("target.{TARGET}.rustflags={}", toml::Value::from(flags))
}

/// The module among cargo's messages: of the last package that it built, which is the plugin's.
fn module(messages: &str) -> anyhow::Result<PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let modules = messages.flat_map(|message| {
        let files = message["filenames"].as_array().cloned().unwrap_or_default();
        let files = files
            .into_iter()
            .filter_map(|file| Some(PathBuf::from(file.as_str()?)));
        files
            .filter(|file| file.extension().is_some_and(|ending| ending == "wasm"))
            .collect::<Vec<_>>()
    });
    let told =
        || Told("no wasm module: Cargo.toml needs [lib] with crate-type = [\"cdylib\"]".to_owned());
    Ok(modules.last().ok_or_else(told)?)
}
