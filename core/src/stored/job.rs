//! The stored form of a job.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Stored;
use super::forms::{list, millis, name, opt_instant, opt_millis, optional};
use super::sealed::Form;
use crate::job::{
    Command, HookBinding, Job, JobName, Leftovers, Limits, OutputMode, Program, ScheduleSpec,
    SecretSource,
};
use crate::policy::{
    Backoff, ConcurrencyPolicy, LostRunPolicy, Misfire, MisfirePolicy, RetryOn, RetryPolicy,
};
use crate::schedule::{Dialect, DstPolicy};
use crate::time::Timestamp;

impl Stored for Job {
    const KIND: &'static str = "job";
}

impl Form for Job {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        JobForm::serialize(self, serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let job = JobForm::deserialize(deserializer)?;
        if let Program::Argv(argv) = &job.command.program
            && argv.is_empty()
        {
            return Err(de::Error::custom("argv must name a program"));
        }
        Ok(job)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Job")]
struct JobForm {
    #[serde(with = "name")]
    name: JobName,
    #[serde(with = "CommandForm")]
    command: Command,
    #[serde(default, with = "schedule", skip_serializing_if = "Option::is_none")]
    schedule: Option<ScheduleSpec>,
    enabled: bool,
    #[serde(default, with = "opt_instant", skip_serializing_if = "Option::is_none")]
    schedule_since: Option<Timestamp>,
    #[serde(with = "ConcurrencyForm")]
    concurrency: ConcurrencyPolicy,
    #[serde(with = "MisfireForm")]
    misfire: Misfire,
    #[serde(
        default,
        rename = "timeout_ms",
        with = "opt_millis",
        skip_serializing_if = "Option::is_none"
    )]
    timeout: Option<Duration>,
    #[serde(rename = "grace_ms", with = "millis")]
    grace: Duration,
    #[serde(with = "RetryForm")]
    retry: RetryPolicy,
    #[serde(with = "LostRunForm")]
    on_lost: LostRunPolicy,
    #[serde(rename = "lost_after_ms", with = "millis")]
    lost_after: Duration,
    #[serde(default, with = "hooks", skip_serializing_if = "Vec::is_empty")]
    hooks: Vec<HookBinding>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Command")]
struct CommandForm {
    #[serde(with = "ProgramForm")]
    program: Program,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    #[serde(default, with = "secrets", skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<String, SecretSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workdir: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    umask: u32,
    #[serde(with = "LimitsForm")]
    limits: Limits,
    #[serde(default, with = "OutputModeForm")]
    output: OutputMode,
    #[serde(default, with = "LeftoversForm")]
    leftovers: Leftovers,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Program", rename_all = "snake_case")]
enum ProgramForm {
    Shell { shell: Vec<String>, text: String },
    Argv(Vec<String>),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SecretSource", rename_all = "snake_case")]
enum SecretSourceForm {
    File(String),
    Env(String),
    Name(String),
}

/// Secrets by name.
mod secrets {
    use super::*;

    #[derive(Serialize)]
    struct Lent<'a>(#[serde(with = "SecretSourceForm")] &'a SecretSource);

    #[derive(Deserialize)]
    struct Owned(#[serde(with = "SecretSourceForm")] SecretSource);

    pub(super) fn serialize<S: Serializer>(
        all: &BTreeMap<String, SecretSource>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(all.iter().map(|(name, source)| (name, Lent(source))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, SecretSource>, D::Error> {
        let all = BTreeMap::<String, Owned>::deserialize(deserializer)?;
        Ok(all
            .into_iter()
            .map(|(name, Owned(source))| (name, source))
            .collect())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Limits")]
struct LimitsForm {
    output_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open_files: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OutputMode", rename_all = "snake_case")]
enum OutputModeForm {
    Combined,
    Split,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Leftovers", rename_all = "snake_case")]
enum LeftoversForm {
    Kill,
    Keep,
}

optional!(schedule, ScheduleSpec, "ScheduleForm");

#[derive(Serialize, Deserialize)]
#[serde(remote = "ScheduleSpec")]
struct ScheduleForm {
    expr: String,
    #[serde(with = "DialectForm")]
    dialect: Dialect,
    time_zone: String,
    #[serde(with = "DstForm")]
    dst: DstPolicy,
    #[serde(default, with = "opt_instant", skip_serializing_if = "Option::is_none")]
    starts_at: Option<Timestamp>,
    #[serde(default, with = "opt_instant", skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Dialect", rename_all = "snake_case")]
enum DialectForm {
    Native,
    Go,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DstPolicy", rename_all = "snake_case")]
enum DstForm {
    Vixie,
    Skip,
    Both,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ConcurrencyPolicy", rename_all = "snake_case")]
enum ConcurrencyForm {
    Forbid,
    Allow,
    Replace,
    Queue,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Misfire")]
struct MisfireForm {
    #[serde(with = "MisfirePolicyForm")]
    policy: MisfirePolicy,
    #[serde(rename = "deadline_ms", with = "millis")]
    deadline: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "MisfirePolicy", rename_all = "snake_case")]
enum MisfirePolicyForm {
    Skip,
    Once,
    All { max: u32 },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "LostRunPolicy", rename_all = "snake_case")]
enum LostRunForm {
    Record,
    Rerun { max: u32 },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RetryPolicy")]
struct RetryForm {
    max: u32,
    #[serde(with = "BackoffForm")]
    backoff: Backoff,
    #[serde(with = "RetryOnForm")]
    on: RetryOn,
    other_worker: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Backoff")]
struct BackoffForm {
    #[serde(rename = "initial_ms", with = "millis")]
    initial: Duration,
    factor: f64,
    #[serde(rename = "max_ms", with = "millis")]
    max: Duration,
    jitter: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RetryOn")]
struct RetryOnForm {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exit_codes: Vec<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signals: Vec<i32>,
    timeout: bool,
    lost: bool,
}

list!(hooks, HookBinding, "HookForm");

#[derive(Serialize, Deserialize)]
#[serde(remote = "HookBinding")]
pub(super) struct HookForm {
    plugin: String,
    config: serde_json::Value,
}
