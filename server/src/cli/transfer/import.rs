//! A document into a store: all of it is checked before the first thing is written. Plugins come before bindings and
//! bindings before jobs, since each is checked against those before it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::document::{Document, parse};
use super::plugins::{Modules, Plan, Uses};
use super::report::{Line, Outcome, differing, report};
use super::{Kind, Stores, plugins};
use crate::api::candidate::UseDto;
use crate::cli::Output;
use crate::cli::client::{Client, query, segment};
use crate::cli::table;

/// What to import, and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// What `sandclock export` has written; - reads standard input
    pub(super) file: PathBuf,
    /// Check everything, say what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace what is there under the same name and differs
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    pub(super) stores: Stores,
}

/// A binding or a job of the document against the store.
#[derive(Debug)]
struct Step {
    kind: Kind,
    name: String,
    /// Where it stands in the document.
    place: String,
    document: Value,
    /// The version of what is there.
    version: Option<u64>,
    outcome: Outcome,
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

/// Checks the whole document against the store, then writes it.
pub(super) async fn run(
    args: &ImportArgs,
    document: Document,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let checked = check(&args.file, document, client).await?;
    let Checked { plans, steps, .. } = &checked;
    let plugins = plans.iter().map(|plan| Line {
        kind: "plugin",
        name: plan.name(),
        outcome: plan.outcome(),
    });
    let others = steps.iter().map(|step| Line {
        kind: step.kind.word(),
        name: &step.name,
        outcome: &step.outcome,
    });
    let lines: Vec<_> = plugins.chain(others).collect();
    report(&lines, args.dry_run, output);
    let differing = checked.differing();
    if differing > 0 && !args.overwrite {
        bail!(
            "{differing} differ from what is there under the same name; nothing was written. Replace it with --overwrite"
        );
    }
    if !args.dry_run {
        checked.write(client).await?;
    }
    Ok(())
}

/// What an import comes to.
#[derive(Debug)]
pub(super) struct Checked {
    modules: Modules,
    plans: Vec<Plan>,
    /// Bindings, then jobs.
    steps: Vec<Step>,
}

/// What would become of everything.
///
/// # Errors
/// If anything is refused; all that is has been told then.
pub(super) async fn check(
    file: &Path,
    document: Document,
    client: &Client,
) -> anyhow::Result<Checked> {
    let mut refused = 0_u32;
    let mut refuse = |place: &str, error: &anyhow::Error| {
        table::aside(&format!("{}: {place}: {error:#}", file.display()));
        refused += 1;
    };
    let there = match document.plugins.is_empty() {
        true => Vec::new(),
        false => plugins::there(client).await?,
    };
    let mut plans = Vec::new();
    for (at, plugin) in document.plugins.into_iter().enumerate() {
        match Plan::of(plugin, &there) {
            Ok(plan) => plans.push((at, plan)),
            Err(error) => refuse(&format!("plugins[{at}]"), &error),
        }
    }
    let coming: Vec<_> = (plans.iter())
        .filter(|(_, plan)| plan.changes_what_serves())
        .map(|(_, plan)| plan.name())
        .collect();
    let mut steps = Vec::new();
    for (kind, documents) in [
        (Kind::Binding, document.bindings),
        (Kind::Job, document.jobs),
    ] {
        if documents.is_empty() {
            continue;
        }
        let there = kind.there(client).await?;
        for (at, document) in documents.into_iter().enumerate() {
            let place = format!("{}[{at}]", kind.list());
            match check_one(client, kind, &there, &coming, &place, document).await {
                Ok(step) => steps.push(step),
                Err(error) => refuse(&place, &error),
            }
        }
    }
    let uses = uses(&steps, &coming);
    let modules = document.modules;
    for (at, plan) in &plans {
        if let Err(error) = plan.check(client, &modules, &uses).await {
            refuse(&format!("plugins[{at}]"), &error);
        }
    }
    if refused > 0 {
        let file = file.display();
        bail!("{refused} of what {file} holds are refused; nothing was written");
    }
    let plans = plans.into_iter().map(|(_, plan)| plan).collect();
    Ok(Checked {
        modules,
        plans,
        steps,
    })
}

/// What would become of a binding or a job. Plugins that are `coming` are not there to be asked yet.
async fn check_one(
    client: &Client,
    kind: Kind,
    there: &[(Option<u64>, Value)],
    coming: &[&str],
    place: &str,
    document: Value,
) -> anyhow::Result<Step> {
    let name = document["name"].as_str().unwrap_or_default().to_owned();
    let same_name = |(_, own): &&(Option<u64>, Value)| own["name"].as_str() == Some(&*name);
    let own = there.iter().find(same_name);
    let version = own.and_then(|(version, _)| *version);
    // What is there already needs no check: it may be one that only another program could have made.
    let unchanged = own.is_some_and(|(_, own)| *own == document);
    let document = match unchanged {
        true => document,
        false => {
            let coming = (!coming.is_empty()).then(|| coming.join(","));
            let path = format!("/{}:validate{}", kind.list(), query(&[("coming", coming)]));
            let validated = client.call(Method::POST, &path, Some(document)).await;
            validated.with_context(|| format!("{} {name}", kind.word()))?
        }
    };
    let outcome = match own {
        None => Outcome::Created,
        Some((_, own)) if *own == document => Outcome::Unchanged,
        Some((_, own)) => Outcome::Changed(differing(own, &document)),
    };
    Ok(Step {
        kind,
        name,
        place: place.to_owned(),
        document,
        version,
        outcome,
    })
}

/// What the plugins that are coming will be bound with, by what is there already as well.
fn uses(steps: &[Step], coming: &[&str]) -> Uses {
    let mut uses = BTreeMap::<String, Vec<UseDto>>::new();
    let mut add = |place: String, hook: &Value| {
        let plugin = hook["plugin"].as_str().unwrap_or_default();
        let config = &hook["config"];
        if coming.contains(&plugin) {
            let uses = uses.entry(plugin.to_owned()).or_default();
            // Thousands of jobs may say the same.
            if !uses.iter().any(|known| known.config == *config) {
                let config = config.clone();
                uses.push(UseDto { place, config });
            }
        }
    };
    for step in steps {
        let place = &step.place;
        if step.kind == Kind::Binding {
            add(format!("{place}."), &step.document);
        }
        let hooks = step.document["hooks"].as_array().into_iter().flatten();
        for (at, hook) in hooks.enumerate() {
            add(format!("{place}.hooks[{at}]."), hook);
        }
    }
    uses
}

impl Checked {
    /// How much of what is there differs.
    pub(super) fn differing(&self) -> usize {
        let differ = |step: &&Step| matches!(step.outcome, Outcome::Changed(_));
        let replaced = self.plans.iter().filter(|plan| plan.replaces()).count();
        replaced + self.steps.iter().filter(differ).count()
    }

    /// Writes what is not there, each binding and job only over what it was checked against.
    ///
    /// # Errors
    /// Names what was not written, and says how much was.
    pub(super) async fn write(&self, client: &Client) -> anyhow::Result<()> {
        let mut written = 0_u32;
        let rest = |what: &str, name: &str, written: u32| {
            format!(
                "{what} {name}; {written} were written before it, and the same command goes on from there"
            )
        };
        for plan in &self.plans {
            if *plan.outcome() != Outcome::Unchanged {
                let done = plan.write(client, &self.modules).await;
                done.with_context(|| rest("plugin", plan.name(), written))?;
                written += 1;
            }
        }
        for step in &self.steps {
            let (kind, name) = (step.kind, &step.name);
            if step.outcome != Outcome::Unchanged {
                let path = format!("/{}/{}", kind.list(), segment(name));
                let document = step.document.clone();
                let put = client.put_over(&path, document, step.version).await;
                put.with_context(|| rest(kind.word(), name, written))?;
                written += 1;
            }
        }
        Ok(())
    }
}
