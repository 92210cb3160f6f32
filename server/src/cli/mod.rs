//! The command line: what is asked for, and where it goes.
//!
//! `dev` runs the product; the other commands are clients of the API. They print tables for people and, with
//! `--output json` or `yaml`, one document for programs: what the API said, lists as `{items, next}`, and where it says
//! nothing, which thing had which outcome. Exit status: 0 on success, 1 if the thing asked for failed, 2 for wrong
//! usage, 3 if the connection was lost while a run was watched.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null for a member that it does not have"
)]

mod alert;
mod api;
mod apply;
mod arguments;
mod audit;
mod backfill;
mod client;
mod config;
mod crontab;
mod doctor;
mod events;
mod file;
mod harmless;
mod job;
mod out;
mod packaged;
mod plugin;
mod reach;
mod run;
mod schedule;
mod secret;
mod selection;
mod set;
mod sse;
mod table;
mod token;
mod transfer;
mod trust;
mod watch;
mod worker;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use client::Client;

pub use arguments::{as_called, as_worker, with_go_flags};
pub(crate) use table::say;

/// What the end of a client command says.
const EXIT_STATUS: &str = "\
Exit status of client commands: 0 success, 1 what was asked for failed,
2 wrong usage, 3 the connection was lost while a run was watched, and the run
may go on.";

/// A job scheduler for fleets, extended with WebAssembly.
#[derive(Debug, Parser)]
#[command(name = "sandclock", version = crate::LONG_VERSION, after_help = EXIT_STATUS)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    target: Target,
}

impl Cli {
    /// What was typed, with the program's name first.
    ///
    /// # Errors
    /// What to print instead: a help text, or what is wrong.
    pub fn read(arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let matches = arguments::command::<Self>().try_get_matches_from(arguments)?;
        Self::from_arg_matches(&matches)
    }
}

/// Where client commands go, and how they print.
#[derive(Clone, Debug, Args)]
struct Target {
    /// The server
    #[arg(
        long,
        global = true,
        env = "SANDCLOCK_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8070"
    )]
    url: String,
    /// The token to sign in with
    #[arg(long, global = true, env = "SANDCLOCK_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Trust this authority alone (PEM)
    #[arg(
        long,
        global = true,
        env = "SANDCLOCK_CA",
        hide_env_values = true,
        value_name = "FILE"
    )]
    ca: Option<PathBuf>,
    /// Our certificate and key (PEM)
    #[arg(
        long,
        global = true,
        env = "SANDCLOCK_IDENTITY",
        hide_env_values = true,
        value_name = "FILE"
    )]
    identity: Option<PathBuf>,
    /// How to print
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables for people.
    Table,
    /// One JSON document for programs.
    Json,
    /// The same as YAML.
    Yaml,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run all in one process: API, worker, plugins, one data file
    Dev(DevArgs),
    /// Jobs: list, read, write, run, kill
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Runs: what ran, how it ended, what it printed
    #[command(subcommand)]
    Run(run::RunCommand),
    /// Alerts: what was raised, and where it went
    #[command(subcommand)]
    Alert(alert::AlertCommand),
    /// The audit trail: who changed what, and from where
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Plugins: write, build and test them; push, bind, list, roll back
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Tokens: who may do what
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Secrets: values that jobs name, sealed
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Follow what changes: jobs, runs and workers, as it happens
    Events(events::EventsArgs),
    /// Ask any route of the API, and print the answer as it came
    Api(api::ApiArgs),
    /// Write all jobs, bindings and plugins into one document
    ///
    /// For another store, or for safety.
    Export(transfer::ExportArgs),
    /// Save what an exported document has
    ///
    /// The schedule of each job begins with that moment.
    Import(transfer::ImportArgs),
    /// Write what a store holds but runs into one file, with a digest
    ///
    /// Jobs, bindings, plugins, sealed secrets, marks, and which tokens there
    /// are.
    #[command(verbatim_doc_comment)]
    Backup(transfer::BackupArgs),
    /// Bring a backup back into an empty store, and compare
    ///
    /// The schedule of each job begins with that moment.
    Restore(transfer::RestoreArgs),
    /// Answer people: API and console, over the stores of a fleet
    Server(ServerArgs),
    /// Decide and run jobs in a fleet; or list and drain its workers
    Worker(WorkerArgs),
    /// Crontabs: make jobs of their lines
    #[command(subcommand)]
    Crontab(crontab::CrontabCommand),
    /// The configuration: what is wrong with it, and what counts
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look for what is wrong here, and say what to do about it
    ///
    /// It reads the configuration as server, worker and dev do, and needs none
    /// of them: the configuration itself, the data directory, etcd and its
    /// alarms, MongoDB and its indexes, clocks, control groups, users. Nothing
    /// is changed. A check takes 20 s at most; exit status 1 if one failed.
    #[command(verbatim_doc_comment)]
    Doctor(doctor::DoctorArgs),
    /// Try an expression: when it fires, what it means. Needs no server
    #[command(subcommand)]
    Schedule(schedule::ScheduleCommand),
    /// Print what completes this command line in a shell
    Completions(packaged::CompletionsArgs),
    /// Write man pages of all commands into a folder
    #[command(hide = true)]
    Man(packaged::ManArgs),
}

