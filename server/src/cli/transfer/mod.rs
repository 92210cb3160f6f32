//! `sandclock export` and `import`: plugins, bindings and jobs as one document, between any two stores; and `backup` and
//! `restore`: the same with what only a backup holds, in a file that shows whether it is whole.
//!
//! Both are clients of the API, so that an import is checked and saved exactly as a PUT is. Where no server runs
//! ([`offline`]) the command answers itself, on the stores of a data folder or a configuration.
//!
//! What is not carried: marks, runs, alerts, tokens, recorded calls, and what plugins have kept. A mark is a decision of
//! one store about the life of a job in that store, and the other store may have decided otherwise since; so an imported
//! job begins with the moment of its import, as every saved job does, and no tick from before it is made up.

mod backup;
mod document;
mod export;
mod import;
mod offline;
mod plugins;
mod report;
mod restore;
mod sealed;

use std::future::{Future, pending};
use std::path::PathBuf;
use std::pin::Pin;

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::Target;
use super::client::Client;
use crate::api::bindings::BindingView;
use crate::api::jobs::JobView;

pub(super) use backup::BackupArgs;
pub(super) use export::{ExportArgs, readable};
pub(super) use import::ImportArgs;
pub(super) use report::{Outcome, differing};
pub(super) use restore::RestoreArgs;

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
/// If something cannot be read, or the stores or the file cannot be used.
pub(super) async fn export(args: &ExportArgs, target: &Target) -> anyhow::Result<()> {
    on_api(&args.stores, target, async |client| {
        export::run(args, client).await
    })
    .await
}

/// Runs `sandclock import`.
///
/// # Errors
/// Names what is refused, and the field; nothing was written then, or it says what was.
pub(super) async fn import(args: &ImportArgs, target: &Target) -> anyhow::Result<()> {
    let document = import::read(&args.file)?;
    let api = Api::of(&args.stores, target, true).await?;
    let work = import::run(args, document, &api.client, target.output);
    served(api.serving, work).await
}

/// Runs `sandclock backup`.
///
/// # Errors
/// If something cannot be read, or the stores or the file cannot be used.
pub(super) async fn backup(args: &BackupArgs, target: &Target) -> anyhow::Result<()> {
    on_api(&args.stores, target, async |client| {
        backup::run(args, client, target.output).await
    })
    .await
}

/// Runs `sandclock restore`.
///
/// # Errors
/// If the file is no whole backup, the store holds something already, something is refused, or what is there afterwards
/// is not what the backup has.
pub(super) async fn restore(args: &RestoreArgs, target: &Target) -> anyhow::Result<()> {
    // Nothing is asked or opened for a file that is of no use.
    let backup = sealed::read(&args.file)?;
    let api = Api::of(&args.stores, target, true).await?;
    let work = restore::run(args, backup, &api.client, target.output);
    served(api.serving, work).await
}

/// Works on a server's API, or on one that this process answers for the stores.
///
/// # Errors
/// If the stores cannot be used, or the work fails.
pub(super) async fn on_api(
    stores: &Stores,
    target: &Target,
    work: impl AsyncFnOnce(&Client) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let api = Api::of(stores, target, false).await?;
    served(api.serving, work(&api.client)).await
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
            return Box::pin(offline::open(data, config, anew)).await;
        }
        Ok(Self {
            client: Client::of(target)?,
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

/// What is one document in the API, with a version of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Binding,
    Job,
}

impl Kind {
    /// The list's route, which is also its name in the document.
    fn list(self) -> &'static str {
        match self {
            Self::Binding => "bindings",
            Self::Job => "jobs",
        }
    }

    /// For people, and in answers.
    fn word(self) -> &'static str {
        match self {
            Self::Binding => "binding",
            Self::Job => "job",
        }
    }

    /// All that are there: each with its version, and without what the server fills in.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    pub(super) async fn there(self, client: &Client) -> anyhow::Result<Vec<(Option<u64>, Value)>> {
        let listed = client.all(&format!("/{}", self.list())).await?;
        Ok(listed
            .into_iter()
            .map(|view| self.taken_apart(view))
            .collect())
    }

    /// The version of what is listed, and the rest without what the server fills in.
    pub(super) fn taken_apart(self, mut view: Value) -> (Option<u64>, Value) {
        let version = view["version"].as_u64();
        match self {
            Self::Binding => BindingView::leave_document(&mut view),
            Self::Job => JobView::leave_document(&mut view),
        }
        (version, view)
    }
}
