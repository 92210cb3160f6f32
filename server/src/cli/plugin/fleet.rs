//! What serves, and how releases come to the fleet.

use clap::Subcommand;
use reqwest::Method;
use sandclock_core::backend::PluginMode;
use serde_json::{Value, json};

use super::binding::{self, BindArgs};
use super::config;
use super::push::{self, PushArgs};
use super::replay::{self, DiffArgs};
use crate::cli::Output;
use crate::cli::client::{Client, query, segment};
use crate::cli::table::{self, age, rows, text};

/// What may become of a plugin's answers.
pub(super) const MODES: [&str; 2] = [PluginMode::Monitor.as_str(), PluginMode::Enforce.as_str()];

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum FleetCommand {
    /// List what serves; with a name, that plugin's releases
    Ls {
        /// The plugin's name
        name: Option<String>,
    },
    /// Give the fleet a release of a plugin
    ///
    /// It is tried before it is kept, and serves everywhere within seconds.
    ///
    /// The release before it serves until then.
    Push(PushArgs),
    /// Have a plugin asked and recorded without anything following from it
    ///
    /// sandclock run explain shows what it would have done; enforce ends it.
    Mode {
        /// The plugin's name
        name: String,
        /// What becomes of its answers
        #[arg(value_parser = MODES)]
        mode: String,
    },
    /// Let many jobs have a plugin, without changing them
    ///
    /// Bindings are asked before a job's own hooks. A job that names the
    /// plugin by itself replaces the binding, unless that is required.
    #[command(verbatim_doc_comment)]
    Bind(BindArgs),
    /// Take a binding away
    Unbind {
        /// The binding's name
        name: String,
    },
    /// List which plugins are bound to which jobs
    Bindings {
        /// Only this one
        name: Option<String>,
    },
    /// Let the release serve again that served before
    Rollback {
        /// The plugin's name
        name: String,
    },
    /// Ask a release beside the one that serves; its answers decide nothing
    ///
    /// sandclock plugin diff shows where it said something else.
    Shadow {
        /// The plugin's name
        name: String,
        /// The release, pushed with --no-serve
        #[arg(required_unless_present = "off", conflicts_with = "off")]
        version: Option<String>,
        /// Ask none any more
        #[arg(long)]
        off: bool,
    },
    /// Show where the shadow of a plugin said something else than it
    Diff(DiffArgs),
    /// Take a plugin out of service and forget its releases
    Rm {
        /// The plugin's name
        name: String,
        /// Forget this release only, which must not serve
        #[arg(long)]
        version: Option<String>,
        /// Remove it although jobs or bindings use it
        #[arg(long)]
        force: bool,
    },
}

/// Runs a plugin command.
///
/// # Errors
/// If the server refuses or does not answer.
pub(super) async fn main(
    command: FleetCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        FleetCommand::Ls { name } => list(client, name.as_deref(), output).await,
        FleetCommand::Push(args) => push::file(&args, client, output).await,
        FleetCommand::Bind(args) => binding::bind(&args, client, output).await,
        FleetCommand::Unbind { name } => binding::unbind(&name, client, output).await,
        FleetCommand::Bindings { name } => binding::list(name.as_deref(), client, output).await,
        FleetCommand::Rollback { name } => {
            let path = format!("/plugins/{}/rollback", segment(&name));
            client.call(Method::POST, &path, None).await?;
            say(output, &name, None, "rolled back");
            Ok(())
        }
        FleetCommand::Mode { name, mode } => {
            let path = format!("/plugins/{}/mode", segment(&name));
            let body = json!({ "mode": mode });
            client.call(Method::PUT, &path, Some(body)).await?;
            let outcome = match PluginMode::parse(&mode) {
                Some(PluginMode::Monitor) => "monitoring",
                _ => "enforcing",
            };
            say(output, &name, None, outcome);
            Ok(())
        }
        FleetCommand::Shadow { name, version, .. } => {
            let path = format!("/plugins/{}/shadow", segment(&name));
            let (method, outcome) = match &version {
                Some(_) => (Method::PUT, "shadowing"),
                None => (Method::DELETE, "no shadow of"),
            };
            let members = query(&[("version", version.clone())]);
            client
                .call(method, &format!("{path}{members}"), None)
                .await?;
            say(output, &name, version.as_deref(), outcome);
            Ok(())
        }
        FleetCommand::Diff(args) => replay::diff(&args, client, output).await,
        FleetCommand::Rm {
            name,
            version,
            force,
        } => {
            let force = force.then(|| "true".to_owned());
            let members = query(&[("version", version.clone()), ("force", force)]);
            let path = format!("/plugins/{}{members}", segment(&name));
            client.call(Method::DELETE, &path, None).await?;
            say(output, &name, version.as_deref(), "removed");
            Ok(())
        }
    }
}

