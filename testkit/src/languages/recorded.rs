//! Invocations of the policy, each with what was decided.

use std::sync::Arc;
use std::time::Duration;

use sandclock_core::job::{HookBinding, Job, JobName};
use sandclock_core::ports::{History, RunPolicy};
use sandclock_core::run::{RunContext, RunId, RunKey};
use sandclock_core::time::Timestamp;
use serde_json::{Value, json};

use super::PLUGINS;

/// One invocation.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The run of a job that binds the plugin.
    pub run: RunContext,
    /// What its job did before.
    pub past: History,
    /// What was decided, as [`decided`] says it; null if it was not recorded.
    pub decided: Value,
}

/// What was recorded, in `examples/plugins/languages/recorded.json`, of a job that binds `plugin`.
///
/// # Panics
/// If it cannot be read.
pub fn recorded(plugin: &str) -> Vec<Recorded> {
    let file = format!("{PLUGINS}/languages/recorded.json");
    let text = std::fs::read_to_string(file).expect("the recorded invocations");
    let all: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    all.iter().map(|one| Recorded::read(one, plugin)).collect()
}

impl Recorded {
    /// Reads one invocation of a job that binds `plugin`.
    ///
    /// # Panics
    /// If a member is missing or of another type.
    pub fn read(one: &Value, plugin: &str) -> Self {
        let number = |value: &Value| u32::try_from(value.as_u64().expect("a number")).expect("u32");
        let name = JobName::parse(one["job"].as_str().expect("a name")).expect("a job's name");
        let mut job = Job::shell(name.clone(), "true");
        let labels = one["labels"].as_object().expect("labels");
        let label = |(key, value): (&String, &Value)| {
            let value = value.as_str().expect("a text");
            (key.clone(), value.to_owned())
        };
        job.labels = labels.iter().map(label).collect();
        let declared = one["declared_ms"].as_u64();
        job.timeout = declared.map(Duration::from_millis);
        job.hooks = vec![HookBinding {
            plugin: plugin.to_owned(),
            config: one["config"].clone(),
        }];
        let at = one["scheduled_at_ms"].as_i64().expect("an instant");
        let key = RunKey::Tick(Timestamp::from_millis(at));
        let past = &one["past"];
        Self {
            run: RunContext {
                id: RunId::of(&name, &key),
                key,
                job: Arc::new(job),
                attempt: number(&one["attempt"]),
                fence: 1,
                worker: "w1".to_owned(),
            },
            past: History {
                known: true,
                runs: number(&past["runs"]),
                failures: number(&past["failures"]),
                p50_ms: number(&past["p50_ms"]),
                p95_ms: number(&past["p95_ms"]),
                p99_ms: number(&past["p99_ms"]),
                max_ms: number(&past["max_ms"]),
            },
            decided: one["decided"].clone(),
        }
    }
}

/// All of a decision that follows from the plugin's answer, to compare and to record.
pub fn decided(policy: &RunPolicy) -> Value {
    let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let notes: Vec<Value> = policy
        .notes
        .iter()
        .map(|note| json!({ "failed": note.failed, "decision": note.decision }))
        .collect();
    json!({
        "limit_ms": policy.limit.map(millis),
        "warn_ms": policy.warn.map(millis),
        "grace_ms": millis(policy.grace),
        "notes": notes,
    })
}
