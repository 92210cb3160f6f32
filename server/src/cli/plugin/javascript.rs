//! JavaScript's tool, as a build drives it: componentize-qjs, which puts the source into an engine, `QuickJS`.

use std::path::{Path, PathBuf};

use super::tool::{self, Tool};
use crate::cli::file::Written;
use crate::document::FieldError;

/// What npm installs.
const COMPONENTIZE: Tool = Tool {
    program: "componentize-qjs",
    own: Some("node_modules/.bin"),
    remedy: "npm install in the folder, with Node.js 18 or later,",
};

/// What npm reads, and the build.
pub(super) const PACKAGE: &str = "package.json";

/// Makes a component of what `package.json` names in `folder` and says where it is.
///
/// # Errors
/// If the tool is missing, with what mends that; or the sources are not accepted.
pub(super) fn compile(folder: &Path) -> anyhow::Result<PathBuf> {
    tool::contract(folder)?;
    let source = main(folder)?;
    let mut command = COMPONENTIZE.in_folder(folder)?;
    command
        .args([
            "--wit",
            tool::CONTRACT,
            "--world",
            tool::WORLD,
            "--js",
            &source,
        ])
        // Calls end before they wait, the host has no WASI, and a worker keeps what is small.
        .args(["--sync", "--stub-wasi", "--opt-size", "--output"]);
    COMPONENTIZE.make(&mut command, folder)
}

/// The source that `package.json` names, from the plugin's folder.
fn main(folder: &Path) -> anyhow::Result<String> {
    let mut package = Written::read(&folder.join(PACKAGE))?;
    let main = package.take("main");
    let source = main.as_str().filter(|source| folder.join(source).is_file());
    let accepted = "the plugin's source, such as \"plugin.js\"";
    let refused = || package.refused(FieldError::new("main", main.to_string(), accepted));
    source.map(str::to_owned).ok_or_else(refused)
}
