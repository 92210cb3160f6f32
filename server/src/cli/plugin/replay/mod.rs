//! `sandclock plugin replay`: what plugins were asked in real runs, asked again here; and what a shadow said.

mod bundle;

use std::path::PathBuf;

use async_trait::async_trait;
use clap::{Args, value_parser};
use sandclock_hooks::{Artifact, RecordedCall};
use serde_json::Value;

use self::bundle::Bundle;
use super::project::Built;
use crate::cli::client::{Client, query, segment};
use crate::cli::table::{self, say};
use crate::cli::{Output, Told};
use crate::replay::{Artifacts, Asked, ReplayReport, ReplayedCall, of_shadows, replay};

/// What to ask again, and of which version.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayArgs {
    /// The id of a run: all that its plugins were asked
    #[arg(required_unless_present_any = ["plugin", "bundle"], conflicts_with_all = ["plugin", "bundle"])]
    run: Option<String>,
    /// What this plugin was asked last
    #[arg(long, value_name = "NAME", conflicts_with = "bundle")]
    plugin: Option<String>,
    /// How many of its calls
    #[arg(long, value_name = "N", default_value_t = 100, requires = "plugin", value_parser = value_parser!(u32).range(1..=200))]
    last: u32,
    /// What a file holds that --export wrote; needs no server
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Ask this build (a folder or a file), not the version that answered
    #[arg(long, value_name = "PLUGIN")]
    with: Option<PathBuf>,
    /// Ask nothing: write the calls and the plugins into one file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["with", "bundle"])]
    export: Option<PathBuf>,
}

impl ReplayArgs {
    /// Whether everything is in files.
    pub(in crate::cli) fn needs_no_server(&self) -> bool {
        self.bundle.is_some()
    }
}

/// Which plugin's shadow to look at.
#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// The plugin's name
    name: String,
    /// How many of its calls to look at
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..=200))]
    last: u32,
}

/// Asks again what `args` names.
///
/// # Errors
/// If there is nothing to ask, or an answer is another one.
pub(in crate::cli) async fn run(
    args: &ReplayArgs,
    client: Option<&Client>,
    output: Output,
) -> anyhow::Result<()> {
    let (calls, source): (Vec<_>, Box<dyn Artifacts>) = match (&args.bundle, client) {
        (Some(path), _) => {
            let mut bundle = Bundle::read(path)?;
            (std::mem::take(&mut bundle.calls), Box::new(bundle))
        }
        (None, Some(client)) => {
            let calls = fetch(args, client).await?;
            (calls, Box::new(OfServer(client.clone())))
        }
        (None, None) => return Err(Told("name a run or a bundle".to_owned()).into()),
    };
    if calls.is_empty() {
        return Err(Told(nothing(args)).into());
    }
    if let Some(path) = &args.export {
        let count = calls.len();
        let (bundle, gone) = Bundle::of(calls, &*source).await?;
        bundle.write(path)?;
        say(&format!("wrote {count} calls to {}", path.display()));
        for digest in gone {
            say(&format!(
                "without the version with digest {digest}, which is gone"
            ));
        }
        return Ok(());
    }
    let asked = match &args.with {
        None => Asked::Again(&*source),
        Some(path) => Asked::Candidate(Built::read(path)?.artifact),
    };
    let report = replay(&calls, &asked, None).await;
    show(&report, output)?;
    told(&report)
}

/// Shows where a shadow said something else.
///
/// # Errors
/// If nothing is recorded of it, or it said something else.
pub(super) async fn diff(args: &DiffArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let calls = of_plugin(&args.name, args.last, client).await?;
    let report = of_shadows(&calls);
    if report.calls.is_empty() {
        let told = format!(
            "none of the last {} calls of {} was put to a shadow too: sandclock plugin shadow names one",
            calls.len(),
            args.name
        );
        return Err(Told(told).into());
    }
    show(&report, output)?;
    told(&report)
}

