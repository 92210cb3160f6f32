//! `sandclock job apply` and `export`: files of jobs, into a server and out of it.
//!
//! The server looks at everything first: which jobs are new, which differ and in which fields, and with a prune which are
//! there and not in the file. What it refuses is told with its place in the file.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::file::{JobInFile, Written};
use super::reach::Refused;
use super::selection::Selection;
use super::transfer::{Kind, readable};
use super::{Output, out, schedule, table};
use crate::document::FieldError;

/// What to apply, and how.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("selected").multiple(true).args(["prefix", "label"]).requires("prune"))]
pub(super) struct ApplyArgs {
    /// TOML or YAML by its ending, else JSON; - is JSON on standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Check all, say what would change and in which fields, save nothing
    #[arg(long)]
    dry_run: bool,
    /// Check all, save, and delete selected jobs that the file does not have
    ///
    /// With --prefix, --label or both, which say which jobs are the file's.
    #[arg(long, requires = "selected")]
    prune: bool,
    #[command(flatten)]
    selection: Selection,
}

/// What to export.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    selection: Selection,
}

/// Applies a file.
///
/// # Errors
/// Names the file, the line and the job that is refused.
pub(super) async fn apply(args: &ApplyArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let file = Written::read(&args.file)?;
    let jobs = file.jobs()?;
    let documents: Vec<_> = jobs.iter().map(|job| &job.document).collect();
    let mut set = json!({ "jobs": documents, "dry_run": args.dry_run });
    if args.prune {
        set["prune"] = args.selection.document();
    }
    let applied = client.call(Method::POST, "/jobs:apply", Some(set)).await;
    let applied = applied.map_err(|error| refused(error, &file, &jobs))?;
    if jobs.is_empty() {
        table::aside(&format!("{} holds no jobs", file.shown));
    }
    table::either(output, &applied, |_| tell(&applied, args.dry_run));
    Ok(())
}

/// Prints jobs as a file that can be applied: TOML for people.
///
/// # Errors
/// If the server does not answer, or TOML has no form of what a job holds.
pub(super) async fn export(
    args: &ExportArgs,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let mut broken = 0;
    let wanted = |view: &Value| args.selection.may_have(view);
    let mut jobs = readable(Kind::Job, client, wanted, &mut broken).await?;
    if broken > 0 {
        bail!("{broken} jobs cannot be read, so nothing is exported: save or delete them");
    }
    jobs.retain(|job| args.selection.has(job));
    let document = json!({ "jobs": jobs });
    if output != Output::Table {
        table::document(output, &document);
        return Ok(());
    }
    let text = toml::Value::try_from(&document).and_then(|tree| toml::to_string(&tree));
    let text = text.context(
        "TOML has no form of all that these jobs hold; print them with --output yaml or json",
    )?;
    out::write(text.as_bytes());
    Ok(())
}

/// A refusal with the places in the file.
fn refused(error: anyhow::Error, file: &Written, jobs: &[JobInFile]) -> anyhow::Error {
    let Some(refused) = error.downcast_ref::<Refused>() else {
        return error;
    };
    if let Some(done) = refused.done.as_ref().filter(|done| !done.is_empty()) {
        let done = done.join(", ");
        let more =
            format!("saved or deleted before it: {done}; the same command goes on from there");
        return error.context(more);
    }
    if refused.errors.is_empty() {
        return error;
    }
    for fault in &refused.errors {
        table::complain(&placed(fault, file, jobs));
    }
    anyhow::anyhow!("{} is refused; nothing was saved", file.shown)
}

/// A field's fault, with its place in the file where it is of a job.
fn placed(fault: &FieldError, file: &Written, jobs: &[JobInFile]) -> anyhow::Error {
    let of = |(at, job): (usize, &JobInFile)| {
        let path = fault.field.strip_prefix(&format!("jobs[{at}]"))?;
        let field = path.strip_prefix('.').filter(|field| !field.is_empty());
        let (value, accepted) = (&fault.value, &fault.accepted);
        let place = file.place(&job.path, field);
        let field = field.unwrap_or("the job");
        let name = &job.name;
        Some(format!(
            "{place}: job {name}: {field}: {value} is not accepted: {accepted}"
        ))
    };
    match jobs.iter().enumerate().find_map(of) {
        Some(told) => anyhow::Error::msg(told),
        None => anyhow::Error::msg(format!("{}: {fault}", file.shown)),
    }
}

/// Says what was done, or in a dry run what would be.
fn tell(applied: &Value, dry_run: bool) {
    let items = applied["items"].as_array().map_or(&[][..], Vec::as_slice);
    let word = |item: &Value| item["outcome"].as_str().unwrap_or_default().to_owned();
    for item in items.iter().filter(|item| word(item) != "unchanged") {
        table::say(&format!("{} {}", word(item), table::text(item, "job")));
        for (field, change) in item["fields"].as_object().into_iter().flatten() {
            let (from, to) = (shown(&change["from"]), shown(&change["to"]));
            table::say(&format!("  {field}: {from} -> {to}"));
        }
        schedule::warnings(item);
    }
    let count = |which| items.iter().filter(|item| word(item) == which).count();
    let [created, changed, unchanged, deleted] =
        ["created", "changed", "unchanged", "deleted"].map(count);
    let would = if dry_run { " (nothing is saved)" } else { "" };
    table::say(&format!(
        "{created} created, {changed} changed, {unchanged} unchanged, {deleted} deleted{would}"
    ));
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        value => value.to_string(),
    }
}
