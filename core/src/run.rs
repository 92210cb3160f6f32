//! The run: one execution identity, its states, and how it ended.
//!
//! A run belongs to a tick (job and fire time) or to a request (manual, backfill, chain). Its id
//! follows from that alone (S9), so every worker and every retry names the same run.
//!
//! ```text
//!  tick ─► running ─► succeeded | failed | timed_out | killed | lost
//!    │        └─ retry ─► queued ─► running (next attempt)
//!    └─► skipped | missed
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::job::{Job, JobName};
use crate::time::Timestamp;

/// What a run of a job stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunKey {
    /// The tick with this fire time.
    Tick(Timestamp),
    /// A request with this id: manual, backfill or chain. 1–64 letters, digits, `-`, `_`.
    Request(String),
}

/// What the id of a backfill's request begins with. Its fire time follows, as that of a tick is written.
const BACKFILL: &str = "backfill-";

/// The id of the request that makes up for this fire time. Always the same, so that a fire time is made up for once, however
/// often that is asked for (S9). No other request has such an id.
pub fn backfill_id(fire_time: Timestamp) -> String {
    format!("{BACKFILL}{}", RunKey::Tick(fire_time))
}

impl RunKey {
    /// The fire time that the run makes up for, if it was asked for under a [`backfill_id`].
    pub fn backfilled(&self) -> Option<Timestamp> {
        let Self::Request(id) = self else {
            return None;
        };
        let fire_time = Self::parse(id.strip_prefix(BACKFILL)?)?.fire_time()?;
        // Only as it is written here is it one.
        (*id == backfill_id(fire_time)).then_some(fire_time)
    }

    /// The fire time that the run is for: of its tick, or that it makes up for.
    pub fn scheduled_for(&self) -> Option<Timestamp> {
        self.fire_time().or_else(|| self.backfilled())
    }

    /// The fire time, if the run belongs to a tick.
    pub fn fire_time(&self) -> Option<Timestamp> {
        match self {
            Self::Tick(at) => Some(*at),
            Self::Request(_) => None,
        }
    }

    /// The request's id, if the run belongs to one.
    pub fn request(&self) -> Option<&str> {
        match self {
            Self::Tick(_) => None,
            Self::Request(id) => Some(id),
        }
    }

    /// Reads what `Display` wrote. `None` if it is neither form.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("r-") {
            Some(id) => Some(Self::Request(id.to_owned())),
            None => text
                .parse()
                .ok()
                .map(|ms| Self::Tick(Timestamp::from_millis(ms))),
        }
    }
}

/// The stored form: Unix milliseconds in 16 digits (so that text order is time order), or `r-<id>`.
impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick(at) => write!(f, "{:016}", at.as_millis()),
            Self::Request(id) => write!(f, "r-{id}"),
        }
    }
}

/// A run's id: the first 128 bits of SHA-256 over job and key, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

impl RunId {
    /// The id of this run; always the same for the same arguments (S9).
    pub fn of(job: &JobName, key: &RunKey) -> Self {
        let mut hash = Sha256::new();
        hash.update(job.as_str().as_bytes());
        hash.update([0]);
        hash.update(key.to_string().as_bytes());
        Self(hex(&hash.finalize(), 16))
    }

    /// Takes an id as somebody wrote it. `None` unless it is 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 32 && text.bytes().all(digits)).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first `bytes` of `hash` in lower-case hexadecimal.
pub fn hex(hash: &[u8], bytes: usize) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16);
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    let mut text = String::with_capacity(2 * bytes);
    text.extend(hash.iter().take(bytes).flat_map(digits).flatten());
    text
}

/// Where a run is in its life. The last seven are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunState {
    /// Between attempts, or not yet admitted.
    Queued,
    /// A worker holds it.
    Running,
    /// Exit code 0.
    Succeeded,
    /// It could not start, exited with another code, or died of a signal that was not ours.
    Failed,
    /// Ended by its time limit.
    TimedOut,
    /// Ended by a person or by a newer tick.
    Killed,
    /// A tick that was not to run, such as one that met a busy job.
    Skipped,
    /// A tick that nobody could run in time.
    Missed,
    /// Its worker was gone.
    Lost,
}

