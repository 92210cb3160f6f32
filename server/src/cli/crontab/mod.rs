//! `sandclock crontab import`: a crontab's lines as jobs.
//!
//! Without `--apply` it tells what would become of each line and saves nothing; that needs no server, but with a
//! token it says also how the jobs differ from those that are there. With `--apply` everything is checked before the
//! first job is saved, and a job that no import of the file made is never replaced.

mod report;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use sandclock_core::Timestamp;
use sandclock_core::job::{JobName, ScheduleSpec};
use sandclock_core::schedule::{Dialect, DstPolicy};
use sandclock_core::time::Clock as _;
use serde_json::Value;

use super::client::{Client, segment};
use super::reach::Refused;
use super::transfer::{Kind, Outcome, differing};
use super::{Target, Told};
use crate::api::schedule::Preview;
use crate::clock::{SystemClock, local_zone, one_name};
use crate::crontab::{self, Crontab, Entry, Names, Origin, SOURCE};

/// How many fire times are shown of each line.
const FIRES: usize = 3;

/// What to do with crontabs.
#[derive(Debug, Subcommand)]
pub(super) enum CrontabCommand {
    /// Make jobs of a crontab's lines; without --apply only say which
    Import(ImportArgs),
}

/// What to import, and how.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The crontab; - reads standard input
    file: PathBuf,
    /// Save the jobs, once all of them have been checked
    #[arg(long)]
    apply: bool,
    /// Its lines name a user, as in /etc/crontab and /etc/cron.d
    #[arg(long, conflicts_with = "user")]
    system: bool,
    /// Whose crontab it is: the jobs run as this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The time zone of lines without CRON_TZ [default: this machine's]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// What the jobs' names begin with, such as a host
    #[arg(long)]
    prefix: Option<String>,
}

/// A line that becomes a job.
#[derive(Debug)]
struct Step {
    entry: Entry,
    name: String,
    preview: Preview,
    /// As the server would save it, once it was asked.
    document: Value,
    /// The version of what is there.
    version: Option<u64>,
    /// Not known without a server.
    outcome: Option<Outcome>,
    /// Whether it was saved.
    saved: bool,
}

