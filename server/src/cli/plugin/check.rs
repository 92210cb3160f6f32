//! `sandclock plugin check`: what a file is, and whether a worker with the default limits would take it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use sandclock_core::backend::ModuleDigest;
use sandclock_core::backend::plugins::MAX_MODULE_BYTES;
use sandclock_hooks::signature::signed_by;
use sandclock_hooks::{
    CallLimits, Grants, HookLimits, HooksConfig, HostError, KnownSecrets, Manifest, Outline,
    PluginHost,
};
use serde_json::{Value, json};

use super::{config, project};
use crate::cli::table::{self, size};
use crate::cli::{Output, Told};
use crate::clock::SystemClock;

/// What to look at.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// A wasm component, or a core module with its bindings' metadata
    file: PathBuf,
}

/// A host to check on, as a worker's is.
pub(super) fn host() -> Result<PluginHost, HostError> {
    let mut config = HooksConfig::new(KnownSecrets::new(), Arc::new(SystemClock));
    // What it asks for an operator has yet to grant, and nothing is real here.
    config.grants = Grants::AsRequested;
    PluginHost::new(config)
}

/// Prints what there is to know of the file.
///
/// # Errors
/// If it cannot be read, or would not be installed.
pub(super) async fn run(args: &CheckArgs, output: Output) -> anyhow::Result<()> {
    let artifact = project::artifact(&args.file)?;
    let bytes = artifact.bytes.len();
    let outline = Outline::of(&artifact.bytes).unwrap_or_default();
    let manifest = Manifest::of(&artifact.bytes)?;
    let schema = manifest
        .as_ref()
        .and_then(|manifest| manifest.config.as_ref());
    let members = schema.map(|config| config.schema.members());
    let mut found = json!({
        "file": args.file,
        "plugin": artifact.name,
        "version": artifact.version,
        "size_bytes": bytes,
        "max_bytes": MAX_MODULE_BYTES,
        "sha256": ModuleDigest::of(&artifact.bytes).to_string(),
        "signed_by": signed_by(&artifact.bytes).ok().flatten().map(|key| key.to_string()),
        "exports": outline.exports,
        "imports": outline.imports,
        "config_members": members,
        "manifest": manifest.and_then(|manifest| serde_json::to_value(manifest).ok()),
    });
    let checked = host()?.check(artifact).await;
    match &checked {
        Ok(info) => {
            let hooks: Vec<_> = info.hooks.iter().map(|hook| hook.as_str()).collect();
            found["hooks"] = json!(hooks);
            found["capabilities"] = json!(info.capabilities);
            found["limits"] = limits(&info.limits);
        }
        Err(error) => found["error"] = json!(error.to_string()),
    }
    found["installs"] = json!(checked.is_ok());
    table::either(output, &found, print);
    let refused = |error| {
        Told(format!(
            "{} cannot be installed: {error}",
            args.file.display()
        ))
    };
    checked.map(drop).map_err(|error| refused(error).into())
}

fn limits(limits: &HookLimits) -> Value {
    let millis = |limits: CallLimits| u64::try_from(limits.cpu.as_millis()).unwrap_or(u64::MAX);
    json!({
        "memory_bytes": limits.memory_bytes,
        "cpu_ms": {
            "timeout-policy": millis(limits.timeout_policy),
            "output-redaction": millis(limits.redaction_scan),
            "run-end": millis(limits.run_end),
        },
    })
}

/// What an import lets a plugin do; `None` for one without any effect.
fn capability(import: &str) -> Option<String> {
    let interface = import.strip_prefix("sandclock:plugin/").unwrap_or(import);
    let words = match interface.split('@').next() {
        Some("log") => "writes lines to the log of a run",
        Some("config") => "reads its configuration",
        Some("clock") => "reads the time, which stands still during a call",
        Some("host") => "reads attributes of a run",
        Some("kv") => "keeps values between its calls, if it is granted kv",
        Some("http") => "sends requests to the targets that it is granted",
        Some("types") => return None,
        _ => return Some(format!("NOT GRANTED: {import}")),
    };
    Some(words.to_owned())
}

fn print(found: &Value) {
    let row = |(what, text): (&str, String)| vec![what.to_owned(), text];
    let rows = about(found).into_iter().chain(needs(found));
    let answer = if found["installs"] == true {
        "yes"
    } else {
        "no"
    };
    let rows = rows.chain([("installs", answer.to_owned())]);
    table::print(&["file", &table::text(found, "file")], rows.map(row));
}

/// What it is.
fn about(found: &Value) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("plugin", table::text(found, "plugin")),
        ("version", table::text(found, "version")),
    ];
    let manifest = &found["manifest"];
    for member in ["description", "license", "api"] {
        if !manifest["plugin"][member].is_null() {
            rows.push((member, table::text(&manifest["plugin"], member)));
        }
    }
    if manifest.is_null() {
        rows.push(("manifest", "none".to_owned()));
    }
    let (bytes, most) = (bytes(&found["size_bytes"]), bytes(&found["max_bytes"]));
    rows.push(("size", format!("{bytes} of at most {most}")));
    rows.push(("sha256", table::text(found, "sha256")));
    let signed_by = match &found["signed_by"] {
        Value::Null => "nobody".to_owned(),
        _ => table::text(found, "signed_by"),
    };
    rows.push(("signer", signed_by));
    rows
}

/// What it does, and what it takes.
fn needs(found: &Value) -> Vec<(&'static str, String)> {
    let hooks = texts(&found["hooks"]);
    let mut rows = match hooks.as_slice() {
        [] => vec![("exports", texts(&found["exports"]).join(", "))],
        hooks => vec![("hooks", hooks.join(", "))],
    };
    let imports = texts(&found["imports"]).into_iter();
    let may: Vec<_> = imports.filter_map(capability).collect();
    if may.is_empty() {
        rows.push(("may", "only answer".to_owned()));
    }
    let labels = std::iter::once("may").chain(std::iter::repeat(""));
    rows.extend(labels.zip(may));
    let asks = texts(&found["capabilities"]);
    if !asks.is_empty() {
        rows.push(("asks for", asks.join(", ")));
    }
    let members = config::rows(&found["config_members"]).into_iter();
    let members = members.map(|(name, text)| format!("{name}: {text}"));
    let labels = std::iter::once("config").chain(std::iter::repeat(""));
    rows.extend(labels.zip(members));
    let limits = &found["limits"];
    if !limits.is_null() {
        let memory = bytes(&limits["memory_bytes"]);
        rows.push(("memory", format!("at most {memory}")));
    }
    let calls = limits["cpu_ms"].as_object().into_iter().flatten();
    let calls = calls.filter(|(hook, _)| hooks.contains(&hook.as_str()));
    rows.extend(calls.map(|(hook, ms)| ("call", format!("{hook}: at most {ms} ms"))));
    rows
}

fn texts(list: &Value) -> Vec<&str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

fn bytes(value: &Value) -> String {
    let bytes = usize::try_from(value.as_u64().unwrap_or_default());
    size(bytes.unwrap_or(usize::MAX))
}
