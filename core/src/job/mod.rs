//! The job: a stored definition of what runs, when, and under which policies.
//!
//! A [`Job`] in memory is always valid: the only way to one from text is through the server's
//! wire types or [`crate::stored`], and both check. Every field's default is stated here once.

mod check;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::policy::{ConcurrencyPolicy, LostRunPolicy, Misfire, RetryPolicy};
use crate::schedule::{Dialect, DstPolicy};
use crate::time::Timestamp;

pub use check::{
    MAX_EXEC_BYTES, MAX_HOOK_CONFIG_BYTES, MAX_HOOKS, MAX_NAME_BYTES, MAX_PATH_BYTES,
    MAX_TEXT_BYTES, Unfit,
};

/// A job's name, which is its identity. Copies share the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName(Arc<str>);

impl JobName {
    /// The longest name in bytes.
    pub const MAX_BYTES: usize = 200;

    /// A name that may be created: 1–200 bytes of ASCII letters, digits, `.`, `_`, `-`, and `/` to group.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        let wrong = |rule| {
            Err(InvalidName {
                name: name.to_owned(),
                rule,
            })
        };
        if name.is_empty() || name.len() > Self::MAX_BYTES {
            return wrong("it must have 1 to 200 bytes");
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
        if !name.bytes().all(allowed) {
            return wrong(
                "only the letters a to z and A to Z, digits, '.', '_', '-' and '/' to group are allowed",
            );
        }
        if name.split('/').any(str::is_empty) {
            return wrong("'/' must not lead, trail or be doubled");
        }
        if name
            .split('/')
            .any(|segment| segment == "." || segment == "..")
        {
            return wrong("a segment must not be '.' or '..'");
        }
        Ok(Self(name.into()))
    }

    /// A name that a store already holds, whatever it is: it is listed, reachable and deletable.
    pub fn existing(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name cannot be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid job name {name:?}: {rule}")]
pub struct InvalidName {
    /// The name as given.
    pub name: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// What runs the text of a job that names no shell: the Go fleet's, and so ours.
pub const DEFAULT_SHELL: [&str; 2] = ["/bin/bash", "-c"];

/// What is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Text for a shell.
    Shell {
        /// The shell and its arguments before the text; default [`DEFAULT_SHELL`].
        shell: Vec<String>,
        /// The command text, passed as one argument.
        text: String,
    },
    /// A program and its arguments, without a shell. Never empty.
    Argv(Vec<String>),
}

/// Which pipes the output takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OutputMode {
    /// One pipe for both, so that the order is exact.
    #[default]
    Combined,
    /// A pipe each, without order between the two.
    Split,
}

/// What happens to processes that a run leaves behind when it ends normally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Leftovers {
    /// They are ended with the run.
    #[default]
    Kill,
    /// They stay.
    Keep,
}

/// Limits of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Stored output; what is beyond is cut between head and tail, with a marker.
    pub output_bytes: u64,
    /// `RLIMIT_AS` in bytes, for each process of the run.
    pub memory_bytes: Option<u64>,
    /// `RLIMIT_CPU` in seconds, for each process of the run.
    pub cpu_s: Option<u64>,
    /// `RLIMIT_NOFILE`.
    pub open_files: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            output_bytes: 1 << 20,
            memory_bytes: None,
            cpu_s: None,
            open_files: None,
        }
    }
}

/// How to execute a job's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What is executed.
    pub program: Program,
    /// The job's own environment.
    pub env: BTreeMap<String, String>,
    /// Secrets by the name of the variable that carries them: where the worker finds the value.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The working directory; default: the user's home.
    pub workdir: Option<String>,
    /// The user to run as; default: the worker's.
    pub user: Option<String>,
    /// File mode creation mask; default `0o022`.
    pub umask: u32,
    /// Limits of the run.
    pub limits: Limits,
    /// Pipes.
    pub output: OutputMode,
    /// What happens to what stays behind.
    pub leftovers: Leftovers,
}

