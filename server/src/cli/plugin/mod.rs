//! `sandclock plugin`: what authors do with a plugin on their own machine, and what the fleet does with its releases.

mod bench;
mod binding;
mod bindings;
mod build;
mod c;
mod check;
mod config;
mod dev;
mod fleet;
mod go;
mod javascript;
mod new;
mod project;
mod push;
mod python;
mod replay;
mod rust;
mod sign;
mod templates;
mod test;
mod tool;
mod vendor;

use clap::Subcommand;

use super::Output;
use super::client::Client;

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    #[command(flatten)]
    Author(AuthorCommand),
    #[command(flatten)]
    Fleet(fleet::FleetCommand),
    /// Ask again what plugins were asked in real runs, and compare
    ///
    /// An answer that is another one is told, and the command fails. Of output
    /// that passed a redactor nothing is recorded that could be asked again.
    #[command(verbatim_doc_comment)]
    Replay(replay::ReplayArgs),
    /// Build, test and push a plugin whenever its sources change
    ///
    /// Meant for a running sandclock dev: each build serves there at once, as a
    /// release of its own that takes the place of the one before. A build or a
    /// case that fails changes nothing.
    #[command(verbatim_doc_comment)]
    Dev(dev::DevArgs),
}

/// What needs no server.
#[derive(Debug, Subcommand)]
pub(super) enum AuthorCommand {
    /// Write a new plugin: sources, manifest, test cases, CI
    New(new::NewArgs),
    /// Make the one file of a plugin, with its manifest inside
    ///
    /// Drives the tools of its language, which is told by a file of the folder:
    /// Cargo.toml, package.json, plugin.py, go.mod or plugin.c.
    #[command(verbatim_doc_comment)]
    Build(build::BuildArgs),
    /// Say what a file is, what it may do, and whether it installs
    Check(check::CheckArgs),
    /// Make a key to sign plugins with
    Keygen(sign::KeygenArgs),
    /// Sign a built plugin
    ///
    /// The signature is part of the file, and of its manifest's name and version.
    Sign(sign::SignArgs),
    /// Run a plugin's cases on its built file
    ///
    /// Each case is a file cases/*.toml, with the same outcome on every machine.
    ///
    /// A redactor's input is cut in all ways, too.
    Test(test::TestArgs),
    /// Measure what a plugin costs a worker
    ///
    /// Each hook is measured on its first case that expects no error.
    Bench(bench::BenchArgs),
}

/// Runs a command that needs no server.
///
/// # Errors
/// What it was asked for failed.
async fn author(command: &AuthorCommand, output: Output) -> anyhow::Result<()> {
    match command {
        AuthorCommand::New(args) => new::run(args, output),
        AuthorCommand::Build(args) => build::run(args, output).await,
        AuthorCommand::Check(args) => check::run(args, output).await,
        AuthorCommand::Keygen(args) => sign::keygen(args, output),
        AuthorCommand::Sign(args) => sign::run(args, output),
        AuthorCommand::Test(args) => test::run(args, output).await,
        AuthorCommand::Bench(args) => bench::run(args, output).await,
    }
}

impl PluginCommand {
    /// Runs it, if it needs no server.
    pub(super) async fn without_server(&self, output: Output) -> Option<anyhow::Result<()>> {
        match self {
            Self::Author(command) => Some(author(command, output).await),
            Self::Replay(args) if args.needs_no_server() => {
                Some(replay::run(args, None, output).await)
            }
            Self::Fleet(_) | Self::Replay(_) | Self::Dev(_) => None,
        }
    }
}

/// Runs a plugin command.
///
/// # Errors
/// What it was asked for failed, or the server does not answer.
pub(super) async fn main(
    command: PluginCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        PluginCommand::Author(command) => author(&command, output).await,
        PluginCommand::Fleet(command) => fleet::main(command, client, output).await,
        PluginCommand::Replay(args) => replay::run(&args, Some(client), output).await,
        PluginCommand::Dev(args) => dev::run(&args, client, output).await,
    }
}
