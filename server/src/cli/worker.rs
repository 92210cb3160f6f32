//! `sandclock worker ls` and `drain`: who works, and who is to stop.

use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Output;
use super::client::{Client, segment};
use super::table::{self, age, rows, text};

/// How often a worker that drains is looked at.
const POLL: Duration = Duration::from_secs(1);

/// What to do with workers.
#[derive(Debug, Subcommand)]
pub(super) enum WorkerCommand {
    /// List who works
    Ls,
    /// Have a worker take nothing new until its process is started again
    ///
    /// Its runs go on for up to worker.drain_s, as when it is stopped.
    Drain {
        /// The worker's name, or the id that worker ls --output json shows
        worker: String,
        /// Wait until it has no run any more
        #[arg(long)]
        wait: bool,
    },
}

/// Runs a worker command.
///
/// # Errors
/// If the server refuses or does not answer.
pub(super) async fn main(
    command: WorkerCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        WorkerCommand::Ls => {
            let workers = client.get("/workers").await?;
            table::either(output, &workers, list);
        }
        WorkerCommand::Drain { worker, wait } => {
            let id = find(client, &worker).await?;
            let path = format!("/workers/{}/drain", segment(&id));
            client.call(Method::POST, &path, None).await?;
            let outcome = if wait {
                is_drained(client, &id).await?;
                "drained"
            } else {
                "asked to drain"
            };
            let done = json!({ "worker": worker, "id": id, "outcome": outcome });
            table::either(output, &done, |_| {
                table::say(&format!("{outcome}: {worker}"));
            });
        }
    }
    Ok(())
}

fn list(workers: &Value) {
    let row = |worker: &Value| {
        let why = [
            ("draining", "drains"),
            ("clock_doubted", "doubts its clock"),
            ("zone_differs", "in another zone"),
        ];
        let why = why.iter().find(|(member, _)| worker[*member] == true);
        let why = why.map_or_else(String::new, |(_, why)| format!(", {why}"));
        let (running, most) = (&worker["running"], &worker["max_concurrent_runs"]);
        let labels = worker["labels"].as_object().into_iter().flatten();
        let labels: Vec<_> = labels
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
            .collect();
        vec![
            text(worker, "name"),
            text(worker, "host"),
            format!("{running} of {most}{why}"),
            age(worker, "started_at"),
            labels.join(","),
        ]
    };
    rows(
        workers,
        &["WORKER", "HOST", "RUNNING", "AGE", "LABELS"],
        row,
    );
}

async fn workers(client: &Client) -> anyhow::Result<Vec<Value>> {
    let mut workers = client.get("/workers").await?;
    let items = workers["items"].as_array_mut().map(std::mem::take);
    Ok(items.unwrap_or_default())
}

/// The id of the worker that people call this.
async fn find(client: &Client, worker: &str) -> anyhow::Result<String> {
    let all = workers(client).await?;
    let of = |member: &str| -> Vec<String> {
        let called = all.iter().filter(|found| found[member] == worker);
        called.map(|found| text(found, "id")).collect()
    };
    let mut found = of("id");
    found.extend(of("name"));
    match found.as_slice() {
        [id] => Ok(id.clone()),
        [] => bail!("no worker is called {worker}: sandclock worker ls names those that live"),
        _ => bail!(
            "{} workers are called {worker}: name one by its id: {}",
            found.len(),
            found.join(", ")
        ),
    }
}

/// Resolves once the worker says that it drains and has no run, or is gone.
async fn is_drained(client: &Client, id: &str) -> anyhow::Result<()> {
    loop {
        let all = workers(client).await?;
        let Some(worker) = all.iter().find(|worker| worker["id"] == id) else {
            return Ok(());
        };
        if worker["draining"] == true && worker["running"] == 0 {
            return Ok(());
        }
        sleep(POLL).await;
    }
}