/// How `dev` runs.
#[derive(Clone, Debug, Default, Args)]
pub struct DevArgs {
    /// Where data is kept [default: the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to listen; a port of 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<std::net::SocketAddr>,
    /// A configuration file, for alert targets and limits
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Create no example jobs in an empty store
    #[arg(long)]
    pub no_examples: bool,
}

/// How a server runs.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// Its stores, and everything else; or a Go fleet's master.json
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Answer a Go master's routes without a token, as that master does
    #[arg(long)]
    pub go_open: bool,
    /// Speak TLS, with this certificate in PEM (tls.certificate)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Its key (tls.key)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
}

/// A worker to run, or a question about all of them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
struct WorkerArgs {
    /// Run a worker: where its stores are, and everything else
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<worker::WorkerCommand>,
}

/// A failure in words for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Told(pub String);

/// Runs the command.
pub fn main(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Dev(args) => crate::dev::main(&args),
        Command::Server(args) => crate::roles::server(&args),
        Command::Worker(WorkerArgs {
            config: Some(config),
            ..
        }) => crate::roles::worker(&config),
        Command::Schedule(command) => {
            schedule::main(command, cli.target.output).and_then(|()| out::taken())
        }
        Command::Config(command) => {
            config::main(&command, cli.target.output).and_then(|()| out::taken())
        }
        Command::Doctor(args) => doctor::main(&args, cli.target.output).and_then(|()| out::taken()),
        Command::Completions(args) => {
            packaged::completions(&args);
            out::taken()
        }
        Command::Man(args) => packaged::man(&args).and_then(|()| out::taken()),
        command => client_command(command, &cli.target).and_then(|()| out::taken()),
    };
    status(result)
}

/// Says how the program is used, and how that ends it.
pub fn usage(shown: &clap::Error) -> ExitCode {
    out::usage(shown);
    if shown.use_stderr() {
        return ExitCode::from(2);
    }
    status(out::taken())
}

fn status(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            table::complain(&error);
            ExitCode::from(if error.is::<watch::Lost>() { 3 } else { 1 })
        }
    }
}

fn client_command(command: Command, target: &Target) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // These may do without a server.
        match &command {
            Command::Export(args) => return transfer::export(args, target).await,
            Command::Import(args) => return transfer::import(args, target).await,
            Command::Backup(args) => return transfer::backup(args, target).await,
            Command::Restore(args) => return transfer::restore(args, target).await,
            Command::Token(command) => return token::main(command, target).await,
            Command::Secret(command) => return secret::main(command, target).await,
            Command::Crontab(command) => return crontab::main(command, target).await,
            Command::Plugin(command) => {
                if let Some(done) = command.without_server(target.output).await {
                    return done;
                }
            }
            _ => {}
        }
        let client = Client::of(target)?;
        match command {
            Command::Job(command) => job::main(command, &client, target.output).await,
            Command::Run(command) => run::main(command, &client, target.output).await,
            Command::Alert(command) => alert::main(command, &client, target.output).await,
            Command::Audit(command) => audit::main(command, &client, target.output).await,
            Command::Events(args) => events::main(&args, &client, target.output).await,
            Command::Api(args) => api::main(args, &client, target.output).await,
            Command::Plugin(command) => plugin::main(command, &client, target.output).await,
            Command::Worker(args) => match args.command {
                Some(command) => worker::main(command, &client, target.output).await,
                None => Ok(()),
            },
            Command::Dev(_)
            | Command::Server(_)
            | Command::Schedule(_)
            | Command::Config(_)
            | Command::Doctor(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Crontab(_)
            | Command::Export(_)
            | Command::Import(_)
            | Command::Backup(_)
            | Command::Restore(_)
            | Command::Secret(_)
            | Command::Token(_) => Ok(()),
        }
    })
}
