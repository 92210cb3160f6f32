//! What the scheduler calls but does not implement: hooks and the executor.
//!
//! The arrows point outwards: `hooks` and `server` implement these traits, core only uses them.
//! A hook's failure is never an error here: its failure policy has been applied by then and the
//! verdict says so (S11).

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::backend::DoneRecord;
use crate::run::{HookNote, OutputSummary, RunContext};

/// How earlier runs of a job went, as far as the run log could tell in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// False if the run log did not answer in time; all figures are 0 then.
    pub known: bool,
    /// Runs that ended by themselves, at most the last 100.
    pub runs: u32,
    /// How many of them failed.
    pub failures: u32,
    /// Median duration of the successful ones, in milliseconds.
    pub p50_ms: u32,
    /// 95th percentile, likewise.
    pub p95_ms: u32,
    /// 99th percentile, likewise.
    pub p99_ms: u32,
    /// The longest, likewise.
    pub max_ms: u32,
}

/// What applies to a run's time, after plugins and the fleet's bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPolicy {
    /// The run is ended after this; `None` is no limit.
    pub limit: Option<Duration>,
    /// A warning is noted after this.
    pub warn: Option<Duration>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Why this limit; goes into the cause of a run that it ends.
    pub reason: String,
    /// Set if a hook's failure policy forbids the run: it fails with this cause and does not start.
    pub refuse: Option<String>,
    /// What the hooks decided.
    pub notes: Vec<HookNote>,
}

/// A pipe of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Both, in order.
    Combined,
    /// Standard output only.
    Stdout,
    /// Standard error only.
    Stderr,
}

impl Channel {
    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Combined => "combined",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Bytes that have passed redaction and so may leave the worker (S14).
///
/// Only a [`Redactor`] makes one, and what stores or shows output takes nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redacted(Bytes);

impl Redacted {
    /// For implementers of [`Redactor`] and for readers of a store: the caller vouches for `bytes`.
    pub fn vouch(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes, taken out.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// The redaction of one pipe of one run. Pieces go in as they come, and only what may leave comes out.
#[async_trait]
pub trait Redactor: fmt::Debug + Send {
    /// Takes more output and returns what is decided by now, perhaps nothing.
    async fn push(&mut self, raw: Bytes) -> Redacted;

    /// Decides what is left. Called once, after the last `push`.
    async fn finish(&mut self) -> Redacted;

    /// What redaction has to say about the run: which plugin failed, how much was withheld.
    fn notes(&self) -> Vec<HookNote>;
}

/// An alert that a plugin wants sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertDraft {
    /// The plugin that made it.
    pub plugin: String,
    /// Its place among the plugin's drafts of this run; with run and plugin it is the identity.
    pub index: u32,
    /// The name of a target of the operator's configuration.
    pub target: String,
    /// Alerts with the same key are one while one is undelivered.
    pub dedupe_key: Option<String>,
    /// Media type of the body.
    pub content_type: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body, known secrets already masked.
    pub body: Bytes,
}

/// The plugins of a job, behind one contract. No method fails: a verdict always comes.
#[async_trait]
pub trait Hooks: fmt::Debug + Send + Sync + 'static {
    /// Before a run starts: its time limits. `default_limit` applies where nothing else does.
    async fn before_run(
        &self,
        run: &RunContext,
        history: &History,
        default_limit: Option<Duration>,
    ) -> RunPolicy;

    /// For a pipe of a run that is about to start.
    async fn redactor(&self, run: &RunContext, channel: Channel) -> Box<dyn Redactor>;

    /// After every end of a run, success, skip and miss too; the record carries the definition it ran
    /// under, if anybody knows it. `tail` is the end of its redacted output, at most 16 KiB.
    async fn after_run(&self, done: &DoneRecord, tail: &Bytes) -> Vec<AlertDraft>;
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEnd {
    /// The exit code, if it exited.
    pub exit_code: Option<i32>,
    /// The signal, if it died of one.
    pub signal: Option<i32>,
    /// Whether the kernel wrote a core file of it.
    pub core_dumped: bool,
    /// Set if neither the command nor an order ended it.
    pub fault: Option<Fault>,
    /// Processes left behind that were ended with it.
    pub leftovers_ended: u32,
    /// What it printed.
    pub output: OutputSummary,
    /// The end of its redacted output, at most 16 KiB.
    pub tail: Bytes,
    /// What redaction had to say.
    pub notes: Vec<HookNote>,
}

/// What ended a process beside itself and the worker's orders. The text goes to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The dead-man's deadline passed, or its worker let go of it: the run is `lost`.
    NoContact(String),
    /// The executor lost it or could not end it: the run has `failed`.
    Executor(String),
}

/// Why a process did not start, or why nobody knows whether it did. The text goes to people and is free of known secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct StartError {
    /// One sentence.
    pub cause: String,
}

/// Starts the processes of runs.
#[async_trait]
pub trait Executor: fmt::Debug + Send + Sync + 'static {
    /// Starts the run's program. Its output is redacted, bounded and stored by the executor.
    ///
    /// `alive_for` is the first dead-man's deadline: without [`Running::extend`] the whole tree is
    /// ended then, even if this process is stopped or gone.
    ///
    /// # Errors
    /// If the program did not start, or if the answer was lost, so that it may have begun; nothing is
    /// left running then.
    async fn start(
        &self,
        run: &RunContext,
        alive_for: Duration,
    ) -> Result<Box<dyn Running>, StartError>;
}

/// A run's processes.
#[async_trait]
pub trait Running: fmt::Debug + Send {
    /// Waits until the main process has ended, what it left behind is dealt with, and its output is
    /// stored. Cancel-safe; may be called again after it was dropped.
    async fn wait(&mut self) -> ProcessEnd;

    /// SIGTERM to the whole tree, SIGKILL after `grace`. Idempotent; a shorter grace wins.
    fn terminate(&mut self, grace: Duration);

    /// Moves the dead-man's deadline to `alive_for` from now.
    fn extend(&mut self, alive_for: Duration);
}

/// A request of a plugin to a target of the operator's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAsk {
    /// The operator's name of the target.
    pub target: String,
    /// What is put behind the target's address: empty, or from a `/` or a `?` on.
    pub path: String,
    /// Headers, without credentials.
    pub headers: Vec<(String, String)>,
    /// The body of a POST; `None` is a GET.
    pub body: Option<Bytes>,
    /// How long it may take.
    pub within: Duration,
    /// How long an answer may be, in bytes.
    pub max_answer: usize,
}

/// What a target answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// The targets of the operator's configuration that plugins may be granted.
#[async_trait]
pub trait HttpTargets: fmt::Debug + Send + Sync + 'static {
    /// Sends a request, with the target's credentials, to where the target is and nowhere else.
    ///
    /// # Errors
    /// For the plugin: `denied: …` if it must not be sent, `limit: …` if the answer is too long, `unavailable: …` if there is none.
    async fn send(&self, ask: &HttpAsk) -> Result<HttpAnswer, String>;
}
