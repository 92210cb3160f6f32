//! `sandclock config`: what is wrong with a configuration, and what counts of it. Needs no server and connects to
//! nothing.

mod show;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Output, Told, table};
use crate::config::{Config, Environment, Fault, Inspection};
use crate::{roles, wire};

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say everything that is wrong with it, or what it fits
    ///
    /// It is read as server, worker and dev read it: the file, then the
    /// environment (SANDCLOCK__SECTION__KEY), then flags. Files that it names
    /// are opened; nothing is connected to.
    #[command(verbatim_doc_comment)]
    Check(ConfigArgs),
    /// Print what counts, and where each value comes from
    ///
    /// As TOML, with the origin of each value behind it. Passwords, headers and
    /// addresses that may hold one are not shown.
    #[command(verbatim_doc_comment)]
    Show(ConfigArgs),
}

/// A configuration, and flags of the commands that take one.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// The file, ours or a Go fleet's [default: the environment alone]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As with --data of sandclock dev
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// As with --listen of sandclock dev
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// As with --go-open of sandclock server
    #[arg(long)]
    go_open: bool,
    /// As with --tls-certificate of sandclock server
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// As with --tls-key of sandclock server
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

impl ConfigArgs {
    /// Variables and flags.
    pub(super) fn environment(&self) -> Environment {
        let path = |path: &Option<PathBuf>| Environment::path(path.as_deref());
        let listen = self.listen.map(|address| address.to_string().into());
        let open = self.go_open.then_some(true.into());
        Environment::of_process().with([
            ("--data", "DATA", path(&self.data)),
            ("--listen", "LISTEN", listen),
            ("--go-open", "GO_API__OPEN", open),
            (
                "--tls-certificate",
                "TLS__CERTIFICATE",
                path(&self.tls_certificate),
            ),
            ("--tls-key", "TLS__KEY", path(&self.tls_key)),
        ])
    }

    /// The file, if one is named.
    pub(super) fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The file as messages name it.
    pub(super) fn shown(&self) -> String {
        let file = self.config.as_ref();
        file.map_or_else(
            || "the environment".to_owned(),
            |file| file.display().to_string(),
        )
    }
}

/// Runs a command about the configuration.
///
/// # Errors
/// If something is wrong with it; that has been printed then.
pub(super) fn main(command: &ConfigCommand, output: Output) -> anyhow::Result<()> {
    let (ConfigCommand::Check(args) | ConfigCommand::Show(args)) = command;
    let environment = args.environment();
    let found = Inspection::of(args.config.as_deref(), &environment)?;
    let (shown, faults) = (args.shown(), found.faults.len());
    match (command, &found.config) {
        (ConfigCommand::Check(_), Some(config)) => check(&shown, config, output),
        (ConfigCommand::Show(_), Some(_)) => {
            show::print(&shown, &found, &environment, output);
            Ok(())
        }
        (ConfigCommand::Check(_), None) => {
            let told: Vec<_> = found.faults.iter().map(document).collect();
            let told = json!({ "file": shown, "good": false, "faults": told, "fits": [] });
            table::either(output, &told, |_| {
                for fault in &found.faults {
                    table::say(&line(&shown, fault));
                }
            });
            Err(wrong(&shown, faults))
        }
        (ConfigCommand::Show(_), None) => {
            for fault in &found.faults {
                table::aside(&line(&shown, fault));
            }
            Err(wrong(&shown, faults))
        }
    }
}

fn wrong(shown: &str, faults: usize) -> anyhow::Error {
    let them = if faults == 1 { "fault" } else { "faults" };
    Told(format!("{shown} has {faults} {them}")).into()
}

fn document(fault: &Fault) -> Value {
    json!({
        "line": fault.line,
        "set_by": fault.set_by,
        "field": fault.error.field,
        "value": fault.error.value,
        "accepted": fault.error.accepted,
    })
}

fn line(shown: &str, fault: &Fault) -> String {
    format!("{}: {}", place(shown, fault), fault.error)
}

/// Where a fault stands.
pub(super) fn place(shown: &str, fault: &Fault) -> String {
    match (&fault.set_by, fault.line) {
        (Some(set_by), _) => set_by.clone(),
        (None, Some(line)) => format!("{shown}, line {line}"),
        (None, None) => shown.to_owned(),
    }
}

/// Says which commands take it, and what is wrong with the files that it names.
fn check(shown: &str, config: &Config, output: Output) -> anyhow::Result<()> {
    // What is made of a target may want to be run.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _entered = runtime.enter();
    let files: Vec<_> = (wire::check_files(config).iter())
        .map(|error| format!("{error:#}"))
        .collect();
    let fits = roles::fits(config);
    let taken: Vec<_> = (fits.iter())
        .filter(|(_, fits)| fits.is_ok())
        .map(|(role, _)| *role)
        .collect();
    let refused = fits.iter().filter_map(|(role, fits)| {
        let why = fits.as_ref().err()?;
        Some((*role, format!("{why:#}")))
    });
    let refused: Vec<_> = refused.collect();
    let reasons: serde_json::Map<_, _> = (refused.iter())
        .map(|(role, why)| ((*role).to_owned(), why.as_str().into()))
        .collect();
    let good = files.is_empty() && !taken.is_empty();
    let told = json!({
        "file": shown, "good": good, "faults": [], "files": files, "fits": taken, "fits_not": reasons,
    });
    table::either(output, &told, |_| {
        for file in &files {
            table::say(&format!("{shown}: {file}"));
        }
        if good {
            let commands: Vec<_> = taken
                .iter()
                .map(|role| format!("sandclock {role}"))
                .collect();
            table::say(&format!("{shown} is good, for {}", commands.join(" and ")));
        }
        for (role, why) in &refused {
            table::say(&format!("not for sandclock {role}: {why}"));
        }
    });
    match (files.len(), good) {
        (_, true) => Ok(()),
        (0, false) => Err(Told(format!("no command takes {shown}")).into()),
        (files, false) => Err(wrong(shown, files)),
    }
}
