//! What a plugin decided about a run, as a document.

use sandclock_core::backend::Alert;
use sandclock_core::run::HookNote;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a hook decided.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Decision)]
#[expect(missing_docs, reason = "the members are those of the note")]
pub struct DecisionDto {
    pub plugin: String,
    pub version: Option<String>,
    pub hook: String,
    pub decision: String,
    pub failed: bool,
    /// The plugin is only monitored: nothing followed from this.
    pub monitored: bool,
    /// Of a run's end it is not known.
    pub took_ms: Option<f64>,
    /// What came of it, of a run's end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<RaisedDto>,
}

/// An alert that came of a run's end.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RaisedAlert)]
#[expect(missing_docs, reason = "the members are those of the alert")]
pub struct RaisedDto {
    /// None if it is in the alert that `part_of` names and never was one of its own.
    pub id: Option<String>,
    pub target: String,
    /// As that of an alert, or `folded`.
    pub state: String,
    /// `raised`, `escalation`, `diversion` or `recovery`.
    pub kind: String,
    /// Why it waits, or was moved.
    pub waits: Option<String>,
    pub last_error: Option<String>,
    /// The alert whose message it is in, or that goes in its place.
    pub part_of: Option<String>,
}

impl DecisionDto {
    /// From a run's record.
    pub fn of_note(note: HookNote) -> Self {
        Self {
            plugin: note.plugin,
            version: note.version,
            hook: note.hook,
            decision: note.decision,
            failed: note.failed,
            monitored: note.monitored,
            took_ms: Some(note.took.as_secs_f64() * 1000.0),
            alerts: Vec::new(),
        }
    }

    /// About the end of a run.
    pub fn of_end(plugin: String, version: Option<String>, decision: String) -> Self {
        Self {
            plugin,
            version,
            hook: "run-end".to_owned(),
            decision,
            failed: false,
            monitored: false,
            took_ms: None,
            alerts: Vec::new(),
        }
    }

    /// With what came of it.
    #[must_use]
    pub fn with(self, alerts: Vec<RaisedDto>) -> Self {
        Self { alerts, ..self }
    }
}

impl RaisedDto {
    /// An alert of the outbox.
    pub fn of(alert: Alert) -> Self {
        Self {
            id: Some(alert.id.to_string()),
            target: alert.draft.target,
            state: alert.state.as_str().to_owned(),
            kind: alert.kind.as_str().to_owned(),
            waits: alert.waits,
            last_error: alert.last_error,
            part_of: alert.part_of.map(|id| id.to_string()),
        }
    }

    /// A message to this target that is another alert's repeat.
    pub fn folded_into(twin: &Alert, target: &str) -> Self {
        Self {
            id: None,
            target: target.to_owned(),
            state: "folded".to_owned(),
            kind: twin.kind.as_str().to_owned(),
            waits: None,
            last_error: None,
            part_of: Some(twin.id.to_string()),
        }
    }
}