impl RunState {
    /// Every state, in the order of the declaration.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Killed,
        Self::Skipped,
        Self::Missed,
        Self::Lost,
    ];

    /// The name in every document and table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Killed => "killed",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
            Self::Lost => "lost",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing follows this state.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a hook decided about a run, for people and for `explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookNote {
    /// The plugin's name.
    pub plugin: String,
    /// Which version of it decided, if it has one.
    pub version: Option<String>,
    /// The hook: `timeout-policy`, `output-redaction` or `run-end`.
    pub hook: String,
    /// What it decided, or how it failed and what applied instead.
    pub decision: String,
    /// Whether it failed and its failure policy applied.
    pub failed: bool,
    /// Whether the plugin is only monitored, so that nothing followed from what it decided.
    pub monitored: bool,
    /// How long the call took.
    pub took: Duration,
}

/// How much a run printed and how much of it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputSummary {
    /// Bytes after redaction, stored or not.
    pub bytes: u64,
    /// Bytes left out between head and tail; 0 if the output is whole.
    pub cut: u64,
}

/// How a run ended, as its owner or whoever settled it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// A terminal state.
    pub state: RunState,
    /// One sentence that a person can read.
    pub cause: String,
    /// When the last attempt's process started, by its worker's clock.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the clock of whoever says so.
    pub ended_at: Timestamp,
    /// The exit code, if the process exited.
    pub exit_code: Option<i32>,
    /// The signal, if it died of one.
    pub signal: Option<i32>,
    /// What it printed, over all attempts.
    pub output: OutputSummary,
    /// What the hooks decided.
    pub notes: Vec<HookNote>,
}

/// What the cause of a run ends with of whose command the kernel wrote a core file.
pub const CORE_DUMPED: &str = " (core dumped)";

/// What the cause of a run begins with whose command could not be started.
pub const CANNOT_START: &str = "cannot start: ";

impl Outcome {
    /// An end without a process: skipped, missed, lost, or killed while it waited.
    pub fn without_process(state: RunState, cause: impl Into<String>, at: Timestamp) -> Self {
        Self {
            state,
            cause: cause.into(),
            started_at: None,
            ended_at: at,
            exit_code: None,
            signal: None,
            output: OutputSummary::default(),
            notes: Vec::new(),
        }
    }
}

/// What everything that touches a run in progress needs to know of it.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// The run.
    pub id: RunId,
    /// What it stands for.
    pub key: RunKey,
    /// The definition it runs under, pinned when it was claimed.
    pub job: Arc<Job>,
    /// From 1.
    pub attempt: u32,
    /// Grows with every later holder of the run (S1).
    pub fence: u64,
    /// The worker's name.
    pub worker: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stores hold this form, and run ids follow from it: it stays (S13).
    #[test]
    fn a_backfill_is_one_request_of_its_fire_time() {
        let at = Timestamp::from_millis(1_795_000_000_000);
        let key = RunKey::Request(backfill_id(at));
        assert_eq!(key.to_string(), "r-backfill-0001795000000000");
        assert_eq!(RunKey::parse(&key.to_string()), Some(key.clone()));
        let run = RunId::of(&JobName::existing("reports"), &key);
        assert_eq!(run.as_str(), "5b62583047e6fe2c722a5ad9a8ba955e");
        assert_eq!(
            (key.backfilled(), key.scheduled_for()),
            (Some(at), Some(at))
        );
        assert_eq!(key.fire_time(), None, "no tick");
        let tick = RunKey::Tick(at);
        assert_eq!((tick.backfilled(), tick.scheduled_for()), (None, Some(at)));
        for other in ["x", "backfill-", "backfill-1795000000000", "backfill-r-1"] {
            assert_eq!(RunKey::Request(other.to_owned()).scheduled_for(), None);
        }
    }
}
