//! `sandclock plugin`: what serves, and how releases come to the fleet.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::binding::{self, BindArgs};
use super::client::{Client, query, segment};
use super::table::{self, age, rows, text};
use super::{Output, Told};

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// List what serves; with a name, that plugin's releases
    Ls {
        /// The plugin's name
        name: Option<String>,
    },
    /// Give the fleet a release of a plugin
    ///
    /// It is checked and tried before it is kept. Each server and worker takes it
    /// into service within seconds; the one before serves until then.
    #[command(verbatim_doc_comment)]
    Push {
        /// The module: a wasm component, as cargo and wasm-tools build it
        file: PathBuf,
        /// What people call this release; never given twice
        #[arg(long)]
        version: String,
        /// The plugin's name [default: the file's, without its ending]
        #[arg(long)]
        name: Option<String>,
        /// Keep it without letting it serve
        #[arg(long)]
        no_serve: bool,
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
    Bindings,
    /// Let the release serve again that served before
    Rollback {
        /// The plugin's name
        name: String,
    },
    /// Take a plugin out of service and forget its releases
    Rm {
        /// The plugin's name
        name: String,
        /// Forget this release only, which must not serve
        #[arg(long)]
        version: Option<String>,
    },
}

/// Runs a plugin command.
///
/// # Errors
/// If the server refuses or does not answer.
pub(super) async fn main(
    command: PluginCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        PluginCommand::Ls { name } => list(client, name.as_deref(), output).await,
        PluginCommand::Push {
            file,
            version,
            name,
            no_serve,
        } => {
            let name = name.map_or_else(|| stem(&file), Ok)?;
            let module = std::fs::read(&file);
            let module = module.with_context(|| format!("read {}", file.display()))?;
            let serve = no_serve.then(|| "false".to_owned());
            let members = [("version", Some(version.clone())), ("serve", serve)];
            let path = format!("/plugins/{}{}", segment(&name), query(&members));
            client.put_bytes(&path, module).await?;
            let outcome = if no_serve { "kept" } else { "serving" };
            say(output, &name, Some(&version), outcome);
            Ok(())
        }
        PluginCommand::Bind(args) => binding::bind(&args, client, output).await,
        PluginCommand::Unbind { name } => binding::unbind(&name, client, output).await,
        PluginCommand::Bindings => binding::list(client, output).await,
        PluginCommand::Rollback { name } => {
            let path = format!("/plugins/{}/rollback", segment(&name));
            client.call(Method::POST, &path, None).await?;
            say(output, &name, None, "rolled back");
            Ok(())
        }
        PluginCommand::Rm { name, version } => {
            let members = query(&[("version", version.clone())]);
            let path = format!("/plugins/{}{members}", segment(&name));
            client.call(Method::DELETE, &path, None).await?;
            say(output, &name, version.as_deref(), "removed");
            Ok(())
        }
    }
}

/// The name that a file gives its plugin.
fn stem(file: &Path) -> anyhow::Result<String> {
    let stem = file.file_stem().and_then(OsStr::to_str);
    let told = || Told(format!("{} names no plugin: say --name", file.display()));
    Ok(stem.map(str::to_owned).ok_or_else(told)?)
}

fn say(output: Output, name: &str, version: Option<&str>, outcome: &str) {
    let done = json!({ "plugin": name, "version": version, "outcome": outcome });
    table::either(output, &done, |_| match version {
        Some(version) => table::say(&format!("{outcome} {name} {version}")),
        None => table::say(&format!("{outcome} {name}")),
    });
}

async fn list(client: &Client, name: Option<&str>, output: Output) -> anyhow::Result<()> {
    let plugins = client.get("/plugins").await?;
    let Some(name) = name else {
        table::either(output, &plugins, print_plugins);
        return Ok(());
    };
    let items = plugins["items"].as_array().into_iter().flatten();
    let mut items = items.filter(|plugin| plugin["name"] == name);
    let none = || {
        Told(format!(
            "there is no plugin {name}: sandclock plugin ls lists them"
        ))
    };
    let plugin = items.next().ok_or_else(none)?;
    table::either(output, plugin, print_releases);
    Ok(())
}

fn print_plugins(plugins: &Value) {
    let row = |plugin: &Value| {
        let hooks = plugin["hooks"].as_array().into_iter().flatten();
        let hooks: Vec<_> = hooks.filter_map(Value::as_str).collect();
        vec![
            text(plugin, "name"),
            text(plugin, "version"),
            hooks.join(", "),
            text(plugin, "status"),
            short(plugin),
        ]
    };
    let header = ["PLUGIN", "VERSION", "HOOKS", "STATUS", "SHA-256"];
    rows(plugins, &header, row);
}

fn print_releases(plugin: &Value) {
    let row = |release: &Value| {
        let is = |member: &str| plugin[member] == release["version"];
        let state = match (is("serving"), is("before")) {
            (true, _) => "serves",
            (_, true) => "served before",
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

/// Enough of a digest to tell it from others.
fn short(value: &Value) -> String {
    text(value, "sha256").chars().take(12).collect()
}
