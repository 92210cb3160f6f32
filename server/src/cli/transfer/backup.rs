//! `sandclock backup`: an export, and what an export leaves out.

use std::path::PathBuf;

use clap::Args;
use sandclock_core::time::Clock as _;
use serde_json::json;

use super::Stores;
use super::export::{gather, save};
use super::sealed::{Backup, FORM};
use crate::api::backup::BackupPart;
use crate::cli::client::Client;
use crate::cli::{Output, table};
use crate::clock::SystemClock;
use crate::{document, wire};

/// What to back up, and where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct BackupArgs {
    /// The file, which only its owner can read
    ///
    /// Its folder must be there. A file of that name is replaced as a whole.
    file: PathBuf,
    /// Leave out what cannot be read, instead of writing nothing
    #[arg(long)]
    skip_broken: bool,
    #[command(flatten)]
    pub(super) stores: Stores,
}

/// Writes the backup.
pub(super) async fn run(args: &BackupArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let exported = gather(client, args.skip_broken).await?;
    let tokens = client.all("/tokens").await?;
    let kept = client.get("/backup").await?;
    let kept: BackupPart = document::read(&kept).map_err(anyhow::Error::from)?;
    let made_at = SystemClock.now().to_string();
    let counts = [kept.secrets.len(), kept.marks.len(), tokens.len()];
    let counted = exported.counted();
    let told = json!({
        "file": args.file.display().to_string(),
        "made_at": made_at,
        "jobs": exported.jobs.len(),
        "bindings": exported.bindings.len(),
        "plugins": exported.plugins.len(),
        "secrets": kept.secrets.len(),
        "marks": kept.marks.len(),
        "tokens": tokens.len(),
    });
    let backup = Backup {
        sandclock_backup: FORM,
        sha256: String::new(),
        made_at,
        made_by: format!("{} on {}", user(), wire::host()),
        version: crate::VERSION.to_owned(),
        export: serde_json::to_value(&exported)?,
        tokens,
        kept,
    };
    save(&args.file, &backup.into_bytes()?)?;
    table::either(output, &told, |_| {
        let [secrets, marks, tokens] = counts;
        table::say(&format!("backed up {counted} to {}", args.file.display()));
        table::say(&format!(
            "with {secrets} sealed secrets, the marks of {marks} jobs, and what {tokens} tokens may do"
        ));
    });
    Ok(())
}

/// Who works here.
fn user() -> String {
    let id = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(id).ok().flatten();
    user.map_or_else(|| id.to_string(), |user| user.name)
}
