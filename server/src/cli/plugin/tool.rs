//! The tools of a language, as a build starts them: in the plugin's folder, on the author's terminal.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context as _;

use crate::cli::{Told, table};

/// The folder of the contract and the world, from the plugin's.
pub(super) const CONTRACT: &str = "wit";

/// The world that tools are told, and that `wit/world.wit` has to define.
pub(super) const WORLD: &str = "this-plugin";

/// Where a tool puts what it makes, seen from the plugin's folder.
const MADE: &str = "target/plugin.wasm";

/// A tool that an author has to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    /// The program, which is looked for on the path.
    pub(super) program: &'static str,
    /// Where it is looked for before, in the plugin's folder.
    pub(super) own: Option<&'static str>,
    /// What installs it.
    pub(super) remedy: &'static str,
}

impl Tool {
    /// The tool, to be started in `folder`, without input.
    ///
    /// # Errors
    /// If the folder is not there.
    #[expect(
        clippy::disallowed_methods,
        reason = "an author's compiler is no job: it runs here, on the author's terminal"
    )]
    pub(super) fn in_folder(self, folder: &Path) -> anyhow::Result<Command> {
        let own = self.own.map(|own| folder.join(own).join(self.program));
        let program = match own.filter(|own| own.exists()) {
            Some(own) => std::path::absolute(own)?,
            None => PathBuf::from(self.program),
        };
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command of this tool and says how it ended and what it printed.
    ///
    /// # Errors
    /// If the tool is missing, with where it was looked for and what mends that.
    pub(super) fn output(self, command: &mut Command) -> anyhow::Result<Output> {
        let Self {
            program,
            own,
            remedy,
        } = self;
        command.output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                let own = own.map(|own| format!("in the folder's {own} or "));
                let tried = own.unwrap_or_default();
                Told(format!(
                    "{program} is not installed: there is none {tried}on the PATH; {remedy} installs it"
                ))
                .into()
            }
            _ => anyhow::Error::from(error).context(format!("start {program}")),
        })
    }

    /// Runs a command of this tool that makes a plugin of the sources in `folder`, given a file to write as its last argument, and
    /// says where that is. What it prints is shown if it fails.
    ///
    /// # Errors
    /// If the tool is missing, or fails.
    pub(super) fn make(self, command: &mut Command, folder: &Path) -> anyhow::Result<PathBuf> {
        let made = folder.join(MADE);
        if let Some(target) = made.parent() {
            fs::create_dir_all(target).with_context(|| format!("make {}", target.display()))?;
        }
        let output = self.output(command.arg(MADE))?;
        if output.status.success() {
            return Ok(made);
        }
        for printed in [&output.stdout, &output.stderr] {
            String::from_utf8_lossy(printed)
                .lines()
                .for_each(table::aside);
        }
        let (program, folder) = (self.program, folder.display());
        let told = format!("{program} cannot build {folder}: it says above why");
        Err(Told(told).into())
    }
}

/// Sees to it that tools find the contract and the world.
///
/// # Errors
/// If there is none, with where one is from.
pub(super) fn contract(folder: &Path) -> anyhow::Result<()> {
    let missing = ["plugin.wit", "world.wit"]
        .map(|file| folder.join(CONTRACT).join(file))
        .into_iter()
        .find(|file| !file.exists());
    missing.map_or(Ok(()), |file| {
        let told = format!(
            "{} is missing, of which the build takes the plugin's hooks: sandclock plugin new writes one",
            file.display()
        );
        Err(Told(told).into())
    })
}
