//! `sandclock export` and `import`: all jobs as one document, between any two stores.
//!
//! Both are clients of the API, so that an import is checked and saved exactly as a PUT is. Where no server runs
//! ([`offline`]) the command answers itself, on the stores of a data folder or a configuration.
//!
//! What is not carried: marks, runs, alerts, tokens, bindings and pushed plugins; of the last two an export says so. A mark is a decision of one store about the life of a job
//! in that store, and the other store may have decided otherwise since; so an imported job begins with the moment
//! of its import, as every saved job does, and no tick from before it is made up.

mod export;
mod import;
mod offline;

use std::future::{Future, pending};
use std::path::PathBuf;
use std::pin::Pin;

use anyhow::bail;
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
    /// Without a server, on this data folder of `sandclock dev`
    ///
    /// `sandclock dev` must not run meanwhile.
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
    let api = Api::of(&args.stores, target, false).await?;
    served(api.serving, export::run(args, &api.client)).await
}

/// Runs `sandclock import`.
///
/// # Errors
/// Names the job and the field that is refused; nothing was written then, or it says what was.
pub(super) async fn import(args: &ImportArgs, target: &Target) -> anyhow::Result<()> {
    let document = import::read(&args.file)?;
    let api = Api::of(&args.stores, target, true).await?;
    let work = import::run(args, document, &api.client, target.output);
    served(api.serving, work).await
}

/// Somebody who answers.
struct Api {
    client: Client,
    /// The answering itself, where this process does it.
    serving: Serving,
}

type Serving = Pin<Box<dyn Future<Output = ()>>>;

impl Api {
    /// A server's, or this process's own; `anew` lets an empty data folder be made.
    async fn of(stores: &Stores, target: &Target, anew: bool) -> anyhow::Result<Self> {
        let (data, config) = (stores.data.as_deref(), stores.config.as_deref());
        if data.is_some() || config.is_some() {
            return offline::open(data, config, anew).await;
        }
        Ok(Self {
            client: Client::new(&target.url, target.token.as_deref())?,
            serving: Box::pin(pending()),
        })
    }
}

/// Does the work while somebody answers.
async fn served(
    serving: Serving,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    tokio::select! {
        biased;
        done = work => done,
        () = serving => bail!("the API ended"),
    }
}

/// The version of a job as it is listed, and the rest without what the server fills in.
fn taken_apart(mut job: Value) -> (Option<u64>, Value) {
    let version = job["version"].as_u64();
    JobView::leave_document(&mut job);
    (version, job)
}
