//! JavaScript's tool, as a build drives it: componentize-qjs, which puts the source into an engine, `QuickJS`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::tool::{self, Tool};
use crate::cli::Told;

/// What npm installs into the plugin's folder, unless it is on the path.
const COMPONENTIZE: Tool = Tool {
    program: "componentize-qjs",
    remedy: "npm install in the plugin's folder installs it, with Node.js 18 or later",
};

/// Makes a component of what `package.json` names in `folder` and says where it is.
///
/// # Errors
/// If the tool is missing, with what mends that; or the sources are not accepted.
pub(super) fn compile(folder: &Path) -> anyhow::Result<PathBuf> {
    tool::contract(folder)?;
    let source = main(folder)?;
    let made = tool::made(folder)?;
    let own = Path::new("node_modules/.bin").join(COMPONENTIZE.program);
    let mut command = if folder.join(&own).exists() {
        tool::start(&fs::canonicalize(folder)?.join(own), folder)
    } else {
        COMPONENTIZE.in_folder(folder)
    };
    command
        .args(["--wit", "wit", "--world", tool::WORLD, "--js", &source])
        // Calls end before they wait, the host has no WASI, and a worker keeps what is small.
        .args(["--sync", "--stub-wasi", "--opt-size", "--output"])
        .arg(&made);
    COMPONENTIZE.make(&mut command, folder)?;
    Ok(folder.join(made))
}

/// The source that `package.json` names, from the plugin's folder.
fn main(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join("package.json");
    let read = || format!("read {}", path.display());
    let text = fs::read(&path).with_context(read)?;
    let package: Value = serde_json::from_slice(&text).with_context(read)?;
    let main = &package["main"];
    let source = main.as_str().filter(|source| folder.join(source).is_file());
    let told = || {
        let path = path.display();
        Told(format!(
            "{path}: main: {main} is not accepted: the plugin's source, such as \"plugin.js\""
        ))
    };
    Ok(source.ok_or_else(told)?.to_owned())
}
