//! `sandclock plugin dev`: builds, tests and pushes a plugin whenever its sources change.
//!
//! The folder is looked at in a rhythm: it is small, and what tells of changes is silent on mounts of containers and
//! networks, and differs with every system. Nothing is done before two looks have found the same, so that a save of many
//! files is one change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use sandclock_core::backend::ModuleDigest;
use sandclock_hooks::Manifest;
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use super::project::{self, CASES, Project};
use super::{build, fleet, push, test};
use crate::cli::Output;
use crate::cli::client::Client;
use crate::cli::table;

/// How often the folder is looked at.
const RHYTHM: Duration = Duration::from_millis(250);

/// Where its builds are, from the plugin's folder, so that the built file stays what the author has built.
const BUILT: &str = "target/dev.wasm";

/// Characters of a digest that tell the builds of a plugin apart.
const TELLING: usize = 12;

/// What to watch.
#[derive(Debug, Args)]
pub(in crate::cli) struct DevArgs {
    /// The plugin's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// What is in a folder, and when it was written.
type Found = BTreeMap<PathBuf, SystemTime>;

/// Goes on until it is interrupted.
///
/// # Errors
/// If there is no plugin in the folder, or the signal cannot be heard.
pub(super) async fn run(args: &DevArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    Project::read(&args.dir)?;
    tokio::select! {
        biased;
        interrupted = ctrl_c() => Ok(interrupted?),
        () = watch(&args.dir, client, output) => Ok(()),
    }
}

/// Builds, tests and pushes what is there, and again after each change, for ever.
async fn watch(folder: &Path, client: &Client, output: Output) {
    let mut done = Found::new();
    let mut serving = None;
    loop {
        done = settled(folder, &done).await;
        match round(folder, serving.as_deref(), client, output).await {
            Ok(version) => serving = Some(version),
            Err(error) => {
                table::complain(&error);
                table::aside("sandclock: nothing was pushed: what served goes on to serve");
            }
        }
        table::aside(&format!(
            "sandclock: waits for a change in {}; Ctrl-C ends it",
            folder.display()
        ));
    }
}

/// What is in the folder when it is not as it was and nobody is writing any more.
async fn settled(folder: &Path, done: &Found) -> Found {
    let mut before = Found::new();
    loop {
        let mut found = project::sources(folder);
        found.append(&mut project::sources(&folder.join(CASES)));
        if found == before && found != *done {
            return found;
        }
        before = found;
        sleep(RHYTHM).await;
    }
}

/// Builds, tests and pushes; answers the version that serves now.
async fn round(
    folder: &Path,
    before: Option<&str>,
    client: &Client,
    output: Output,
) -> anyhow::Result<String> {
    let mut project = Project::read(folder)?;
    let module = build::module(folder)?;
    let version = version_of(&project.manifest, &module)?;
    project.manifest.plugin.version.clone_from(&version);
    let file = folder.join(BUILT);
    fs::create_dir_all(file.parent().unwrap_or(folder))?;
    build::finish(&project.manifest, &module, &file, output).await?;
    test::of_file(&file, &folder.join(CASES), output).await?;
    if before == Some(&version) {
        return Ok(version);
    }
    let artifact = project::artifact(&file)?;
    push::artifact(&artifact, &push::How::default(), client, output).await?;
    // Nobody goes back to a build that lies between two saves.
    if let Some(before) = before
        && let Err(error) = fleet::forget(&artifact.name, before, client).await
    {
        table::complain(&error);
    }
    Ok(version)
}

/// A release never changes, so each build is one of its own.
fn version_of(manifest: &Manifest, module: &[u8]) -> anyhow::Result<String> {
    let digest = ModuleDigest::of(&manifest.embed(module)?).to_string();
    let telling: String = digest.chars().take(TELLING).collect();
    Ok(format!("{}-dev.{telling}", manifest.plugin.version))
}