/// Where a worker finds the value of a secret. The value itself is never in a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The content of a file on the worker, without one trailing newline.
    File(String),
    /// A variable of the worker's environment.
    Env(String),
    /// What the worker knows by this name: by its configuration, or from the fleet's sealed secrets.
    Name(String),
}

/// When a job is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSpec {
    /// The expression as written.
    pub expr: String,
    /// Which rules read it.
    pub dialect: Dialect,
    /// An IANA zone name.
    pub time_zone: String,
    /// What happens in gaps and repeated hours.
    pub dst: DstPolicy,
    /// No tick before it.
    pub starts_at: Option<Timestamp>,
    /// No tick after it.
    pub ends_at: Option<Timestamp>,
}

impl ScheduleSpec {
    /// An expression of our own dialect, in UTC, from now on and for ever.
    pub fn utc(expr: impl Into<String>) -> Self {
        Self {
            expr: expr.into(),
            dialect: Dialect::Native,
            time_zone: "UTC".to_owned(),
            dst: DstPolicy::default(),
            starts_at: None,
            ends_at: None,
        }
    }
}

/// A plugin that a job uses, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct HookBinding {
    /// The plugin's name.
    pub plugin: String,
    /// Its configuration for this job: a JSON object.
    pub config: serde_json::Value,
}

/// A job's definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its identity.
    pub name: JobName,
    /// What runs.
    pub command: Command,
    /// When; `None` for jobs that run by request only.
    pub schedule: Option<ScheduleSpec>,
    /// A job that is not enabled makes no ticks.
    pub enabled: bool,
    /// When a member that decides about ticks last changed, written by the server that saves it.
    pub schedule_since: Option<Timestamp>,
    /// What happens when a tick meets an open run; default forbid.
    pub concurrency: ConcurrencyPolicy,
    /// What happens to late ticks; default once, within an hour.
    pub misfire: Misfire,
    /// The declared limit of a run's time, before plugins; `None` is the fleet's default limit.
    pub timeout: Option<Duration>,
    /// Between SIGTERM and SIGKILL; default 10 s.
    pub grace: Duration,
    /// Retries; default none.
    pub retry: RetryPolicy,
    /// What happens when the worker is gone; default: recorded as lost.
    pub on_lost: LostRunPolicy,
    /// How long a run may go on without contact to the store; default 30 s.
    pub lost_after: Duration,
    /// Plugins, in order.
    pub hooks: Vec<HookBinding>,
    /// For selection and for people.
    pub labels: BTreeMap<String, String>,
    /// For people.
    pub description: String,
    /// For people.
    pub owner: String,
}

impl Job {
    /// The default of [`Job::grace`].
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);
    /// The default of [`Job::lost_after`].
    pub const DEFAULT_LOST_AFTER: Duration = Duration::from_secs(30);

    /// A job with this name that runs `text` in the default shell by request, all else default.
    pub fn shell(name: JobName, text: impl Into<String>) -> Self {
        let shell = DEFAULT_SHELL.map(str::to_owned).to_vec();
        Self::new(
            name,
            Program::Shell {
                shell,
                text: text.into(),
            },
        )
    }

    /// A job that runs `program` by request, all else default.
    pub fn new(name: JobName, program: Program) -> Self {
        Self {
            name,
            command: Command {
                program,
                env: BTreeMap::new(),
                secrets: BTreeMap::new(),
                workdir: None,
                user: None,
                umask: 0o022,
                limits: Limits::default(),
                output: OutputMode::default(),
                leftovers: Leftovers::default(),
            },
            schedule: None,
            enabled: true,
            schedule_since: None,
            concurrency: ConcurrencyPolicy::default(),
            misfire: Misfire::default(),
            timeout: None,
            grace: Self::DEFAULT_GRACE,
            retry: RetryPolicy::default(),
            on_lost: LostRunPolicy::default(),
            lost_after: Self::DEFAULT_LOST_AFTER,
            hooks: Vec::new(),
            labels: BTreeMap::new(),
            description: String::new(),
            owner: String::new(),
        }
    }
}
