//! The stored form of how a run ended, and of the run log's record of it.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Stored;
use super::forms::{instant, list, micros, name, opt_instant, optional, run_id, run_key};
use super::sealed::Form;
use crate::backend::{RunRecord, Span};
use crate::job::JobName;
use crate::run::{HookNote, Outcome, OutputSummary, RunId, RunKey, RunState};
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
#[serde(remote = "RunState", rename_all = "snake_case")]
pub(super) enum StateForm {
    Queued,
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Killed,
    Skipped,
    Missed,
    Lost,
}

list!(notes, HookNote, "NoteForm");

#[derive(Serialize, Deserialize)]
#[serde(remote = "HookNote")]
struct NoteForm {
    plugin: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    hook: String,
    decision: String,
    failed: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    monitored: bool,
    #[serde(rename = "took_us", with = "micros")]
    took: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OutputSummary")]
struct OutputForm {
    bytes: u64,
    cut: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Span")]
pub(super) struct SpanForm {
    #[serde(with = "instant")]
    first: Timestamp,
    #[serde(with = "instant")]
    last: Timestamp,
    count: u64,
}

optional!(span, Span, "SpanForm");

#[derive(Serialize, Deserialize)]
#[serde(remote = "Outcome")]
pub(super) struct OutcomeForm {
    #[serde(with = "StateForm")]
    state: RunState,
    cause: String,
    #[serde(default, with = "opt_instant", skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(with = "instant")]
    ended_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(with = "OutputForm")]
    output: OutputSummary,
    #[serde(default, with = "notes", skip_serializing_if = "Vec::is_empty")]
    notes: Vec<HookNote>,
}

impl Stored for RunRecord {
    const KIND: &'static str = "run record";
}

impl Form for RunRecord {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RunForm::serialize(self, serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RunForm::deserialize(deserializer)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RunRecord")]
struct RunForm {
    #[serde(with = "run_id")]
    id: RunId,
    #[serde(with = "name")]
    job: JobName,
    #[serde(with = "run_key")]
    key: RunKey,
    #[serde(default, with = "span")]
    span: Option<Span>,
    #[serde(with = "StateForm")]
    state: RunState,
    cause: String,
    attempt: u32,
    worker: String,
    #[serde(default, with = "opt_instant")]
    started_at: Option<Timestamp>,
    #[serde(default, with = "opt_instant")]
    ended_at: Option<Timestamp>,
    #[serde(default, with = "opt_instant")]
    next_attempt_at: Option<Timestamp>,
    #[serde(default)]
    exit_code: Option<i32>,
    #[serde(default)]
    signal: Option<i32>,
    #[serde(with = "OutputForm")]
    output: OutputSummary,
    #[serde(default, with = "notes")]
    notes: Vec<HookNote>,
}
