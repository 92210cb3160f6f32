//! `sandclock job`: list, read, write, run and kill jobs.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::apply::{self, ApplyArgs, ExportArgs};
use super::backfill::{self, BackfillArgs};
use super::client::{Client, query, segment};
use super::table::{self, short_instant, text};
use super::{Output, watch};

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub(super) enum JobCommand {
    /// List jobs
    Ls,
    /// Show a job's whole definition
    Get {
        /// The job
        name: String,
    },
    /// Create or replace jobs from a file
    ///
    /// The file holds one job, or a list under `jobs`; what `job get` shows is
    /// accepted, too. They are saved in order up to the first that is refused;
    /// what was saved stays.
    #[command(verbatim_doc_comment)]
    Apply(ApplyArgs),
    /// Print jobs as a file that `job apply` takes
    ///
    /// In TOML, or as --output says.
    Export(ExportArgs),
    /// Change members of a job
    ///
    /// Each is MEMBER=VALUE, such as timeout_s=60, with dots into members of
    /// members: env.LEVEL=debug. A value is JSON if it can be read as such, else
    /// text; nothing after = gives the member its default.
    #[command(verbatim_doc_comment)]
    Set {
        /// The job
        name: String,
        /// What to change
        #[arg(required = true, value_name = "MEMBER=VALUE")]
        changes: Vec<String>,
    },
    /// Delete a job
    Rm {
        /// The job
        name: String,
    },
    /// Run a job now
    Run {
        /// The job
        name: String,
        /// Wait for the end, show the output, and fail unless it succeeds
        ///
        /// Exit status 3 says that the connection was lost; the run may go on.
        #[arg(long, verbatim_doc_comment)]
        wait: bool,
    },
    /// Run a job for fire times of its schedule that have passed
    ///
    /// Those from --from on and before --until, at most 1000. One that has a run
    /// is left out, so that the same command again runs nothing twice.
    #[command(verbatim_doc_comment)]
    Backfill(BackfillArgs),
    /// End all runs of a job
    Kill {
        /// The job
        name: String,
        /// Why, for the record
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a job make ticks
    Enable {
        /// The job
        name: String,
    },
    /// Let a job make no ticks
    Disable {
        /// The job
        name: String,
    },
    /// When a job is due next
    Next {
        /// The job
        name: String,
        /// How many fire times
        #[arg(short, default_value_t = 5)]
        n: u32,
    },
    /// What became of a job's fire times, and when the next ones are
    ///
    /// The latest first, with the runs outside of the schedule.
    Timeline {
        /// The job
        name: String,
        /// From this instant on, RFC 3339; default: all there are
        #[arg(long)]
        from: Option<String>,
        /// Before this instant, RFC 3339; default: the next ten fire times
        #[arg(long)]
        until: Option<String>,
        /// How many
        #[arg(short, default_value_t = 30)]
        n: u32,
    },
}

/// Runs the command.
///
/// # Errors
/// If the server refuses or does not answer.
pub(super) async fn main(
    command: JobCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        JobCommand::Ls => list(client, output).await?,
        JobCommand::Get { name } => {
            table::document(output, &client.get(&path(&name, "")).await?);
        }
        JobCommand::Apply(args) => apply::apply(&args, client, output).await?,
        JobCommand::Export(args) => apply::export(&args, client, output).await?,
        JobCommand::Set { name, changes } => {
            let patch = super::set::patch(&changes)?;
            let path = path(&name, "");
            let patched = client.call(Method::PATCH, &path, Some(patch)).await?;
            saved(&patched, output);
        }
        JobCommand::Rm { name } => {
            client.call(Method::DELETE, &path(&name, ""), None).await?;
            let done = json!({ "job": name, "outcome": "deleted" });
            table::either(output, &done, |_| table::say(&format!("deleted {name}")));
        }
        JobCommand::Run { name, wait } => {
            let started = client
                .call(Method::POST, &path(&name, "/run"), None)
                .await?;
            let run = text(&started, "run");
            if wait {
                return watch::until_end(client, &run, output).await;
            }
            table::either(output, &started, |_| table::say(&format!("run {run}")));
        }
        JobCommand::Backfill(args) => backfill::main(args, client, output).await?,
        JobCommand::Kill { name, reason } => {
            let killed = client
                .call(
                    Method::POST,
                    &path(&name, "/kill"),
                    Some(json!({ "reason": reason })),
                )
                .await?;
            table::either(output, &killed, |killed| {
                let runs = killed["items"].as_array().map_or(0, Vec::len);
                table::say(&format!("asked {runs} runs to end"));
            });
        }
        JobCommand::Enable { name } => switch(client, &name, "enable", output).await?,
        JobCommand::Disable { name } => switch(client, &name, "disable", output).await?,
        JobCommand::Next { name, n } => {
            let next = client
                .get(&format!("{}?n={n}", path(&name, "/next")))
                .await?;
            table::either(output, &next, super::schedule::show);
        }
        JobCommand::Timeline {
            name,
            from,
            until,
            n,
        } => {
            let query = query(&[
                ("from", from),
                ("until", until),
                ("limit", Some(n.to_string())),
            ]);
            let fires = path(&name, "/timeline");
            let fires = client.get(&format!("{fires}{query}")).await?;
            table::either(output, &fires, timeline);
        }
    }
    Ok(())
}

fn path(name: &str, rest: &str) -> String {
    format!("/jobs/{}{rest}", segment(name))
}

/// Tells what was saved, and what is odd about it.
fn saved(view: &Value, output: Output) {
    table::either(output, view, |view| {
        table::say(&format!(
            "saved {}, version {}",
            shown(view),
            view["version"]
        ));
        super::schedule::warnings(view);
    });
}

async fn switch(client: &Client, name: &str, to: &str, output: Output) -> anyhow::Result<()> {
    let saved = client
        .call(Method::POST, &path(name, &format!("/{to}")), None)
        .await?;
    table::either(output, &saved, |saved| {
        table::say(&format!("{to}d {name}"));
        if to == "enable" {
            super::schedule::warnings(saved);
        }
    });
    Ok(())
}

async fn list(client: &Client, output: Output) -> anyhow::Result<()> {
    let jobs = json!({ "items": client.all("/jobs").await?, "next": null });
    table::either(output, &jobs, |jobs| {
        let row = |job: &Value| {
            let broken = job["broken"].is_string();
            let (next, meaning) = match job["enabled"].as_bool() {
                _ if broken => ("broken".to_owned(), text(job, "broken")),
                Some(false) => ("disabled".to_owned(), text(job, "schedule_text")),
                _ => (short_instant(job, "next"), text(job, "schedule_text")),
            };
            vec![shown(job), text(job, "schedule"), next, meaning]
        };
        table::rows(jobs, &["JOB", "SCHEDULE", "NEXT (UTC)", "MEANING"], row);
    });
    Ok(())
}

fn timeline(fires: &Value) {
    let row = |fire: &Value| {
        let fate = match fire["ticks"]["count"].as_u64() {
            Some(count) => format!("{} ({count})", text(fire, "fate")),
            None => text(fire, "fate"),
        };
        let of = |member| match text(fire, member) {
            none if none == "-" => String::new(),
            some => some,
        };
        vec![text(fire, "at"), fate, of("state"), of("run"), of("cause")]
    };
    table::rows(fires, &["AT", "FATE", "STATE", "RUN", "CAUSE"], row);
}

/// The name, so that the empty one can be seen too.
fn shown(job: &Value) -> String {
    match text(job, "name") {
        name if name.is_empty() => "\"\"".to_owned(),
        name => name,
    }
}
