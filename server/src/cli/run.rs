//! `sandclock run`: what ran, how it ended, and what it printed.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, query};
use super::harmless::Shown;
use super::table::{self, age, text};
use super::{Output, out, watch};

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub(super) enum RunCommand {
    /// List runs, newest first
    Ls {
        /// Of this job
        #[arg(long)]
        job: Option<String>,
        /// In this state, or several with commas
        #[arg(long)]
        state: Option<String>,
        /// How many
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: u32,
    },
    /// Show a run
    Get {
        /// The run's id
        id: String,
    },
    /// Show what a run printed
    ///
    /// A terminal gets control characters as `less` shows them, such as ^[;
    /// a pipe or a file gets every byte as it is.
    #[command(verbatim_doc_comment)]
    Logs {
        /// The run's id
        id: String,
        /// Follow it until it ends
        ///
        /// Exit status 3 says that the connection was lost; the run may go on.
        #[arg(short, long, verbatim_doc_comment)]
        follow: bool,
    },
    /// End a run
    Kill {
        /// The run's id
        id: String,
        /// Why, for the record
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say why a run is as it is, what each hook decided, and what to do
    Explain {
        /// The run's id
        id: String,
    },
}

/// Runs the command.
///
/// # Errors
/// If the server refuses or does not answer.
pub(super) async fn main(
    command: RunCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        RunCommand::Ls { job, state, limit } => {
            let query = query(&[
                ("job", job),
                ("state", state),
                ("limit", Some(limit.to_string())),
            ]);
            let runs = client.get(&format!("/runs{query}")).await?;
            incomplete(&runs);
            table::either(output, &runs, list);
        }
        RunCommand::Get { id } => {
            table::document(output, &client.get(&format!("/runs/{id}")).await?);
        }
        RunCommand::Logs { id, follow: true } => watch::follow(client, &id).await?,
        RunCommand::Logs { id, follow: false } => {
            let mut response = client.open(&format!("/runs/{id}/output")).await?;
            let mut shown = Shown::new();
            while let Some(piece) = response
                .chunk()
                .await
                .map_err(|error| client.broken_off(&error))?
            {
                shown.print(&piece);
                if out::is_closed() {
                    break;
                }
            }
        }
        RunCommand::Kill { id, reason } => {
            let path = format!("/runs/{id}/kill");
            client
                .call(Method::POST, &path, Some(json!({ "reason": reason })))
                .await?;
            let done = json!({ "run": id, "outcome": "asked to end" });
            table::either(output, &done, |_| {
                table::say(&format!("asked run {id} to end"))
            });
        }
        RunCommand::Explain { id } => {
            let explained = client.get(&format!("/runs/{id}/explain")).await?;
            incomplete(&explained["run"]);
            table::either(output, &explained, explain);
        }
    }
    Ok(())
}

/// Says what is missing, where something is.
fn incomplete(answer: &Value) {
    if let Some(why) = answer["incomplete"].as_str() {
        table::aside(&format!("incomplete: {why}"));
    }
}

fn list(runs: &Value) {
    let row = |run: &Value| {
        let since = if run["started_at"].is_null() {
            "ended_at"
        } else {
            "started_at"
        };
        let id = text(run, "id");
        let state = match run["ticks"]["count"].as_u64() {
            Some(count) => format!("{} ({count})", text(run, "state")),
            None => text(run, "state"),
        };
        vec![id, text(run, "job"), state, age(run, since)]
    };
    table::rows(runs, &["RUN", "JOB", "STATE", "AGE"], row);
}

/// An alert that came of a run's end.
fn print_alert(alert: &Value) {
    let (target, state) = (text(alert, "target"), text(alert, "state"));
    let said = |word: &str, member: &str| {
        let value = alert[member].as_str()?;
        Some(format!("{word}{value}"))
    };
    let about = [
        said("into ", "part_of"),
        said("", "waits"),
        said("", "last_error"),
    ];
    let about: Vec<_> = about.into_iter().flatten().collect();
    let about = match about.is_empty() {
        true => String::new(),
        false => format!(": {}", about.join("; ")),
    };
    let id = alert["id"].as_str().unwrap_or("(no alert of its own)");
    table::say(&format!("alert      {id} to {target}, {state}{about}"));
}

fn explain(explained: &Value) {
    let run = &explained["run"];
    let each = |member: &str| explained[member].as_array().into_iter().flatten();
    let line = |name: &str, member: &str| {
        if !run[member].is_null() && run[member] != "" {
            table::say(&format!("{name:<10} {}", text(run, member)));
        }
    };
    line("run", "id");
    line("job", "job");
    line("fire time", "fire_time");
    let ticks = &run["ticks"];
    if let Some(count) = ticks["count"].as_u64() {
        let (first, last) = (text(ticks, "first"), text(ticks, "last"));
        table::say(&format!("ticks      {count}, from {first} to {last}"));
    }
    line("request", "request");
    line("state", "state");
    line("cause", "cause");
    line("attempt", "attempt");
    line("worker", "worker");
    line("started", "started_at");
    line("ended", "ended_at");
    line("next", "next_attempt_at");
    line("exit code", "exit_code");
    line("signal", "signal");
    line("output", "output_bytes");
    let schedule = &explained["schedule"];
    if !schedule.is_null() {
        let (expression, zone) = (text(schedule, "expression"), text(schedule, "time_zone"));
        let meaning = text(schedule, "text");
        table::say(&format!("schedule   {expression} ({zone}): {meaning}"));
    }
    for sentence in each("why").filter_map(Value::as_str) {
        table::say(&format!("why        {sentence}"));
    }
    for hook in each("hooks") {
        let is = |member: &str| hook[member] == true;
        let how = match (is("monitored"), is("failed")) {
            (true, true) => " (monitored, failed)",
            (true, false) => " (monitored)",
            (false, true) => " (failed)",
            (false, false) => "",
        };
        let (plugin, name) = (text(hook, "plugin"), text(hook, "hook"));
        table::say(&format!(
            "hook       {name} by {plugin}{how}: {}",
            text(hook, "decision")
        ));
        for alert in hook["alerts"].as_array().into_iter().flatten() {
            print_alert(alert);
        }
    }
    for advice in each("advice") {
        let (what, command) = (text(advice, "text"), text(advice, "command"));
        table::say(&format!("to do      {what}: {command}"));
    }
}
