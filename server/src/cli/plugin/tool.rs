//! The tools of a language, as a build starts them: in the plugin's folder, on the author's terminal.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context as _;

use crate::cli::{Told, table};

/// The world that tools are told, and that `wit/world.wit` has to define.
pub(super) const WORLD: &str = "this-plugin";

/// A tool that an author has to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    /// The program, which is looked for on the path.
    pub(super) program: &'static str,
    /// What an author does who has not got it.
    pub(super) remedy: &'static str,
}

impl Tool {
    /// The tool, to be started in `folder`, without input.
    pub(super) fn in_folder(self, folder: &Path) -> Command {
        start(Path::new(self.program), folder)
    }

    /// Runs a command of this tool and says how it ended and what it printed.
    ///
    /// # Errors
    /// If the tool is missing, with what mends that.
    pub(super) fn output(self, command: &mut Command) -> anyhow::Result<Output> {
        let Self { program, remedy } = self;
        command.output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Told(format!("{program} is not installed: {remedy}")).into(),
            _ => anyhow::Error::from(error).context(format!("start {program}")),
        })
    }

    /// Runs a command of this tool that makes a plugin of the sources in `folder`. What it prints is shown if it fails.
    ///
    /// # Errors
    /// If the tool is missing, or fails.
    pub(super) fn make(self, command: &mut Command, folder: &Path) -> anyhow::Result<()> {
        let output = self.output(command)?;
        if output.status.success() {
            return Ok(());
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

/// A program, to be started in `folder`, without input.
#[expect(
    clippy::disallowed_methods,
    reason = "an author's compiler is no job: it runs here, on the author's terminal"
)]
pub(super) fn start(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Where tools without a place of their own put what they make, seen from the plugin's folder.
///
/// # Errors
/// If the folder for it cannot be made.
pub(super) fn made(folder: &Path) -> anyhow::Result<PathBuf> {
    let target = folder.join("target");
    fs::create_dir_all(&target).with_context(|| format!("make {}", target.display()))?;
    Ok(PathBuf::from("target/plugin.wasm"))
}

/// Sees to it that tools find the contract and the world.
///
/// # Errors
/// If there is none, with where one is from.
pub(super) fn contract(folder: &Path) -> anyhow::Result<()> {
    let missing = ["wit/plugin.wit", "wit/world.wit"]
        .map(|file| folder.join(file))
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
