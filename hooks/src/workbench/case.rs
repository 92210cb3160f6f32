//! What a test case says: a call with its surroundings (what is expected of it is in `expect`). A case is a document that people
//! write, so the members here are its fields.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::effects::TargetAnswer;
use super::{ExpectedAnswer, ExpectedDecision, ExpectedDeliveries, ExpectedOutput};
use crate::subject::{EndSpec, Past, Pipe, RunSpec};

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
    /// What the plugin keeps already, as text.
    #[serde(default)]
    pub kv: BTreeMap<String, String>,
    /// How its targets answer, each answer once.
    #[serde(default)]
    pub http: Vec<TargetAnswer>,
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
