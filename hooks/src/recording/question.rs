//! What a plugin was asked, and asking it again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer;
use crate::instance::Scope;
use crate::plugin::{Hook, Plugin};
use crate::subject::{EndSpec, Past, Pipe, RunSpec};
use crate::{alerts, timeout};

/// What a plugin was asked, by its hook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "hook", rename_all = "kebab-case")]
pub enum Question {
    /// How long a run may take.
    TimeoutPolicy {
        /// What held by then, in milliseconds; none if nothing did.
        declared_ms: Option<u32>,
        /// How earlier runs went.
        history: Past,
    },
    /// What of a stream must not be seen. What the stream was is not recorded.
    OutputRedaction {
        /// Where it came from.
        channel: Pipe,
        /// How long it was.
        bytes: u64,
    },
    /// Whom to tell.
    RunEnd {
        /// How the run ended.
        end: EndSpec,
    },
}

impl Question {
    /// Its hook.
    pub fn hook(&self) -> Hook {
        match self {
            Self::TimeoutPolicy { .. } => Hook::TimeoutPolicy,
            Self::OutputRedaction { .. } => Hook::OutputRedaction,
            Self::RunEnd { .. } => Hook::RunEnd,
        }
    }

    /// A name among the questions of an attempt.
    pub(super) fn told(&self) -> String {
        let hook = self.hook().as_str();
        match self {
            Self::OutputRedaction { channel, .. } => format!("{hook}-{}", channel.as_str()),
            Self::TimeoutPolicy { .. } | Self::RunEnd { .. } => hook.to_owned(),
        }
    }

    /// Asks a plugin, by the code that a worker asks with.
    pub(crate) async fn ask(&self, plugin: &Arc<Plugin>, run: &RunSpec, scope: Scope) -> Value {
        match self {
            Self::TimeoutPolicy {
                declared_ms,
                history,
            } => {
                let past = (*history).into();
                let asked = timeout::decision(plugin, scope, run.info(), *declared_ms, past);
                answer::of_decision(&asked.await)
            }
            Self::RunEnd { end } => {
                answer::messages(&alerts::drafts(plugin, &scope, run, end).await)
            }
            Self::OutputRedaction { .. } => {
                json!({ "error": "the output that it was asked about is not recorded" })
            }
        }
    }
}
