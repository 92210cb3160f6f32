//! `sandclock restore`: a backup into a store, and whether the store has it then.
//!
//! Everything is checked before the first thing is written. Marks are not written: they are decisions of the store that was
//! backed up, and an old one would make every tick since then due at once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::export::gather;
use super::import;
use super::sealed::Backup;
use super::{Stores, differing};
use crate::cli::client::{Client, segment};
use crate::cli::table::{self, text};
use crate::cli::{Output, Told};

/// What to restore, and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreArgs {
    /// What `sandclock backup` has written
    pub(super) file: PathBuf,
    /// Check everything against the store, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Restore into a store that holds something already
    ///
    /// What is there under the same name and differs is replaced; nothing is
    /// deleted.
    #[arg(long, verbatim_doc_comment)]
    overwrite: bool,
    #[command(flatten)]
    pub(super) stores: Stores,
}

/// Restores the backup.
pub(super) async fn run(
    args: &RestoreArgs,
    backup: Backup,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let there = gather(client, true).await?;
    let secrets_there = client.all("/secrets").await?.len();
    let is_empty = there.jobs.is_empty() && there.bindings.is_empty() && there.plugins.is_empty();
    let fresh = is_empty && secrets_there == 0;
    if !args.overwrite && !fresh {
        bail!(
            "the store is not empty: it holds {} and {secrets_there} secrets; nothing was written. Restore into an \
             empty store, or with --overwrite replace what is there under the same name",
            there.counted()
        );
    }
    let document = backup.document()?;
    let counted = document.counted();
    let checked = import::check(&args.file, document, client).await?;
    let mut differs = Vec::new();
    if !args.dry_run {
        checked.write(client).await?;
        for secret in &backup.kept.secrets {
            let body = json!({ "key": secret.key, "sealed": secret.sealed });
            let path = format!("/secrets/{}", segment(&secret.name));
            let put = client.call(Method::PUT, &path, Some(body)).await;
            put.with_context(|| format!("secret {}", secret.name))?;
        }
        differs = compare(&backup, client, args.overwrite).await?;
    }
    tell(
        args,
        &backup,
        (&counted, checked.differing()),
        &differs,
        output,
    );
    match differs.len() {
        0 => Ok(()),
        count => Err(Told(format!("{count} differ from the backup after the restore")).into()),
    }
}

/// Says what was done: how much the backup has, how much of what was there it replaced, and what differs now.
fn tell(
    args: &RestoreArgs,
    backup: &Backup,
    (counted, replaced): (&str, usize),
    differs: &[String],
    output: Output,
) {
    let told = json!({
        "file": args.file.display().to_string(),
        "made_at": backup.made_at,
        "made_by": backup.made_by,
        "dry_run": args.dry_run,
        "replaced": replaced,
        "identical": (!args.dry_run).then_some(differs.is_empty()),
        "differs": differs,
        "tokens_to_make": backup.tokens,
    });
    table::either(output, &told, |_| {
        table::say(&format!(
            "a backup by {} of {}: {counted}, {} secrets",
            backup.made_by,
            backup.made_at,
            backup.kept.secrets.len()
        ));
        match (args.dry_run, differs.is_empty()) {
            (true, _) => table::say("all of it is accepted (nothing is written)"),
            (false, true) => table::say("restored, and read back: the job list is identical"),
            (false, false) => differs.iter().for_each(|line| table::say(line)),
        }
        if !args.dry_run {
            table::say(&format!(
                "schedules begin now: ticks since {} are neither run nor recorded",
                backup.made_at
            ));
        }
        tokens(&backup.tokens);
    });
}

/// Says which tokens somebody has to make.
fn tokens(tokens: &[Value]) {
    if tokens.is_empty() {
        return;
    }
    table::say(
        "tokens are not restored: a store keeps their hashes and shows nobody these; make them anew and hand them out:",
    );
    for token in tokens {
        let prefixes = token["prefixes"].as_array().into_iter().flatten();
        let prefixes = prefixes.filter_map(Value::as_str);
        let prefixes: String = prefixes
            .map(|prefix| format!(" --prefix '{prefix}'"))
            .collect();
        table::say(&format!(
            "  sandclock token create '{}' --role {}{prefixes}",
            text(token, "name").replace('\'', "'\\''"),
            text(token, "role")
        ));
    }
}

/// What of the backup is not in the store, or not as it was; and what else is there, unless there may be `others`.
async fn compare(backup: &Backup, client: &Client, others: bool) -> anyhow::Result<Vec<String>> {
    let there = serde_json::to_value(gather(client, true).await?)?;
    let mut differs = Vec::new();
    for (list, what) in [
        ("jobs", "job"),
        ("bindings", "binding"),
        ("plugins", "plugin"),
    ] {
        let mut own = named(&there[list]);
        for (name, wanted) in named(&backup.export[list]) {
            match own.remove(name) {
                None => differs.push(format!("{what} {name} is not there")),
                Some(found) if found != wanted => differs.push(format!(
                    "{what} {name} differs in {}",
                    differing(wanted, found).join(", ")
                )),
                Some(_) => {}
            }
        }
        if !others {
            let new = own.into_keys();
            differs.extend(new.map(|name| format!("{what} {name} is there and not in the backup")));
        }
    }
    let sealed = client.get("/backup").await?;
    for secret in &backup.kept.secrets {
        let mut found = sealed["secrets"].as_array().into_iter().flatten();
        if !found.any(|own| own["name"] == *secret.name && own["sealed"] == *secret.sealed) {
            differs.push(format!("secret {} is not as it was", secret.name));
        }
    }
    Ok(differs)
}

fn named(list: &Value) -> BTreeMap<&str, &Value> {
    let items = list.as_array().into_iter().flatten();
    items
        .map(|item| (item["name"].as_str().unwrap_or_default(), item))
        .collect()
}
