//! Go's tool, as a build drives it, after the bindings. Its modules do not say what they implement, so they are told.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sandclock_hooks::describe;
use wit_bindgen_go::Format;

use super::bindings;
use super::tool::{self, Tool};
use crate::cli::Told;

const GO: Tool = Tool {
    program: "go",
    own: None,
    remedy: "https://go.dev/dl",
};

/// A workspace of a folder above has other modules, and other vendored ones.
const OWN_MODULE: (&str, &str) = ("GOWORK", "off");

/// What Go reads.
pub(super) const MODULE: &str = "go.mod";

/// Makes a module of the package in `folder`, which has the contract in it, and says where it is.
///
/// # Errors
/// If the tool is missing, with what mends that; or the sources are not accepted.
pub(super) fn compile(folder: &Path) -> anyhow::Result<PathBuf> {
    tool::contract(folder)?;
    let name = name(folder)?;
    let options = wit_bindgen_go::Opts {
        // Otherwise it would depend on whether a `gofmt` is found.
        format: Format::False,
        pkg_name: Some(format!("{name}/{}", bindings::FOLDER)),
        // What the plugin exports is the author's, and beside it.
        export_pkg_name: Some(name),
        ..Default::default()
    };
    bindings::write(folder, options.build())?;
    let mut command = GO.in_folder(folder)?;
    command
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), OWN_MODULE])
        // The bindings reach Go's allocator before its runtime is up, which it must not check.
        .args([
            "build",
            "-buildmode=c-shared",
            "-trimpath",
            "-ldflags=-s -w -checklinkname=0",
            "-o",
        ]);
    let made = GO.make(&mut command, folder)?;
    let module = fs::read(&made).with_context(|| format!("read {}", made.display()))?;
    let described = describe(&module, &folder.join(tool::CONTRACT), tool::WORLD)?;
    fs::write(&made, described).with_context(|| format!("write {}", made.display()))?;
    Ok(made)
}

/// The module's name, with which the paths of its packages begin.
fn name(folder: &Path) -> anyhow::Result<String> {
    let mut list = GO.in_folder(folder)?;
    let listed = GO.output(list.envs([OWN_MODULE]).args(["list", "-m"]))?;
    if listed.status.success() {
        return Ok(String::from_utf8_lossy(&listed.stdout).trim().to_owned());
    }
    let printed = String::from_utf8_lossy(&listed.stderr);
    let file = folder.join(MODULE);
    Err(Told(format!("{}: {}", file.display(), printed.trim())).into())
}
