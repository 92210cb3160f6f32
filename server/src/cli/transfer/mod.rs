//! `sandclock export` and `import`: all jobs as one document, between any two stores.
//!
//! Both are clients of the API, so that an import is checked and saved exactly as a PUT is. Where no server runs
//! ([`offline`]) the command answers itself, on the stores of a data folder or a configuration.
//!
//! What is not carried: marks, runs, alerts and tokens. A mark is a decision of one store about the life of a job
//! in that store, and the other store may have decided otherwise since; so an imported job begins with the moment
//! of its import, as every saved job does, and no tick from before it is made up.

mod export;
mod import;
mod offline;

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Target;
use super::client::Client;
use crate::api::jobs::JobView;

pub(super) use export::ExportArgs;
pub(super) use import::ImportArgs;

/// The form of the document that this program writes, and the newest one that it reads.
const FORM: u32 = 1;

/// The document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// [`FORM`].
    sandclock_export: u32,
    /// As `GET /jobs/{name}` shows them, without what the server fills in; by name.
    jobs: Vec<Value>,
}

/// The stores to work on without a server.
#[derive(Clone, Debug, Args)]
pub(super) struct Stores {
    /// Without a server, on this data folder of `sandclock dev`, which must not run meanwhile
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// Without a server, on the stores that this configuration names
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs `sandclock export`.
///
/// # Errors
/// If a job cannot be read, or the stores or the file cannot be used.
pub(super) async fn export(args: &ExportArgs, target: &Target) -> anyhow::Result<()> {
    let client = client(&args.stores, target, false).await?;
    export::run(args, &client).await
}

/// Runs `sandclock import`.
///
/// # Errors
/// Names the job and the field that is refused; nothing was written then, or it says what was.
pub(super) async fn import(args: &ImportArgs, target: &Target) -> anyhow::Result<()> {
    let document = import::read(&args.file)?;
    let client = client(&args.stores, target, true).await?;
    import::run(args, document, &client, target.output).await
}

/// A server's API, or this process's own; `anew` lets an empty data folder be made.
async fn client(stores: &Stores, target: &Target, anew: bool) -> anyhow::Result<Client> {
    match stores {
        Stores {
            data: None,
            config: None,
        } => Client::new(&target.url, target.token.as_deref()),
        Stores { data, config } => offline::serve(data.as_deref(), config.as_deref(), anew).await,
    }
}

/// The version of a job as it is listed, and the rest without what the server fills in.
fn taken_apart(mut job: Value) -> (Option<u64>, Value) {
    let version = job["version"].as_u64();
    if let Some(members) = job.as_object_mut() {
        for name in JobView::SHOWN_ONLY {
            members.remove(name);
        }
    }
    (version, job)
}