/// All that is to be told.
#[derive(Debug)]
struct Plan {
    /// As it is named in messages.
    shown: String,
    steps: Vec<Step>,
    notes: Vec<crontab::Note>,
    /// Lines, and why they are refused.
    refused: Vec<(usize, String)>,
    /// Jobs of an earlier import that no line makes any more.
    left: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// If the file cannot be read, any line or job is refused, or the server does not answer.
pub(super) async fn main(command: &CrontabCommand, target: &Target) -> anyhow::Result<()> {
    let CrontabCommand::Import(args) = command;
    let path = whole(args)?;
    check_system(&path, args.system)?;
    let (shown, text) = read(&args.file)?;
    let crontab = crontab::parse(&text, args.system);
    let host = crate::wire::host();
    let zone = args
        .time_zone
        .as_deref()
        .map_or_else(|| Ok(local_zone()), one_name);
    let zone = zone.map_err(|error| {
        let (value, reason, remedy) = (error.value, error.reason, error.remedy);
        Told(format!("--time-zone {value} {reason}; {remedy}"))
    })?;
    let origin = Origin {
        host: &host,
        file: &path,
        prefix: args.prefix.as_deref().map(|it| it.trim_matches('/')),
        time_zone: &zone,
        user: args.user.as_deref(),
    };
    let mut plan = plan(args, shown, crontab, &origin)?;
    let client = match target.token.is_some() || args.apply {
        true => Some(Client::of(target)?),
        false => None,
    };
    if let Some(client) = &client {
        match compare(&mut plan, client, &origin.source()).await {
            // What the lines mean can be told without a server.
            Err(error) if !args.apply => {
                super::table::aside(&format!("nothing is compared: {error:#}"));
                for step in &mut plan.steps {
                    step.outcome = None;
                }
            }
            compared => compared?,
        }
    }
    let applies = args.apply && plan.refused.is_empty();
    let saved = match client.filter(|_| applies) {
        Some(client) => save(&mut plan, &client).await,
        None => Ok(()),
    };
    report::tell(&plan, args, applies && saved.is_ok(), target.output);
    if !plan.refused.is_empty() {
        let (refused, shown) = (plan.refused.len(), &plan.shown);
        bail!("{refused} of what {shown} holds are refused; nothing was saved");
    }
    saved
}

/// The file's whole path without links, so that a file has one name; `-` for standard input.
///
/// # Errors
/// If standard input could be anybody's crontab, or the file cannot be found.
fn whole(args: &ImportArgs) -> anyhow::Result<String> {
    if args.file.as_os_str() == "-" {
        if args.user.is_none() && args.prefix.is_none() {
            let told =
                "standard input does not say whose crontab it is: add --user NAME or --prefix TEXT";
            return Err(Told(told.to_owned()).into());
        }
        return Ok("-".to_owned());
    }
    let path = args.file.canonicalize();
    let path = path.with_context(|| format!("read {}", args.file.display()))?;
    Ok(path.display().to_string())
}

/// A crontab whose lines name users is not read as one whose lines do not.
fn check_system(path: &str, system: bool) -> Result<(), Told> {
    if !system && (path == "/etc/crontab" || path.starts_with("/etc/cron.d/")) {
        return Err(Told(format!(
            "the lines of {path} name a user before the command: add --system"
        )));
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let mut text = Vec::new();
    if file.as_os_str() == "-" {
        let read = std::io::stdin().read_to_end(&mut text);
        read.context("read standard input")?;
        return Ok(("standard input".to_owned(), text));
    }
    let shown = file.display().to_string();
    let text = std::fs::read(file).with_context(|| format!("read {shown}"))?;
    Ok((shown, text))
}

/// What the lines come to, without a server.
fn plan(
    args: &ImportArgs,
    shown: String,
    crontab: Crontab,
    origin: &Origin<'_>,
) -> anyhow::Result<Plan> {
    if let Some(prefix) = &args.prefix {
        JobName::parse(prefix.trim_end_matches('/')).context("--prefix")?;
    }
    let mut names = match origin.file {
        "-" => Names::of("crontab", args.prefix.as_deref()),
        file => Names::of(file, args.prefix.as_deref()),
    };
    let refused = crontab.refused.into_iter();
    let mut refused: Vec<_> = refused.map(|it| (it.line, it.error.to_string())).collect();
    let mut steps = Vec::new();
    for entry in crontab.entries {
        let name = names.next(&entry.command);
        let document = crontab::job(&entry, &name, origin);
        let time_zone = entry.time_zone.as_deref().unwrap_or(origin.time_zone);
        let spec = ScheduleSpec {
            expr: entry.schedule.clone(),
            dialect: Dialect::Native,
            time_zone: time_zone.to_owned(),
            dst: DstPolicy::Vixie,
            starts_at: None,
            ends_at: None,
        };
        match Preview::of(&spec, now(), Some(FIRES)) {
            Ok(preview) => steps.push(Step {
                entry,
                name,
                preview,
                document,
                version: None,
                outcome: None,
                saved: false,
            }),
            Err(error) => refused.push((entry.line, error.to_string())),
        }
    }
    Ok(Plan {
        shown,
        steps,
        notes: crontab.notes,
        refused,
        left: Vec::new(),
    })
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// Asks the server about each job: whether it would take it, and what is there already.
async fn compare(plan: &mut Plan, client: &Client, source: &str) -> anyhow::Result<()> {
    let there = Kind::Job.there(client).await?;
    let own = |job: &Value| job["labels"][SOURCE].as_str() == Some(source);
    for step in &mut plan.steps {
        let job = step.document.clone();
        match client.call(Method::POST, "/jobs:validate", Some(job)).await {
            Ok(document) => step.document = document,
            // Without an answer nothing is known about the line.
            Err(error) if !error.downcast_ref().is_some_and(Refused::is_final) => {
                return Err(error);
            }
            Err(error) => {
                plan.refused.push((step.entry.line, format!("{error:#}")));
                continue;
            }
        }
        let same_name =
            |(_, job): &&(Option<u64>, Value)| job["name"].as_str() == Some(&*step.name);
        let Some((version, job)) = there.iter().find(same_name) else {
            step.outcome = Some(Outcome::Created);
            continue;
        };
        step.version = *version;
        step.outcome = Some(match *job == step.document {
            true => Outcome::Unchanged,
            false => Outcome::Changed(differing(job, &step.document)),
        });
        if *job != step.document && !own(job) {
            let name = &step.name;
            let told = format!(
                "job {name} is there already, and no import of this file made it (its label source would be {source:?}); delete it, or give the import a --prefix"
            );
            plan.refused.push((step.entry.line, told));
        }
    }
    let names = there.iter().filter(|(_, job)| own(job));
    let names = names.filter_map(|(_, job)| job["name"].as_str());
    let gone = names.filter(|name| !plan.steps.iter().any(|step| step.name == *name));
    plan.left = gone.map(str::to_owned).collect();
    Ok(())
}

/// Saves what is new or differs, each job only over what it was checked against.
async fn save(plan: &mut Plan, client: &Client) -> anyhow::Result<()> {
    let mut saved = 0_usize;
    for step in &mut plan.steps {
        if step.outcome == Some(Outcome::Unchanged) {
            continue;
        }
        let path = format!("/jobs/{}", segment(&step.name));
        let put = client
            .put_over(&path, step.document.clone(), step.version)
            .await;
        let view = put.with_context(|| {
            let name = &step.name;
            format!("job {name}; {saved} were saved before it, and an import of the same file goes on from there")
        })?;
        saved += 1;
        step.saved = true;
        let warnings = view["warnings"].as_array().into_iter().flatten();
        for warning in warnings.filter_map(Value::as_str) {
            let known = &mut step.preview.warnings;
            if !known.iter().any(|it| it == warning) {
                known.push(warning.to_owned());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_system;

    #[test]
    fn system_crontabs_are_refused_without_the_flag() {
        for path in ["/etc/crontab", "/etc/cron.d/php"] {
            let told = check_system(path, false).unwrap_err().to_string();
            assert!(told.contains("--system"), "{told}");
            assert!(check_system(path, true).is_ok());
        }
        for path in ["-", "/srv/etc/crontab", "/etc/cron.daily/x"] {
            assert!(check_system(path, false).is_ok());
        }
    }
}
