//! What a start is given, and what it answers when nothing was started.

use std::io;
use std::time::Duration;

use super::wire::{Limits, StartStep};

/// What to run and in which surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// Program and arguments; a program without a slash is searched in `PATH` of `env`.
    pub argv: Vec<String>,
    /// The whole environment; a later entry wins over an earlier one of the same name.
    pub env: Vec<(String, String)>,
    /// Where it starts; `None` is the home directory, or `/` where there is none.
    pub workdir: Option<String>,
    /// As whom; `None` is the worker's own user.
    pub user: Option<String>,
    /// File mode creation mask.
    pub umask: u32,
    /// Limits of each of its processes.
    pub limits: Limits,
    /// A pipe each for standard output and standard error, rather than one for both.
    pub split: bool,
    /// Processes that outlive the command may stay.
    pub keep_leftovers: bool,
    /// Between SIGTERM and SIGKILL for leftovers, and if the worker dies.
    pub grace: Duration,
    /// The first dead man's deadline: without [`super::child::Control::extend`] the tree ends then.
    pub alive_for: Duration,
}

/// Why a command did not start. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[error("cannot start: {}", describe(*step, subject))]
pub struct SpawnError {
    /// What failed.
    pub step: StartStep,
    /// The program, user, limit or directory it failed on; may be empty.
    pub subject: String,
    /// How.
    #[source]
    pub source: io::Error,
}

fn describe(step: StartStep, subject: &str) -> String {
    match step {
        StartStep::Spawner => "the spawner does not answer".to_owned(),
        StartStep::Lookup => format!("program {subject:?} is in no directory of PATH"),
        StartStep::User => format!("user {subject:?}"),
        StartStep::Limit => format!("limit {subject}"),
        StartStep::Workdir => format!("workdir {subject:?}"),
        StartStep::Process => "no process or descriptor".to_owned(),
        StartStep::Exec => format!("program {subject:?}"),
    }
}
