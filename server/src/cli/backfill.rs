//! `sandclock job backfill`: runs for fire times that have passed.

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::Output;
use super::client::{Client, segment};
use super::table::{self, text};

/// Which fire times.
#[derive(Debug, Args)]
pub(super) struct BackfillArgs {
    /// The job
    name: String,
    /// From this instant on, RFC 3339
    #[arg(long)]
    from: String,
    /// Before this instant, which has passed
    #[arg(long)]
    until: String,
    /// Only say what would run
    #[arg(long)]
    dry_run: bool,
}

/// Asks for the runs and prints what becomes of each fire time.
///
/// # Errors
/// If the server refuses or does not answer.
pub(super) async fn main(
    args: BackfillArgs,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let path = format!("/jobs/{}/backfill", segment(&args.name));
    let asked = json!({ "from": args.from, "until": args.until, "dry_run": args.dry_run });
    let done = client.call(Method::POST, &path, Some(asked)).await?;
    table::either(output, &done, people);
    Ok(())
}

fn people(done: &Value) {
    let row = |item: &Value| {
        let (outcome, state) = match item["outcome"].as_str() {
            Some("asked") => ("asked", String::new()),
            Some("has_run") => ("has run", text(item, "state")),
            _ => ("undecided", String::new()),
        };
        let run = item["run"].as_str().unwrap_or_default();
        vec![
            text(item, "fire_time"),
            outcome.to_owned(),
            state,
            run.to_owned(),
        ]
    };
    table::rows(done, &["FIRE TIME", "OUTCOME", "STATE", "RUN"], row);
    let said = match done["dry_run"].as_bool() {
        Some(true) => "would be asked for (nothing is done)",
        _ => "asked for",
    };
    table::say(&format!(
        "{} runs {said}, {} fire times left out",
        done["asked"], done["left_out"]
    ));
}
