//! `sandclock plugin push`: a release on its way to the fleet.

use std::path::PathBuf;

use clap::Args;
use sandclock_hooks::Artifact;

use super::fleet::{MODES, say};
use super::project;
use crate::cli::client::{Client, query, segment};
use crate::cli::{Output, Told};

/// What to give the fleet.
#[derive(Debug, Args)]
pub(in crate::cli) struct PushArgs {
    /// The file, as sandclock plugin build makes it; any wasm component
    file: PathBuf,
    /// What people call it, never given twice [default: the manifest's]
    #[arg(long)]
    version: Option<String>,
    /// Its name [default: the manifest's, or the file's without its ending]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    how: How,
}

/// What becomes of it there.
#[derive(Debug, Default, Args)]
pub(super) struct How {
    /// Keep it without letting it serve
    #[arg(long)]
    no_serve: bool,
    /// What becomes of its answers: monitor or enforce
    #[arg(long, value_parser = MODES, hide_possible_values = true)]
    mode: Option<String>,
    /// Let it serve although jobs or bindings lose by it
    #[arg(long)]
    force: bool,
}

/// Gives the fleet a file.
///
/// # Errors
/// If it cannot be read, has no version, or the server refuses it or does not answer.
pub(super) async fn file(args: &PushArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let read = project::artifact(&args.file)?;
    let name = args.name.clone().unwrap_or(read.name);
    let told = || {
        Told(format!(
            "{} has no manifest that names a version: say --version",
            args.file.display()
        ))
    };
    let version = args.version.clone().or(read.version).ok_or_else(told)?;
    let named = Artifact::new(name, Some(version), read.bytes);
    artifact(&named, &args.how, client, output).await
}

/// Gives the fleet an artifact that has a version.
///
/// # Errors
/// If the server refuses it or does not answer.
pub(super) async fn artifact(
    artifact: &Artifact,
    how: &How,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let Artifact { name, version, .. } = artifact;
    let members = [
        ("version", version.clone()),
        ("serve", how.no_serve.then(|| "false".to_owned())),
        ("mode", how.mode.clone()),
        ("force", how.force.then(|| "true".to_owned())),
    ];
    let path = format!("/plugins/{}{}", segment(name), query(&members));
    client.put_bytes(&path, artifact.bytes.clone()).await?;
    let outcome = if how.no_serve { "kept" } else { "serving" };
    say(output, name, version.as_deref(), outcome);
    Ok(())
}
