//! `sandclock job apply` and `export`: files of jobs, into a server and out of it.
//!
//! By itself an apply saves job by job, up to the first that is refused. A dry run and a prune look at everything
//! first: which jobs are new, which differ and in which fields, and which are there and not in the file.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::{Client, segment};
use super::file::{JobInFile, Written};
use super::reach::Refused;
use super::selection::Selection;
use super::transfer::{Kind, Outcome, differing, readable, unreadable};
use super::{Output, out, schedule, table};

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

/// What would become of a job.
#[derive(Debug)]
struct Step {
    name: String,
    /// As the server would save it; null for one that is to be deleted.
    document: Value,
    /// As it is there; null if it is not.
    there: Value,
    version: Option<u64>,
    /// `None` if it is to be deleted.
    outcome: Option<Outcome>,
    /// What the server answered when it was saved or deleted.
    done: Option<Value>,
}

/// Applies a file.
///
/// # Errors
/// Names the file, the line and the job that is refused.
pub(super) async fn apply(args: &ApplyArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let file = Written::read(&args.file)?;
    let jobs = file.jobs()?;
    if args.dry_run || args.prune {
        if args.prune {
            check_selection(args, &file, &jobs)?;
        }
        let mut steps = plan(args, &file, jobs, client).await?;
        let carried_out = match args.dry_run {
            true => Ok(()),
            false => carry_out(&mut steps, client).await,
        };
        tell(&steps, args.dry_run, output);
        return carried_out;
    }
    let mut saved = Vec::new();
    let applied = one_by_one(&file, jobs, client, output, &mut saved).await;
    if output != Output::Table {
        table::document(output, &json!({ "items": saved, "next": null }));
    }
    applied
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

/// Saves the jobs of a file, and keeps what was saved also if a later one is refused.
async fn one_by_one(
    file: &Written,
    jobs: Vec<JobInFile>,
    client: &Client,
    output: Output,
    saved: &mut Vec<Value>,
) -> anyhow::Result<()> {
    if jobs.is_empty() && output == Output::Table {
        table::say(&format!("{} holds no jobs: nothing was saved", file.shown));
    }
    for job in jobs {
        let route = path(&job.name);
        let call = client.call(Method::PUT, &route, Some(job.document));
        let view = call
            .await
            .map_err(|error| placed(error, file, &job.path, &job.name))?;
        if output == Output::Table {
            table::say(&format!("saved {}, version {}", job.name, view["version"]));
            schedule::warnings(&view);
        }
        saved.push(view);
    }
    Ok(())
}

fn path(name: &str) -> String {
    format!("/jobs/{}", segment(name))
}

/// A refusal with the place in the file.
fn placed(error: anyhow::Error, file: &Written, path: &str, name: &str) -> anyhow::Error {
    let refused = error.downcast_ref::<Refused>();
    let field = refused.and_then(|refused| refused.field.clone());
    let place = file.place(path, field.as_deref());
    error.context(format!("{place}: job {name}"))
}

/// Whether the file can be what the selection holds: otherwise a prune deletes what is not the file's.
fn check_selection(args: &ApplyArgs, file: &Written, jobs: &[JobInFile]) -> anyhow::Result<()> {
    if jobs.is_empty() {
        bail!(
            "{} holds no jobs, and --prune would delete all that are selected: delete them with `sandclock job rm`",
            file.shown
        );
    }
    let mut jobs = jobs.iter();
    if let Some(job) = jobs.find(|job| !args.selection.has(&job.document)) {
        let (place, name) = (file.place(&job.path, Some("name")), &job.name);
        bail!(
            "{place}: job {name} is not among what --prefix and --label select, so these do not say which jobs are \
             the file's; nothing was saved or deleted"
        );
    }
    Ok(())
}

/// Whether all that a prune may delete can be read.
fn check_readable(args: &ApplyArgs, jobs: &[JobInFile], views: &[Value]) -> anyhow::Result<()> {
    let in_file = |view: &Value| jobs.iter().any(|job| view["name"] == *job.name);
    let mut views = views.iter();
    let broken =
        |view: &&Value| unreadable(view) && args.selection.may_have(view) && !in_file(view);
    if let Some(view) = views.find(broken) {
        let name = table::text(view, "name");
        bail!(
            "job {name} cannot be read, so whether it is to be deleted is not known: save or delete it first; \
             nothing was saved or deleted"
        );
    }
    Ok(())
}

/// What would become of each job of the file, and of those that are to go.
async fn plan(
    args: &ApplyArgs,
    file: &Written,
    jobs: Vec<JobInFile>,
    client: &Client,
) -> anyhow::Result<Vec<Step>> {
    let views = client.all("/jobs").await?;
    if args.prune {
        check_readable(args, &jobs, &views)?;
    }
    let views = views.into_iter();
    let mut there: Vec<_> = views.map(|view| Kind::Job.taken_apart(view)).collect();
    let (mut steps, mut refused) = (Vec::new(), 0_u32);
    for job in jobs {
        let call = client.call(Method::POST, "/jobs:validate", Some(job.document));
        let document = match call.await {
            Ok(document) => document,
            Err(error) => {
                table::complain(&placed(error, file, &job.path, &job.name));
                refused += 1;
                continue;
            }
        };
        let at = there.iter().position(|(_, own)| own["name"] == *job.name);
        let (version, own) = at.map_or((None, Value::Null), |at| there.swap_remove(at));
        let outcome = match own.is_null() {
            true => Outcome::Created,
            false if own == document => Outcome::Unchanged,
            false => Outcome::Changed(differing(&own, &document)),
        };
        steps.push(Step {
            name: job.name,
            document,
            there: own,
            version,
            outcome: Some(outcome),
            done: None,
        });
    }
    if refused > 0 {
        bail!(
            "{refused} jobs of {} are refused; nothing was saved",
            file.shown
        );
    }
    if args.prune {
        there.retain(|(_, job)| args.selection.has(job));
        there.sort_by(|(_, one), (_, other)| one["name"].as_str().cmp(&other["name"].as_str()));
        steps.extend(there.into_iter().map(|(version, own)| Step {
            name: own["name"].as_str().unwrap_or_default().to_owned(),
            document: Value::Null,
            there: own,
            version,
            outcome: None,
            done: None,
        }));
    }
    Ok(steps)
}

impl Step {
    fn word(&self) -> &'static str {
        self.outcome.as_ref().map_or("deleted", Outcome::word)
    }

    /// The members that differ: what is there, and what would be.
    fn changes(&self) -> impl Iterator<Item = (&String, &Value, &Value)> {
        let fields = self.outcome.as_ref().map_or(&[][..], Outcome::fields);
        fields
            .iter()
            .map(|field| (field, &self.there[field], &self.document[field]))
    }
}

