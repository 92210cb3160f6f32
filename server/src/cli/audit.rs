//! `sandclock audit`: who changed what.

use clap::Subcommand;
use serde_json::Value;

use super::Output;
use super::client::{Client, query};
use super::table::{self, rows, text};

/// What to ask of the audit trail.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// List who changed what, newest first (as JSON with before and after)
    Ls {
        /// Changed with the token of this name
        #[arg(long, value_name = "NAME")]
        who: Option<String>,
        /// This operation, such as job.put
        #[arg(long, value_name = "NAME")]
        action: Option<String>,
        /// About this job, run, plugin, binding, alert or worker
        #[arg(long, value_name = "NAME")]
        subject: Option<String>,
        /// From this instant on, such as 2027-01-01T00:00:00Z
        #[arg(long, value_name = "RFC3339")]
        since: Option<String>,
        /// How many
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: u32,
    },
}

/// Runs an audit command.
///
/// # Errors
/// If the server refuses or does not answer.
pub(super) async fn main(
    command: AuditCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let AuditCommand::Ls {
        who,
        action,
        subject,
        since,
        limit,
    } = command;
    let query = query(&[
        ("who", who),
        ("action", action),
        ("subject", subject),
        ("since", since),
        ("limit", Some(limit.to_string())),
    ]);
    let entries = client.get(&format!("/audit{query}")).await?;
    table::either(output, &entries, |entries| {
        let head = ["AT", "WHO", "ACTION", "SUBJECT", "OUTCOME", "FROM"];
        rows(entries, &head, row);
    });
    Ok(())
}

fn row(entry: &Value) -> Vec<String> {
    let at = text(entry, "at");
    // A second is near enough for people.
    let at = match at.split_once('.') {
        Some((second, _)) => format!("{second}Z"),
        None => at,
    };
    let outcome = match (entry["outcome"].as_str(), entry["status"].as_u64()) {
        (Some(outcome @ ("refused" | "failed")), Some(status)) => format!("{outcome} {status}"),
        (outcome, _) => outcome.unwrap_or_default().to_owned(),
    };
    vec![
        at,
        text(entry, "who"),
        text(entry, "action"),
        text(entry, "subject"),
        outcome,
        text(entry, "from"),
    ]
}
