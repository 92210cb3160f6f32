//! All of it into one document: the same bytes for the same things, whole or not at all, for its owner's eyes.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use super::document::{Document, FORM};
use super::{Kind, Stores, plugins};
use crate::cli::client::Client;
use crate::cli::out;
use crate::cli::table::{self, text};
use crate::private_file;

/// What to export, and where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The file, which only its owner can read [default: standard output]
    ///
    /// Its folder must be there. A device or a pipe is written into.
    file: Option<PathBuf>,
    /// Leave out what cannot be read, instead of exporting nothing
    #[arg(long)]
    skip_broken: bool,
    #[command(flatten)]
    pub(super) stores: Stores,
}

/// All of it as one document.
///
/// # Errors
/// If something cannot be read and is not to be left out, or the server refuses or does not answer.
pub(super) async fn gather(client: &Client, skip_broken: bool) -> anyhow::Result<Document> {
    let mut broken = 0;
    let jobs = readable(Kind::Job, client, |_| true, &mut broken).await?;
    let bindings = readable(Kind::Binding, client, |_| true, &mut broken).await?;
    let (plugins, modules) = plugins::export(client, &mut broken).await?;
    if broken > 0 && !skip_broken {
        bail!(
            "{broken} cannot be read, so nothing is exported: save or delete them, or leave them out with --skip-broken"
        );
    }
    Ok(Document {
        sandclock_export: FORM,
        plugins,
        bindings,
        jobs,
        modules,
    })
}

/// Writes the document.
pub(super) async fn run(args: &ExportArgs, client: &Client) -> anyhow::Result<()> {
    let document = gather(client, args.skip_broken).await?;
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    match &args.file {
        None => out::write(&bytes),
        Some(file) => {
            save(file, &bytes)?;
            table::aside(&format!(
                "exported {} to {}",
                document.counted(),
                file.display()
            ));
        }
    }
    Ok(())
}

/// Whether what is listed is a record that cannot be read: it has nothing but its name. A job whose schedule alone is
/// wrong has more.
pub(in crate::cli) fn unreadable(view: &Value) -> bool {
    view["broken"].is_string() && view["enabled"].is_null()
}

/// All of a kind, but those that cannot be read: they are told and counted if they are `wanted`.
///
/// # Errors
/// If the server refuses or does not answer.
pub(in crate::cli) async fn readable(
    kind: Kind,
    client: &Client,
    wanted: impl Fn(&Value) -> bool,
    broken: &mut u32,
) -> anyhow::Result<Vec<Value>> {
    let mut documents = Vec::new();
    for view in client.all(&format!("/{}", kind.list())).await? {
        if unreadable(&view) {
            if !wanted(&view) {
                continue;
            }
            let (what, name) = (kind.word(), &view["name"]);
            let why = text(&view, "broken");
            table::aside(&format!("{what} {name} cannot be read: {why}"));
            *broken += 1;
        } else {
            documents.push(kind.taken_apart(view).1);
        }
    }
    Ok(documents)
}

/// Writes the document to where `path` leads: a file is replaced as a whole, a device or a pipe is written to.
pub(super) fn save(path: &Path, document: &[u8]) -> anyhow::Result<()> {
    let fail = || format!("write {}", path.display());
    let target = behind_links(path).with_context(fail)?;
    match fs::symlink_metadata(&target) {
        // Appended, because an open file of this process (`/dev/stdout`) may hold something already.
        Ok(there) if !there.is_file() => OpenOptions::new()
            .append(true)
            .open(&target)
            .and_then(|mut there| there.write_all(document))
            .with_context(fail),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(fail),
        _ => private_file::write(&target, document),
    }
}

/// The path that symbolic links lead to, whether something is there or not; its folder is.
fn behind_links(path: &Path) -> anyhow::Result<PathBuf> {
    // This notices links that lead in a circle.
    match fs::metadata(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut path = path.to_owned();
    loop {
        let folder = private_file::folder(&path);
        let missing = || format!("the folder {} cannot be used", folder.display());
        let folder = folder.canonicalize().with_context(missing)?;
        let is_link = fs::symlink_metadata(&path).is_ok_and(|there| there.is_symlink());
        // What links there stand for is open in a process, and their text only describes it.
        if !is_link || folder.starts_with("/proc") {
            return Ok(path);
        }
        path = folder.join(fs::read_link(&path)?);
    }
}
