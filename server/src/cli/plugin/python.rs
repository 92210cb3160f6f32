//! Python's tool, as a build drives it: componentize-py, which puts the sources into an engine, `CPython`.

use std::path::{Path, PathBuf};

use super::tool::{self, Tool};

/// What pip installs, into the plugin's environment or another one that is on the path.
const COMPONENTIZE: Tool = Tool {
    program: "componentize-py",
    own: Some(".venv/bin"),
    remedy: "pip install -r requirements.txt in the folder",
};

/// The module that is the plugin, which imports others of the folder and of the environment.
pub(super) const SOURCE: &str = "plugin.py";

/// Makes a component of `plugin.py` in `folder` and says where it is.
///
/// # Errors
/// If the tool is missing, with what mends that; or the sources are not accepted.
pub(super) fn compile(folder: &Path) -> anyhow::Result<PathBuf> {
    tool::contract(folder)?;
    let mut command = COMPONENTIZE.in_folder(folder)?;
    command
        .args(["--wit-path", tool::CONTRACT, "--world", tool::WORLD])
        // The host has no WASI.
        .args(["componentize", "plugin", "--stub-wasi", "--output"]);
    COMPONENTIZE.make(&mut command, folder)
}
