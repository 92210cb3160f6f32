//! What a test case says: a call with its surroundings (what is expected of it is in `expect`). A case is a document that people
//! write, so the members here are its fields.

use std::collections::BTreeMap;

use sandclock_core::ports::{Channel, History};
use sandclock_core::run::RunState;
use sandclock_core::time::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{ExpectedAnswer, ExpectedDecision, ExpectedDeliveries, ExpectedOutput};
use crate::host::{RunInfo, run_end};

/// The instant of a case that names none: 2026-11-20T18:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);

/// A case, by its hook.
#[derive(Clone, Debug)]
pub enum Case {
    /// Of `timeout-policy`.
    Timeout(TimeoutCase),
    /// Of `output-redaction`.
    Redaction(RedactionCase),
    /// Of `run-end`.
    RunEnd(RunEndCase),
    /// Of `lifecycle`.
    Lifecycle(LifecycleCase),
}

/// Before a run: how long may it take?
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeoutCase {
    /// The plugin's configuration for the job.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// The run that is asked about.
    #[serde(default)]
    pub run: RunSpec,
    /// The job's own limit in milliseconds; none if absent.
    #[serde(default)]
    pub declared_ms: Option<u32>,
    /// How earlier runs went.
    #[serde(default)]
    pub history: Past,
    /// What has to come of it.
    pub expect: ExpectedDecision,
}

/// During a run: which bytes must not be seen?
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactionCase {
    /// The plugin's configuration for the job.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// The run that prints it.
    #[serde(default)]
    pub run: RunSpec,
    /// The pipe that it comes from.
    #[serde(default)]
    pub channel: Pipe,
    /// What the command prints.
    pub input: String,
    /// What has to come of it.
    pub expect: ExpectedOutput,
}

/// After a run: whom to tell?
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunEndCase {
    /// The plugin's configuration for the job.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// The run that ended.
    #[serde(default)]
    pub run: RunSpec,
    /// How it ended.
    pub end: EndSpec,
    /// What has to come of it.
    pub expect: ExpectedDeliveries,
}

/// Whether a configuration is right.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleCase {
    /// The plugin's configuration for a job.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// What has to come of it.
    #[serde(default)]
    pub expect: ExpectedAnswer,
}

/// A run.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunSpec {
    /// The job's name.
    pub job: String,
    /// The run's id.
    pub id: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The scheduled instant, RFC 3339.
    #[serde(deserialize_with = "instant")]
    pub scheduled_at: Timestamp,
    /// The time that the plugin sees, RFC 3339; by default the scheduled instant.
    #[serde(deserialize_with = "some_instant")]
    pub now: Option<Timestamp>,
    /// The worker's name.
    pub worker: String,
    /// The job's labels.
    pub labels: BTreeMap<String, String>,
}

impl Default for RunSpec {
    fn default() -> Self {
        Self {
            job: "nightly/backup".to_owned(),
            id: "run-1".to_owned(),
            attempt: 1,
            scheduled_at: NOW,
            now: None,
            worker: "worker-1".to_owned(),
            labels: BTreeMap::new(),
        }
    }
}

fn instant<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(from)?;
    let accepted = || D::Error::custom("an instant such as 2026-11-20T18:00:00Z");
    Timestamp::parse(&text).ok_or_else(accepted)
}

fn some_instant<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    instant(from).map(Some)
}

impl RunSpec {
    /// What the plugin's clock shows.
    pub(super) fn now(&self) -> Timestamp {
        self.now.unwrap_or(self.scheduled_at)
    }

    pub(super) fn info(&self) -> RunInfo {
        RunInfo {
            job_id: self.job.clone(),
            job_name: self.job.clone(),
            run_id: self.id.clone(),
            attempt: self.attempt,
            scheduled_at: self.scheduled_at.to_string(),
            labels: self.labels.clone().into_iter().collect(),
        }
    }
}

/// How earlier runs went; zero where nothing is said.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the members are those of the contract")]
pub struct Past {
    pub runs: u32,
    pub failures: u32,
    pub p50_ms: u32,
    pub p95_ms: u32,
    pub p99_ms: u32,
    pub max_ms: u32,
}

impl From<Past> for History {
    fn from(past: Past) -> Self {
        Self {
            known: true,
            runs: past.runs,
            failures: past.failures,
            p50_ms: past.p50_ms,
            p95_ms: past.p95_ms,
            p99_ms: past.p99_ms,
            max_ms: past.max_ms,
        }
    }
}

/// A pipe of a command.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of the contract")]
pub enum Pipe {
    #[default]
    Combined,
    Stdout,
    Stderr,
}

impl From<Pipe> for Channel {
    fn from(pipe: Pipe) -> Self {
        match pipe {
            Pipe::Combined => Self::Combined,
            Pipe::Stdout => Self::Stdout,
            Pipe::Stderr => Self::Stderr,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the members are those of the contract")]
pub struct EndSpec {
    #[serde(deserialize_with = "end_state")]
    pub state: String,
    #[serde(default)]
    pub cause: String,
    #[serde(default)]
    pub exit_code: Option<i32>,
    #[serde(default)]
    pub signal: Option<String>,
    #[serde(default)]
    pub duration_ms: u32,
    #[serde(default, deserialize_with = "some_end_state")]
    pub previous_state: Option<String>,
    #[serde(default)]
    pub failures_in_a_row: u32,
    #[serde(default)]
    pub output_tail: String,
}

fn end_state<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let state = String::deserialize(from)?;
    let ends = || RunState::ALL.into_iter().filter(|end| end.is_terminal());
    if ends().any(|end| end.as_str() == state) {
        return Ok(state);
    }
    let known: Vec<_> = ends().map(RunState::as_str).collect();
    Err(D::Error::custom(format!("one of {}", known.join(", "))))
}

fn some_end_state<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    end_state(from).map(Some)
}

impl EndSpec {
    pub(super) fn end(&self) -> run_end::End {
        run_end::End {
            state: self.state.clone(),
            cause: self.cause.clone(),
            exit_code: self.exit_code,
            signal: self.signal.clone(),
            duration_ms: self.duration_ms,
            previous_state: self.previous_state.clone(),
            failures_in_a_row: self.failures_in_a_row,
            output_tail: self.output_tail.clone(),
        }
    }
}