/// Says what was done, or in a dry run what would be; what was not done stands beside it.
fn tell(steps: &[Step], dry_run: bool, output: Output) {
    let told =
        |step: &&Step| dry_run || step.done.is_some() || step.outcome == Some(Outcome::Unchanged);
    let (steps, not_done): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(told);
    let item = |step: &Step| {
        let changes = step.changes();
        let changes =
            changes.map(|(field, from, to)| (field.clone(), json!({ "from": from, "to": to })));
        let fields: Map<_, _> = changes.collect();
        json!({ "job": step.name, "outcome": step.word(), "fields": fields })
    };
    let items: Vec<_> = steps.iter().copied().map(item).collect();
    let left: Vec<_> = not_done.iter().map(|step| &step.name).collect();
    let document = json!({ "dry_run": dry_run, "items": items, "not_done": left, "next": null });
    table::either(output, &document, |_| {
        for step in steps
            .iter()
            .filter(|step| step.outcome != Some(Outcome::Unchanged))
        {
            table::say(&format!("{} {}", step.word(), step.name));
            for (field, from, to) in step.changes() {
                table::say(&format!("  {field}: {} -> {}", shown(from), shown(to)));
            }
            if let Some(view) = &step.done {
                schedule::warnings(view);
            }
        }
        let count = |word| steps.iter().filter(|step| step.word() == word).count();
        let [created, changed, unchanged, deleted] =
            ["created", "changed", "unchanged", "deleted"].map(count);
        let would = if dry_run { " (nothing is saved)" } else { "" };
        table::say(&format!(
            "{created} created, {changed} changed, {unchanged} unchanged, {deleted} deleted{would}"
        ));
    });
    for step in not_done {
        table::aside(&format!("not {}: {}", step.word(), step.name));
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        value => value.to_string(),
    }
}

/// Saves and deletes, each job only as it was looked at.
async fn carry_out(steps: &mut [Step], client: &Client) -> anyhow::Result<()> {
    let changes = steps.iter_mut();
    let changes = changes.filter(|step| step.outcome != Some(Outcome::Unchanged));
    for (done, step) in changes.enumerate() {
        let path = path(&step.name);
        let saved = match step.outcome {
            Some(_) => {
                let document = step.document.clone();
                client.put_over(&path, document, step.version).await
            }
            None => client.delete_at(&path, step.version).await,
        };
        let view = saved.with_context(|| {
            let name = &step.name;
            format!(
                "job {name}; {done} were saved or deleted before it, and the same command goes on from there"
            )
        })?;
        step.done = Some(view);
    }
    Ok(())
}
