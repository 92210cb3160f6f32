//! All jobs into one document: the same bytes for the same jobs, whole or not at all, for its owner's eyes.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::{Document, FORM, Stores, taken_apart};
use crate::cli::client::Client;
use crate::cli::table::{self, text};
use crate::private_file;

/// What to export, and where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The file, which only its owner can read; without one the document goes to standard output
    file: Option<PathBuf>,
    /// Leave out jobs whose stored record cannot be read, instead of exporting nothing
    #[arg(long)]
    skip_broken: bool,
    #[command(flatten)]
    pub(super) stores: Stores,
}

/// Writes the document.
pub(super) async fn run(args: &ExportArgs, client: &Client) -> anyhow::Result<()> {
    let mut jobs = Vec::new();
    let mut broken = 0_u32;
    for job in client.all("/jobs").await? {
        // A record that cannot be read is listed with nothing but its name.
        if job["broken"].is_string() && job["enabled"].is_null() {
            table::aside(&format!(
                "job {} cannot be read: {}",
                job["name"],
                text(&job, "broken")
            ));
            broken += 1;
        } else {
            jobs.push(taken_apart(job).1);
        }
    }
    if broken > 0 && !args.skip_broken {
        bail!(
            "{broken} jobs cannot be read, so nothing is exported: save or delete them, or leave them out with \
             --skip-broken"
        );
    }
    let count = jobs.len();
    let document = Document {
        sandclock_export: FORM,
        jobs,
    };
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    match &args.file {
        None => table::raw(&bytes)?,
        Some(file) => {
            private_file::write(file, &bytes)?;
            table::aside(&format!("exported {count} jobs to {}", file.display()));
        }
    }
    Ok(())
}