async fn fetch(args: &ReplayArgs, client: &Client) -> anyhow::Result<Vec<RecordedCall>> {
    match (&args.plugin, &args.run) {
        (Some(name), _) => of_plugin(name, args.last, client).await,
        (None, run) => {
            let run = segment(run.as_deref().unwrap_or_default());
            let list = client.get(&format!("/runs/{run}/recordings")).await?;
            Ok(read(&list))
        }
    }
}

/// The last calls of a plugin, in the order in which they came.
async fn of_plugin(name: &str, last: u32, client: &Client) -> anyhow::Result<Vec<RecordedCall>> {
    let limit = query(&[("limit", Some(last.to_string()))]);
    let path = format!("/plugins/{}/recordings{limit}", segment(name));
    let mut calls = read(&client.get(&path).await?);
    calls.reverse();
    Ok(calls)
}

/// Those that this program understands; says so of the others.
fn read(list: &Value) -> Vec<RecordedCall> {
    let items = list["items"].as_array().into_iter().flatten();
    let read = |item: &Value| match RecordedCall::read(item.to_string().as_bytes()) {
        Ok(call) => Some(call),
        Err(why) => {
            table::aside(&format!("sandclock: a recorded call is left out: {why}"));
            None
        }
    };
    items.filter_map(read).collect()
}

fn nothing(args: &ReplayArgs) -> String {
    match (&args.run, &args.plugin) {
        (Some(run), _) => format!(
            "no plugin call of run {run} is recorded: it had no plugin, or its recordings are gone, or recording is \
             off (plugins.record_calls)"
        ),
        (_, Some(plugin)) => format!("no call of plugin {plugin} is recorded"),
        _ => "the bundle holds no call".to_owned(),
    }
}

/// What answered, from a server.
struct OfServer(Client);

#[async_trait]
impl Artifacts for OfServer {
    async fn artifact(&self, call: &RecordedCall) -> Result<Option<Artifact>, String> {
        let (plugin, sha256) = (segment(&call.plugin), segment(&call.sha256));
        let path = format!("/plugins/{plugin}/modules/{sha256}");
        let found = self.0.open_if_there(&path).await;
        let Some(answer) = found.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let module = answer.bytes().await.map_err(|error| error.to_string())?;
        let version = call.version.clone();
        Ok(Some(Artifact::new(&call.plugin, version, module.to_vec())))
    }
}

fn show(report: &ReplayReport, output: Output) -> anyhow::Result<()> {
    let document = serde_json::to_value(report)?;
    table::either(output, &document, |_| print(report));
    Ok(())
}

fn print(report: &ReplayReport) {
    let apart = report.calls.iter().filter(|call| call.outcome != "same");
    let mut apart = apart.peekable();
    if apart.peek().is_some() {
        let row = |call: &ReplayedCall| {
            vec![
                call.run.clone(),
                call.job.clone(),
                call.plugin.clone(),
                call.hook.to_owned(),
                call.outcome.to_owned(),
            ]
        };
        let header = ["RUN", "JOB", "PLUGIN", "HOOK", "RESULT"];
        table::print(&header, apart.map(row));
        say("");
    }
    for call in &report.calls {
        for difference in &call.differences {
            let member = difference["member"].as_str().unwrap_or_default();
            say(&format!("{} {}: {member}", call.run, call.hook));
            say(&format!("  recorded  {}", difference["recorded"]));
            say(&format!("  found     {}", difference["found"]));
        }
    }
    let mut reasons: Vec<_> = report
        .calls
        .iter()
        .filter_map(|call| call.why.as_deref())
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    for why in reasons {
        say(&format!("skipped: {why}"));
    }
    let ReplayReport {
        same,
        different,
        skipped,
        ..
    } = report;
    say(&format!(
        "{same} the same, {different} different, {skipped} skipped"
    ));
}

fn told(report: &ReplayReport) -> anyhow::Result<()> {
    match (report.same, report.different) {
        (0, 0) => Err(Told("none of the calls could be asked again".to_owned()).into()),
        (_, 0) => Ok(()),
        (_, different) => Err(Told(format!("{different} answers are different")).into()),
    }
}
