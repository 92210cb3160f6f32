//! A document's jobs into a store: all of it is checked before the first job is written.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Document, FORM, Stores, taken_apart};
use crate::cli::Output;
use crate::cli::client::{Client, segment};
use crate::cli::table;
use crate::document::{self, FieldError};

/// What to import, and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// What `sandclock export` has written; - reads standard input
    pub(super) file: PathBuf,
    /// Check everything, say what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace jobs of the same name that differ
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    pub(super) stores: Stores,
}

/// A job of the document against the store.
#[derive(Debug)]
struct Step {
    name: String,
    document: Value,
    /// The version of the job that is there.
    version: Option<u64>,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Created,
    Unchanged,
    /// These members differ.
    Changed(Vec<String>),
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Unchanged => "unchanged",
            Self::Changed(_) => "changed",
        }
    }

    fn fields(&self) -> &[String] {
        match self {
            Self::Changed(fields) => fields,
            _ => &[],
        }
    }
}

/// Reads the document, as far as that needs no server.
///
/// # Errors
/// Names the file and the field.
pub(super) fn read(file: &Path) -> anyhow::Result<Document> {
    let mut text = Vec::new();
    let is_stdin = file.as_os_str() == "-";
    let shown = match is_stdin {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    };
    let read = match is_stdin {
        true => std::io::stdin().read_to_end(&mut text).map(drop),
        false => std::fs::read(file).map(|bytes| text = bytes),
    };
    read.with_context(|| format!("read {shown}"))?;
    parse(&text).map_err(|error| anyhow!("{shown}: {error}"))
}

fn parse(text: &[u8]) -> Result<Document, FieldError> {
    let tree = document::parse_json(text)?;
    // The form first: what a newer program wrote is not this program's to judge.
    if let Some(form) = tree["sandclock_export"]
        .as_u64()
        .filter(|form| *form != u64::from(FORM))
    {
        let accepted = format!(
            "{FORM} is the form that this version reads; a newer version may read this one"
        );
        return Err(FieldError::new("sandclock_export", form, accepted));
    }
    let document: Document = document::read(&tree)?;
    let mut names = BTreeSet::new();
    for (at, job) in document.jobs.iter().enumerate() {
        let field = || format!("jobs[{at}].name");
        let name = job["name"].as_str();
        let name = name.ok_or_else(|| FieldError::new(field(), &job["name"], "the job's name"))?;
        if !names.insert(name) {
            return Err(FieldError::new(field(), name, "each name once"));
        }
    }
    Ok(document)
}

/// Checks the whole document against the store, then writes it.
pub(super) async fn run(
    args: &ImportArgs,
    document: Document,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let there: Vec<_> = client
        .all("/jobs")
        .await?
        .into_iter()
        .map(taken_apart)
        .collect();
    let (mut steps, mut refused) = (Vec::new(), 0_u32);
    for (at, job) in document.jobs.into_iter().enumerate() {
        match check(client, &there, job).await {
            Ok(step) => steps.push(step),
            Err(error) => {
                table::aside(&format!("{}: jobs[{at}]: {error:#}", args.file.display()));
                refused += 1;
            }
        }
    }
    if refused > 0 {
        bail!(
            "{refused} jobs of {} are refused; nothing was written",
            args.file.display()
        );
    }
    report(&steps, args.dry_run, output);
    let differ = |step: &&Step| matches!(step.outcome, Outcome::Changed(_));
    let differing = steps.iter().filter(differ).count();
    if differing > 0 && !args.overwrite {
        bail!(
            "{differing} jobs differ from those of the same name that are there; nothing was written. Replace them \
             with --overwrite"
        );
    }
    if !args.dry_run {
        write(client, steps).await?;
    }
    Ok(())
}

