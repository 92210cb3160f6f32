//! C's tool, as a build drives it: Zig's clang, after the bindings.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::bindings;
use super::tool::{self, Tool};

/// What pip installs, into the plugin's environment or another one that is on the path: a clang that has a library for wasm.
const ZIG: Tool = Tool {
    program: "python-zig",
    own: Some(".venv/bin"),
    remedy: "pip install -r requirements.txt in the folder",
};

/// The source that a plugin has to have. All others of its folder are compiled as well.
pub(super) const SOURCE: &str = "plugin.c";

/// Makes a module of the sources in `folder`, which has the contract in it, and says where it is.
///
/// # Errors
/// If the tool is missing, with what mends that; or the sources are not accepted.
pub(super) fn compile(folder: &Path) -> anyhow::Result<PathBuf> {
    tool::contract(folder)?;
    bindings::write(folder, wit_bindgen_c::Opts::default().build())?;
    let mut command = ZIG.in_folder(folder)?;
    command
        .args(["cc", "-target", "wasm32-wasi", "-mexec-model=reactor"])
        // Unless it is told, it asks for 16 MiB of stack.
        .args(["-Oz", "-Wl,-z,stack-size=65536", "-Ibindings"])
        .args(sources(folder)?)
        .args([
            "bindings/this_plugin.c",
            "bindings/this_plugin_component_type.o",
            "-o",
        ]);
    ZIG.make(&mut command, folder)
}

/// The files of the folder that end in `.c`, by name.
fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let fail = || format!("read {}", folder.display());
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).with_context(fail)? {
        let name = PathBuf::from(entry.with_context(fail)?.file_name());
        if name.extension().is_some_and(|ending| ending == "c") {
            sources.push(name);
        }
    }
    sources.sort();
    Ok(sources)
}
