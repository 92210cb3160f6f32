//! Asking recorded questions again: of the version that answered, of another one, and what a shadow answered.
//!
//! A question is asked on the engine that counts fuel and not time, at the instant of the recording, by the code that a
//! worker asks with. So an answer is the same on every machine, or the plugin is another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use async_trait::async_trait;
use sandclock_hooks::workbench::{Difference, Workbench, cannot_ask};
use sandclock_hooks::{Artifact, RecordedCall};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

/// What came of one recorded call.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
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
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
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
    /// So many more could not even be read.
    pub(crate) fn add_unreadable(&mut self, count: usize) {
        self.skipped += count;
    }

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

/// Where the plugins are that answered then.
#[async_trait]
pub(crate) trait Artifacts: Send + Sync {
    /// The artifact that answered this call; `None` if it is gone.
    ///
    /// # Errors
    /// Why it cannot be had now, for people.
    async fn artifact(&self, call: &RecordedCall) -> Result<Option<Artifact>, String>;
}

/// What recorded questions are asked of.
pub(crate) enum Asked<'a> {
    /// Of what answered them then.
    Again(&'a dyn Artifacts),
    /// Of this one, if they were asked of the plugin of its name.
    Candidate(Artifact),
}

impl Asked<'_> {
    /// What tells the one apart that is asked, among all: the candidate, or by plugin and digest what answered then.
    fn key<'a>(&self, call: &'a RecordedCall) -> Option<(&'a str, &'a str)> {
        match self {
            Self::Again(_) => Some((&call.plugin, &call.sha256)),
            Self::Candidate(_) => None,
        }
    }

    async fn open(&self, call: &RecordedCall) -> Result<Workbench, String> {
        let artifact = match self {
            Self::Candidate(artifact) => artifact.clone(),
            Self::Again(artifacts) => {
                let gone = || format!("the version with digest {} is gone", call.sha256);
                artifacts.artifact(call).await?.ok_or_else(gone)?
            }
        };
        let opened = Workbench::for_replay(artifact).await;
        opened.map_err(|error| error.to_string())
    }

    /// Why nobody can be asked about this call.
    fn cannot(&self, call: &RecordedCall) -> Option<String> {
        match self {
            Self::Candidate(artifact) if artifact.name != call.plugin => Some(format!(
                "it was asked of {}, which this is not",
                call.plugin
            )),
            Self::Candidate(_) | Self::Again(_) => cannot_ask(call).map(str::to_owned),
        }
    }
}

/// Asks the questions, one after the other, as far as there is time.
pub(crate) async fn replay(
    calls: &[RecordedCall],
    asked: &Asked<'_>,
    until: Option<Instant>,
) -> ReplayReport {
    let mut report = ReplayReport::default();
    // Each is installed once.
    let mut benches = BTreeMap::new();
    for call in calls {
        let late = until.is_some_and(|until| Instant::now() >= until);
        let late = late.then(|| "there was no time left for it".to_owned());
        if let Some(why) = late.or_else(|| asked.cannot(call)) {
            report.add(call, Came::Skipped(why));
            continue;
        }
        let bench = match benches.entry(asked.key(call)) {
            Entry::Occupied(bench) => bench.into_mut(),
            Entry::Vacant(place) => place.insert(asked.open(call).await),
        };
        let came = match bench {
            Err(why) => Came::Skipped(why.clone()),
            Ok(bench) => {
                let (answer, differences) = bench.replay(call).await;
                Came::Answered(answer, differences)
            }
        };
        report.add(call, came);
    }
    report
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
