//! What a start is given, and what it answers when nothing was started.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use sandclock_core::run::CANNOT_START;

use super::open_files;
use super::wire::{Limits, StartStep};

/// What is said of a string that cannot be handed over whole.
pub(super) const HOLDS_NUL: &str = "holds a NUL byte, which no process can be given; take it out";

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

/// Why a command did not start, or why nobody knows whether it did. Nothing of it is left, or what
/// is left is being ended.
#[derive(Debug, thiserror::Error)]
#[error("{}", describe(*step, subject))]
pub struct SpawnError {
    /// What failed.
    pub step: StartStep,
    /// The program, user, limit or directory it failed on; may be empty.
    pub subject: String,
    /// How.
    #[source]
    pub source: io::Error,
}

impl SpawnError {
    /// The spawner or the supervisor has said why.
    pub(super) fn refused(step: StartStep, subject: String, errno: i32) -> SpawnError {
        SpawnError {
            step,
            subject,
            source: io::Error::from_raw_os_error(errno),
        }
    }

    /// The spawner could not be reached, unless it is this process that has no descriptor left for
    /// it. Nothing was started.
    pub(super) fn of_spawner(source: io::Error) -> SpawnError {
        let (step, subject) = match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EMFILE) => (StartStep::Descriptors, open_files::current().to_string()),
            _ => (StartStep::Spawner, String::new()),
        };
        SpawnError {
            step,
            subject,
            source,
        }
    }

    /// The request went out, and its answer is lost.
    pub(super) fn unknown(source: io::Error) -> SpawnError {
        SpawnError {
            step: StartStep::Unknown,
            subject: String::new(),
            source,
        }
    }

    /// Whether another spawner might do better.
    pub(super) fn is_about_the_spawner(&self) -> bool {
        self.step == StartStep::Spawner
    }
}

fn describe(step: StartStep, subject: &str) -> String {
    let what = match step {
        StartStep::Unknown => {
            return "it is unknown whether the command began: its supervisor was stopped or killed \
                    while it started the command, and what had begun was ended"
                .to_owned();
        }
        StartStep::Spawner => {
            "the process that starts commands (the spawner) does not answer".to_owned()
        }
        StartStep::Descriptors => format!(
            "this worker has open all of the {subject} files that its limit allows; raise the limit \
             (LimitNOFILE of its service, or ulimit -n), or lower worker.max_concurrent_runs"
        ),
        StartStep::Nul => format!("{subject} {HOLDS_NUL}"),
        // These two say what Go's os/exec says, in whose words a Go master shows them.
        StartStep::Lookup => format!("exec: {subject:?}: executable file not found in $PATH"),
        StartStep::Exec => format!("fork/exec {subject}"),
        StartStep::NoUser => format!("this worker's host has no user {subject:?}"),
        StartStep::User => format!("user {subject:?}"),
        StartStep::Limit => format!("limit {subject}"),
        StartStep::Workdir => format!("workdir {subject:?}"),
        StartStep::Process => "no process or descriptor".to_owned(),
    };
    format!("{CANNOT_START}{what}")
}
