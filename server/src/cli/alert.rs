//! `sandclock alert`: what was raised, and a person's word on it.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::Output;
use super::client::{Client, query, segment};
use super::table::{self, age, rows, text};

/// What to do with alerts.
#[derive(Debug, Subcommand)]
pub(super) enum AlertCommand {
    /// List alerts, newest first
    Ls {
        /// pending, delivered, failed, acknowledged, grouped or moved
        #[arg(long)]
        state: Option<String>,
        /// How many
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: u32,
    },
    /// Send an alert now, again if it was given up
    Retry {
        /// The alert's id
        id: String,
    },
    /// Say that a person has seen an alert
    Ack {
        /// The alert's id
        id: String,
    },
}

/// Runs an alert command.
///
/// # Errors
/// If the server refuses or does not answer.
pub(super) async fn main(
    command: AlertCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        AlertCommand::Ls { state, limit } => {
            let query = query(&[("state", state), ("limit", Some(limit.to_string()))]);
            let alerts = client.get(&format!("/alerts{query}")).await?;
            table::either(output, &alerts, |alerts| {
                let row = |alert: &Value| {
                    let created = age(alert, "created_at");
                    let (id, job) = (text(alert, "id"), text(alert, "job"));
                    vec![
                        id,
                        job,
                        text(alert, "target"),
                        text(alert, "state"),
                        text(alert, "tries"),
                        created,
                        why(alert),
                    ]
                };
                let head = ["ALERT", "JOB", "TARGET", "STATE", "TRIES", "AGE", "WHY"];
                rows(alerts, &head, row);
            });
        }
        AlertCommand::Retry { id } => act(client, &id, "retry", "sending", output).await?,
        AlertCommand::Ack { id } => act(client, &id, "ack", "acknowledged", output).await?,
    }
    Ok(())
}

/// Why an alert is where it is: what it waits for or became part of, else what its target said last.
fn why(alert: &Value) -> String {
    let said = |name: &str| alert[name].as_str();
    let until = said("next_try").map(|at| format!(", next at {at}"));
    let until = until.unwrap_or_default();
    let open = alert["state"] == "pending";
    match (said("part_of"), said("waits"), said("last_error")) {
        (Some(whole), Some(why), _) => format!("{why}, as {whole}"),
        (Some(whole), None, _) => format!("in {whole}"),
        (None, Some(why), _) => format!("{why}{until}"),
        (None, None, Some(error)) if open || alert["state"] == "failed" => {
            format!("{error}{until}")
        }
        (None, None, _) => String::new(),
    }
}

async fn act(
    client: &Client,
    id: &str,
    what: &str,
    said: &str,
    output: Output,
) -> anyhow::Result<()> {
    client
        .call(
            Method::POST,
            &format!("/alerts/{}/{what}", segment(id)),
            None,
        )
        .await?;
    let done = json!({ "alert": id, "outcome": said });
    table::either(output, &done, |_| table::say(&format!("{said} {id}")));
    Ok(())
}
