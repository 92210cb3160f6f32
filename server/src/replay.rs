//! Asking recorded questions again: of the version that answered, of another one, and what a shadow answered.
//!
//! A question is asked on the engine that counts fuel and not time, at the instant of the recording, by the code that a
//! worker asks with. So an answer is the same on every machine, or the plugin is another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use async_trait::async_trait;
use sandclock_hooks::workbench::{Difference, Replayed, Workbench};
use sandclock_hooks::{Artifact, Meter, RecordedCall};
use serde::Serialize;
use serde_json::{Value, json};

/// What came of one recorded call.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayedCall {
    /// The run that it was about.
    pub run: String,
    /// The job of that run.
    pub job: String,
    /// The plugin.
    pub plugin: String,
    /// The hook.
    pub hook: &'static str,
    /// `same`, `different` or `skipped`.
    pub outcome: &'static str,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What was said then.
    pub recorded: Value,
    /// What was said now; null if it was skipped.
    pub found: Value,
    /// Where they differ: member, recorded, found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Value>,
}

/// What came of all of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReplayReport {
    /// How many answers were the same to the last byte.
    pub same: usize,
    /// How many were not.
    pub different: usize,
    /// How many could not be asked again.
    pub skipped: usize,
    /// Each, in the order of the recordings.
    pub calls: Vec<ReplayedCall>,
}

impl ReplayReport {
    fn add(&mut self, call: &RecordedCall, came: Came) {
        let (outcome, count) = match &came {
            Came::Answered(_, differences) if differences.is_empty() => ("same", &mut self.same),
            Came::Answered(..) => ("different", &mut self.different),
            Came::Skipped(_) => ("skipped", &mut self.skipped),
        };
        *count += 1;
        let (why, found, differences) = match came {
            Came::Answered(found, differences) => (None, found, differences),
            Came::Skipped(why) => (Some(why), Value::Null, Vec::new()),
        };
        let told = |apart: Difference| {
            let Difference {
                member,
                expected,
                found,
            } = apart;
            json!({ "member": member, "recorded": expected, "found": found })
        };
        self.calls.push(ReplayedCall {
            run: call.run.id.clone(),
            job: call.run.job.clone(),
            plugin: call.plugin.clone(),
            hook: call.question.hook().as_str(),
            outcome,
            why,
            recorded: call.answer.clone(),
            found,
            differences: differences.into_iter().map(told).collect(),
        });
    }
}

enum Came {
    Answered(Value, Vec<Difference>),
    Skipped(String),
}

/// What recorded questions are asked of.
#[async_trait]
pub(crate) trait Artifacts: Send + Sync {
    /// The artifact to ask what this call was about.
    ///
    /// # Errors
    /// Why there is none, for people.
    async fn artifact(&self, call: &RecordedCall) -> Result<Artifact, String>;
}

/// Asks all questions, one after the other.
pub(crate) async fn replay(calls: &[RecordedCall], artifacts: &dyn Artifacts) -> ReplayReport {
    let mut report = ReplayReport::default();
    // By plugin and digest of what answered then; each is installed once.
    let mut benches = BTreeMap::new();
    for call in calls {
        let bench = match benches.entry((&call.plugin, &call.sha256)) {
            Entry::Occupied(bench) => bench.into_mut(),
            Entry::Vacant(place) => place.insert(open(call, artifacts).await),
        };
        let came = match bench {
            Err(why) => Came::Skipped(why.clone()),
            Ok(bench) => match bench.replay(call).await {
                Replayed::Answered {
                    answer,
                    differences,
                } => Came::Answered(answer, differences),
                Replayed::Skipped(why) => Came::Skipped(why.to_owned()),
            },
        };
        report.add(call, came);
    }
    report
}

async fn open(call: &RecordedCall, artifacts: &dyn Artifacts) -> Result<Workbench, String> {
    let artifact = artifacts.artifact(call).await?;
    let opened = Workbench::open(artifact, Meter::Fuel).await;
    opened.map_err(|error| error.to_string())
}

/// What shadows said beside those that served, as far as it is recorded.
pub(crate) fn of_shadows(calls: &[RecordedCall]) -> ReplayReport {
    let mut report = ReplayReport::default();
    for call in calls {
        if let Some(shadow) = &call.shadow {
            let differences = call.apart_from_shadow();
            report.add(call, Came::Answered(shadow.answer.clone(), differences));
        }
    }
    report
}
