//! `sandclock plugin build`: from sources to the one file that is pushed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use sandclock_core::backend::plugins::MAX_MODULE_BYTES;
use sandclock_hooks::{Artifact, Manifest, PluginInfo};
use serde_json::json;

use super::project::Project;
use super::{c, check, go, javascript, python, rust};
use crate::cli::table::{self, size};
use crate::cli::{Output, Told};

/// What to build.
#[derive(Debug, Args)]
pub(in crate::cli) struct BuildArgs {
    /// The plugin's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// Builds the plugin of a folder.
///
/// # Errors
/// If a tool is missing, the sources do not compile, or the result could not be installed.
pub(super) async fn run(args: &BuildArgs, output: Output) -> anyhow::Result<()> {
    let project = Project::read(&args.dir)?;
    let module = module(&project.folder)?;
    finish(&project.manifest, &module, &project.built(), output).await
}

/// What the folder's own tools make, without a manifest.
///
/// # Errors
/// If a tool is missing, or the sources do not compile.
pub(super) fn module(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let module = compile(folder)?;
    fs::read(&module).with_context(|| format!("read {}", module.display()))
}

/// Makes the one file of a module and its manifest.
///
/// # Errors
/// If it could not be installed, or cannot be written.
pub(super) async fn finish(
    manifest: &Manifest,
    module: &[u8],
    file: &Path,
    output: Output,
) -> anyhow::Result<()> {
    let bytes = manifest.embed(module)?;
    let about = &manifest.plugin;
    let artifact = Artifact::new(&about.name, Some(about.version.clone()), bytes.clone());
    let info = check::host()?.check(artifact).await?;
    replace(file, &bytes)?;
    report(file, &info, output);
    Ok(())
}

/// Builds what is in a folder, and says where the module or component is.
type Compile = fn(&Path) -> anyhow::Result<PathBuf>;

/// The languages, each by a file that its sources have and those of no other.
const LANGUAGES: [(&str, Compile); 5] = [
    (rust::MANIFEST, rust::compile),
    (python::SOURCE, python::compile),
    (go::MODULE, go::compile),
    (c::SOURCE, c::compile),
    // Last: others have one for their tools.
    (javascript::PACKAGE, javascript::compile),
];

/// Has the folder's own tools build.
fn compile(folder: &Path) -> anyhow::Result<PathBuf> {
    let found = LANGUAGES
        .iter()
        .find(|(file, _)| folder.join(file).exists());
    if let Some((_, compile)) = found {
        return compile(folder);
    }
    let files = LANGUAGES.map(|(file, _)| file).join(", ");
    let told = format!(
        "{} holds no sources that can be built: {files} are looked for",
        folder.display()
    );
    Err(Told(told).into())
}

/// Writes the file at once, for whoever watches it.
pub(super) fn replace(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let beside = file.with_extension("wasm.new");
    fs::write(&beside, bytes)
        .and_then(|()| fs::rename(&beside, file))
        .with_context(|| format!("write {}", file.display()))
}

fn report(file: &Path, info: &PluginInfo, output: Output) {
    let hooks: Vec<_> = info.hooks.iter().map(|hook| hook.as_str()).collect();
    let done = json!({
        "file": file,
        "plugin": info.name,
        "version": info.version,
        "hooks": hooks,
        "size_bytes": info.bytes,
        "max_bytes": MAX_MODULE_BYTES,
        "sha256": info.sha256,
    });
    table::either(output, &done, |done| {
        let header = ["built", &file.display().to_string()];
        let rows = [
            (
                "plugin",
                format!("{} {}", info.name, table::text(done, "version")),
            ),
            ("hooks", hooks.join(", ")),
            (
                "size",
                format!("{} of at most {}", size(info.bytes), size(MAX_MODULE_BYTES)),
            ),
            ("sha256", info.sha256.clone()),
        ];
        table::print(
            &header,
            rows.map(|(what, text)| vec![what.to_owned(), text]),
        );
    });
}