/// Takes a release that does not serve from the fleet.
///
/// # Errors
/// As [`push::artifact`].
pub(super) async fn forget(name: &str, version: &str, client: &Client) -> anyhow::Result<()> {
    let members = query(&[("version", Some(version.to_owned()))]);
    let path = format!("/plugins/{}{members}", segment(name));
    client.call(Method::DELETE, &path, None).await.map(drop)
}

pub(super) fn say(output: Output, name: &str, version: Option<&str>, outcome: &str) {
    let done = json!({ "plugin": name, "version": version, "outcome": outcome });
    table::either(output, &done, |_| match version {
        Some(version) => table::say(&format!("{outcome} {name} {version}")),
        None => table::say(&format!("{outcome} {name}")),
    });
}

async fn list(client: &Client, name: Option<&str>, output: Output) -> anyhow::Result<()> {
    let Some(name) = name else {
        let plugins = client.get("/plugins").await?;
        table::either(output, &plugins, print_plugins);
        return Ok(());
    };
    let plugin = client.get(&format!("/plugins/{}", segment(name))).await?;
    table::either(output, &plugin, |plugin| {
        print_state(plugin);
        print_releases(plugin);
        print_members(plugin);
    });
    Ok(())
}

fn print_plugins(plugins: &Value) {
    let row = |plugin: &Value| {
        vec![
            text(plugin, "name"),
            text(plugin, "version"),
            listed(plugin, "hooks"),
            match plugin["mode"] == PluginMode::Monitor.as_str() {
                true => format!("{}, monitored", text(plugin, "status")),
                false => text(plugin, "status"),
            },
            listed(plugin, "capabilities"),
        ]
    };
    let header = ["PLUGIN", "VERSION", "HOOKS", "STATUS", "MAY"];
    rows(plugins, &header, row);
}

/// The texts of a member in one line.
fn listed(plugin: &Value, member: &str) -> String {
    let texts = plugin[member].as_array().into_iter().flatten();
    let texts: Vec<_> = texts.filter_map(Value::as_str).collect();
    texts.join(", ")
}

/// What a plugin is and may do, and what became of that here.
fn print_state(plugin: &Value) {
    let line = |name: &str, value: String| {
        if !value.is_empty() {
            table::say(&format!("{name:<10} {value}"));
        }
    };
    line("what", text(plugin, "description"));
    line("version", text(plugin, "version"));
    line("mode", text(plugin, "mode"));
    line("hooks", listed(plugin, "hooks"));
    line("asks for", listed(plugin, "requested"));
    line("granted", listed(plugin, "granted"));
    line("may", listed(plugin, "capabilities"));
    let failed = plugin["last_failure"].as_str().unwrap_or_default();
    line("failed", failed.to_owned());
    let open = plugin["open_breakers"].as_object().into_iter().flatten();
    let open: Vec<_> = open.map(|(hook, _)| hook.as_str()).collect();
    line("not called", open.join(", "));
}

/// All that were pushed; of a standard plugin that nobody has replaced there are none.
fn print_releases(plugin: &Value) {
    if plugin["releases"].as_array().is_none_or(Vec::is_empty) {
        return;
    }
    let row = |release: &Value| {
        let is = |member: &str| plugin[member] == release["version"];
        let state = match (is("serving"), is("shadow"), is("before")) {
            (true, ..) => "serves",
            (_, true, _) => "is asked, decides nothing",
            (.., true) => "served before",
            _ => "",
        };
        vec![
            text(release, "version"),
            state.to_owned(),
            text(release, "pushed_by"),
            age(release, "pushed_at"),
            short(release),
        ]
    };
    let header = ["VERSION", "STATE", "PUSHED BY", "AGE", "SHA-256"];
    rows(&json!({ "items": plugin["releases"] }), &header, row);
}

/// How it is configured, if its manifest says so.
fn print_members(plugin: &Value) {
    let rows = config::rows(&plugin["config_members"]);
    if !rows.is_empty() {
        let rows = rows.into_iter().map(|(name, text)| vec![name, text]);
        table::print_whole(&["CONFIG", "WHAT IT MAY BE"], rows);
    }
}

/// Enough of a digest to tell it from others.
fn short(value: &Value) -> String {
    text(value, "sha256").chars().take(12).collect()
}