/// What would become of a job.
async fn check(
    client: &Client,
    there: &[(Option<u64>, Value)],
    job: Value,
) -> anyhow::Result<Step> {
    let name = job["name"].as_str().unwrap_or_default().to_owned();
    let same_name = |(_, own): &&(Option<u64>, Value)| own["name"].as_str() == Some(&*name);
    let own = there.iter().find(same_name);
    let version = own.and_then(|(version, _)| *version);
    // What is there already needs no check: it may be a job that only another program could have made.
    let unchanged = own.is_some_and(|(_, own)| *own == job);
    let document = match unchanged {
        true => job,
        false => {
            let validated = client.call(Method::POST, "/jobs:validate", Some(job)).await;
            validated.with_context(|| format!("job {name}"))?
        }
    };
    let outcome = match own {
        None => Outcome::Created,
        Some((_, own)) if *own == document => Outcome::Unchanged,
        Some((_, own)) => Outcome::Changed(differing(own, &document)),
    };
    Ok(Step {
        name,
        document,
        version,
        outcome,
    })
}

/// The members in which two jobs differ.
fn differing(one: &Value, other: &Value) -> Vec<String> {
    let members = |job: &Value| -> BTreeSet<String> {
        let members = job.as_object().into_iter().flatten();
        members.map(|(name, _)| name.clone()).collect()
    };
    let all = &members(one) | &members(other);
    all.into_iter()
        .filter(|name| one[name] != other[name])
        .collect()
}

fn report(steps: &[Step], dry_run: bool, output: Output) {
    let items: Vec<_> = steps
        .iter()
        .map(|step| json!({ "job": step.name, "outcome": step.outcome.word(), "fields": step.outcome.fields() }))
        .collect();
    table::either(
        output,
        &json!({ "dry_run": dry_run, "items": items }),
        |_| {
            let changes = steps
                .iter()
                .filter(|step| !matches!(step.outcome, Outcome::Unchanged));
            let rows: Vec<_> = changes
                .map(|step| {
                    vec![
                        step.name.clone(),
                        step.outcome.word().to_owned(),
                        step.outcome.fields().join(", "),
                    ]
                })
                .collect();
            if !rows.is_empty() {
                table::print(&["JOB", "OUTCOME", "FIELDS THAT DIFFER"], rows);
            }
            let count = |word| {
                steps
                    .iter()
                    .filter(|step| step.outcome.word() == word)
                    .count()
            };
            let [created, changed, unchanged] = ["created", "changed", "unchanged"].map(count);
            let would = if dry_run { " (nothing is written)" } else { "" };
            table::say(&format!(
                "{created} created, {changed} changed, {unchanged} unchanged{would}"
            ));
        },
    );
}

/// Writes what is not there, each job only over what it was checked against.
async fn write(client: &Client, steps: Vec<Step>) -> anyhow::Result<()> {
    let mut written = 0_u32;
    for step in steps {
        if matches!(step.outcome, Outcome::Unchanged) {
            continue;
        }
        let path = format!("/jobs/{}", segment(&step.name));
        let put = client.put_over(&path, step.document, step.version).await;
        put.with_context(|| {
            format!(
                "job {}; {written} jobs were written before it, and an import of the same file goes on from there",
                step.name
            )
        })?;
        written += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_export_is_refused_with_the_field() {
        let cases = [
            ("[]", "(the document)"),
            ("{\"jobs\": []}", "sandclock_export: "),
            (
                "{\"sandclock_export\": 2, \"jobs\": 3, \"x\": 1}",
                "sandclock_export: 2 is not accepted: 1 is",
            ),
            ("{\"sandclock_export\": 1}", "jobs: "),
            (
                "{\"sandclock_export\": 1, \"jobs\": [], \"plugins\": []}",
                "plugins: ",
            ),
            (
                "{\"sandclock_export\": 1, \"jobs\": [{}]}",
                "jobs[0].name: null",
            ),
            (
                "{\"sandclock_export\": 1, \"jobs\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}",
                "jobs[1].name: a is not accepted: each name once",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn the_members_that_differ_are_named() {
        let one = json!({ "name": "a", "command": "x", "owner": "ann" });
        let other = json!({ "name": "a", "command": "y", "schedule": "@daily" });
        assert_eq!(differing(&one, &other), ["command", "owner", "schedule"]);
    }
}
