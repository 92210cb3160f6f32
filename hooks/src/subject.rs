//! What a plugin is asked about, as documents: in test cases, where people write them, and in recordings.
//!
//! A call of a run takes the same way: what is known of the run becomes one of these, and that what the plugin gets. So
//! a recording holds all that the plugin was told.

use std::collections::BTreeMap;

use sandclock_core::backend::DoneRecord;
use sandclock_core::job::Job;
use sandclock_core::ports::{Channel, History};
use sandclock_core::run::{RunContext, RunId, RunState};
use sandclock_core::time::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::host::{RunInfo, run_end};

/// The instant of a case that names none: 2026-11-20T18:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);

/// What an instant has to be.
const INSTANT: &str = "an instant such as 2026-11-20T18:00:00Z";

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunSpec {
    /// The job's name.
    pub job: String,
    /// The run's id.
    pub id: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The scheduled instant, RFC 3339.
    #[serde(deserialize_with = "instant", serialize_with = "text")]
    pub scheduled_at: Timestamp,
    /// The time that the plugin sees, RFC 3339; by default the scheduled instant.
    #[serde(deserialize_with = "some_instant", serialize_with = "some_text")]
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
    let at = some_instant(from)?;
    at.ok_or_else(|| D::Error::custom(INSTANT))
}

fn some_instant<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let parsed = |text: String| Timestamp::parse(&text).ok_or_else(|| D::Error::custom(INSTANT));
    Option::deserialize(from)?.map(parsed).transpose()
}

fn text<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(at)
}

fn some_text<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => to.serialize_some(&at.to_string()),
        None => to.serialize_none(),
    }
}

impl RunSpec {
    /// A run that is about to start or going on, of which a plugin is asked at `now`.
    pub(crate) fn running(run: &RunContext, now: Timestamp) -> Self {
        let scheduled_at = run.key.scheduled_for().unwrap_or(now);
        Self::of(
            (&run.job, &run.id, run.attempt),
            &run.worker,
            (scheduled_at, now),
        )
    }

    /// A run of this job that has ended, of which a plugin is asked at `now`.
    pub(crate) fn ended(done: &DoneRecord, job: &Job, now: Timestamp) -> Self {
        let outcome = &done.outcome;
        let scheduled_at = done.key.scheduled_for().or(outcome.started_at);
        let scheduled_at = scheduled_at.unwrap_or(outcome.ended_at);
        Self::of(
            (job, &done.run(), done.attempts),
            &done.worker,
            (scheduled_at, now),
        )
    }

    fn of(
        (job, run, attempt): (&Job, &RunId, u32),
        worker: &str,
        (scheduled_at, now): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            job: job.name.to_string(),
            id: run.to_string(),
            attempt,
            scheduled_at,
            now: Some(now),
            worker: worker.to_owned(),
            labels: job.labels.clone(),
        }
    }

    /// What the plugin's clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.now.unwrap_or(self.scheduled_at)
    }

    pub(crate) fn info(&self) -> RunInfo {
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
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

impl From<History> for Past {
    fn from(past: History) -> Self {
        Self {
            runs: past.runs,
            failures: past.failures,
            p50_ms: past.p50_ms,
            p95_ms: past.p95_ms,
            p99_ms: past.p99_ms,
            max_ms: past.max_ms,
        }
    }
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of the contract")]
pub enum Pipe {
    #[default]
    Combined,
    Stdout,
    Stderr,
}

impl From<Channel> for Pipe {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Combined => Self::Combined,
            Channel::Stdout => Self::Stdout,
            Channel::Stderr => Self::Stderr,
        }
    }
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

impl Pipe {
    pub(crate) fn as_str(self) -> &'static str {
        Channel::from(self).as_str()
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
    let state = some_end_state(from)?;
    state.ok_or_else(|| D::Error::custom("the state in which a run ends"))
}

fn some_end_state<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let state: Option<String> = Option::deserialize(from)?;
    let ends = || RunState::ALL.into_iter().filter(|end| end.is_terminal());
    let is_end = |state: &String| ends().any(|end| end.as_str() == state);
    if state.as_ref().is_none_or(is_end) {
        return Ok(state);
    }
    let known: Vec<_> = ends().map(RunState::as_str).collect();
    Err(D::Error::custom(format!("one of {}", known.join(", "))))
}

impl EndSpec {
    /// The end of a run; `cause` and `tail` are masked already.
    pub(crate) fn of(done: &DoneRecord, cause: String, tail: String) -> Self {
        let outcome = &done.outcome;
        let failures = match outcome.state {
            RunState::Succeeded => done.streak_before.failures,
            _ => done.streak.failures,
        };
        Self {
            state: outcome.state.to_string(),
            cause,
            exit_code: outcome.exit_code,
            signal: outcome.signal.map(signal_name),
            duration_ms: u32::try_from(done.duration().as_millis()).unwrap_or(u32::MAX),
            previous_state: done.streak_before.last.map(|state| state.to_string()),
            failures_in_a_row: failures,
            output_tail: tail,
        }
    }

    pub(crate) fn end(&self) -> run_end::End {
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

fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}
