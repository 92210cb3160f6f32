//! What plugins were asked and what they said, kept so that it can be asked again, of this version or of another.
//!
//! A call is a function of its question, so a recording holds the question and the answer and nothing else. Of output that
//! passed a redactor it holds no byte: only where something was hidden, and by which rule. What holds a known secret is
//! not recorded at all, since what stands in its place would lead to another answer.
//!
//! A shadow is a version that is asked beside the one that serves. Its answer goes into the recording and nowhere else, and
//! what it asks for beside answering is told as the other was told.

mod answer;
pub(crate) mod effect;
mod question;
mod shadow;

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use sandclock_core::backend::Recording;
use sandclock_core::backend::recordings::MAX_RECORDING_BYTES;
use sandclock_core::run::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::answer::{Hidden, NAMED_EDITS, failed, hidden, messages, of_decision};
pub use self::effect::RecordedEffect;
pub use self::question::Question;
use self::shadow::Shadows;
pub(crate) use self::shadow::Shown;
use crate::calls::EndOf;
use crate::plugin::Plugin;
use crate::redaction::PluginStage;
use crate::secrets::KnownSecrets;
use crate::subject::RunSpec;
use crate::workbench::{Difference, compare};

/// The form of recordings that this program writes, and the newest one that it reads.
const FORM: u32 = 1;

/// Takes recordings from calls, which do not wait for it.
pub trait Recorder: Debug + Send + Sync + 'static {
    /// Takes one. What cannot be kept is dropped.
    fn record(&self, recording: Recording);
}

/// A call as it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// The form of this document.
    pub v: u32,
    /// The plugin.
    pub plugin: String,
    /// Which version of it decided, if it has one.
    pub version: Option<String>,
    /// The SHA-256 of its artifact.
    pub sha256: String,
    /// The run that it was asked about, and the time that it saw.
    pub run: RunSpec,
    /// Its configuration for the job.
    pub config: Value,
    /// What it was asked.
    #[serde(flatten)]
    pub question: Question,
    /// What it did beside answering, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<RecordedEffect>,
    /// What it said, in the form in which cases expect it.
    pub answer: Value,
    /// Whether the plugin was only monitored, so that nothing followed from its answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub monitored: bool,
    /// What the version said that was only asked, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowAnswer>,
}

/// The answer of a version that decided nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShadowAnswer {
    /// Which version it was, if it has one.
    pub version: Option<String>,
    /// The SHA-256 of its artifact.
    pub sha256: String,
    /// What it said.
    pub answer: Value,
}

impl RecordedCall {
    /// Reads the document of a recording.
    ///
    /// # Errors
    /// If it cannot be understood, or if it is of a newer form.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let call: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if call.v > FORM {
            return Err(format!(
                "it has form {}, and this program reads up to {FORM}",
                call.v
            ));
        }
        Ok(call)
    }

    /// Where the version that was only asked said something else; nothing if there was none.
    pub fn apart_from_shadow(&self) -> Vec<Difference> {
        let shadow = self.shadow.as_ref();
        shadow.map_or_else(Vec::new, |shadow| {
            compare::exactly(&self.answer, &shadow.answer)
        })
    }
}

/// A call that is over.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) plugin: Arc<Plugin>,
    /// Which of the job's plugins it is, from 0.
    pub(crate) place: usize,
    /// Of whoever held the run: a later holder asks anew, and its answer is the one that counts.
    pub(crate) fence: u64,
    pub(crate) run: RunSpec,
    pub(crate) config: Arc<Value>,
    pub(crate) question: Question,
    pub(crate) effects: Vec<RecordedEffect>,
    pub(crate) answer: Value,
    pub(crate) monitored: bool,
}

/// Who a host's calls are told to.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    recorder: Option<Arc<dyn Recorder>>,
    secrets: KnownSecrets,
    shadows: Shadows,
}

impl Journal {
    pub(crate) fn new(recorder: Option<Arc<dyn Recorder>>, secrets: KnownSecrets) -> Self {
        Self {
            recorder,
            secrets,
            shadows: Shadows::default(),
        }
    }

    /// Keeps a call, with what a shadow says to the same question. Nobody waits for that.
    pub(crate) fn keep(&self, call: Call, shadow: Option<Arc<Plugin>>) {
        let unasked = match shadow {
            None => Some(call),
            Some(shadow) => self.shadows.ask(call, shadow),
        };
        if let Some(call) = unasked {
            self.write(&call, None);
        }
    }

    /// Asks a plugin that is only monitored about a run's end, and keeps the call, with what a shadow says to the same
    /// question. Nobody waits for it. If too much waits already it is not asked, and the call says so.
    pub(crate) fn ask_aside(&self, about: EndOf, shadow: Option<Arc<Plugin>>) {
        if let Some(unasked) = self.shadows.ask_aside(about, shadow) {
            self.write(&unasked, None);
        }
    }

    /// Shows a stream to a shadow, which nobody waits for either.
    pub(crate) fn show(&self, shadow: Arc<Plugin>, stage: PluginStage) -> Shown {
        self.shadows.show(shadow, stage)
    }

    /// Asks shadows for ever.
    pub(crate) async fn ask_shadows(&self) {
        self.shadows.run(self).await;
    }

    /// Comes back when no shadow has a question left.
    pub(crate) async fn settled(&self) {
        self.shadows.settled().await;
    }

    /// Keeps a call, and what a shadow has said.
    pub(crate) fn write(&self, call: &Call, shadow: Option<(&Plugin, Value)>) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let Some(run) = RunId::parse(&call.run.id) else {
            return;
        };
        let plugin = &call.plugin;
        let document = RecordedCall {
            v: FORM,
            plugin: plugin.name.to_string(),
            version: plugin.version.clone(),
            sha256: plugin.sha256.clone(),
            run: call.run.clone(),
            config: Value::clone(&call.config),
            question: call.question.clone(),
            effects: call.effects.clone(),
            answer: call.answer.clone(),
            monitored: call.monitored,
            shadow: shadow.map(|(shadow, answer)| ShadowAnswer {
                version: shadow.version.clone(),
                sha256: shadow.sha256.clone(),
                answer,
            }),
        };
        let Ok(text) = serde_json::to_string(&document) else {
            return;
        };
        if text.len() > MAX_RECORDING_BYTES || *self.secrets.mask_text(&text) != *text {
            plugin.counters.count_unrecorded();
            return;
        }
        let (fence, what, place) = (call.fence, call.question.told(), call.place);
        recorder.record(Recording {
            id: format!("{run}-{fence}-{what}-{place}"),
            plugin: document.plugin,
            run,
            body: Bytes::from(text),
        });
    }
}
