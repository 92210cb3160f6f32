//! What plugins were asked and what they said, kept so that it can be asked again, of this version or of another.
//!
//! A call is a function of its question, so a recording holds the question and the answer and nothing else. Of output that
//! passed a redactor it holds no byte: only where something was hidden, and by which rule. What holds a known secret is
//! not recorded at all, since what stands in its place would lead to another answer.
//!
//! A shadow is a version that is asked beside the one that serves. Its answer goes into the recording and nowhere else.

mod answer;
mod question;

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use sandclock_core::backend::Recording;
use sandclock_core::backend::recordings::MAX_RECORDING_BYTES;
use sandclock_core::run::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, mpsc};

pub(crate) use self::answer::{Hidden, NAMED_EDITS, failed, hidden, messages, of_decision};
pub use self::question::Question;
use crate::instance::Scope;
use crate::plugin::Plugin;
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
    /// What it said, in the form in which cases expect it.
    pub answer: Value,
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
    pub(crate) run: RunSpec,
    pub(crate) config: Arc<Value>,
    pub(crate) question: Question,
    pub(crate) answer: Value,
}

/// Calls that may wait for a shadow's answer. Beyond them calls are kept without one.
const WAITING_FOR_SHADOWS: usize = 256;

/// A call, and who is asked the same.
type Shadowed = (Call, Arc<Plugin>);

/// Who a host's calls are told to.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    recorder: Option<Arc<dyn Recorder>>,
    secrets: KnownSecrets,
    shadowed: mpsc::Sender<Shadowed>,
    waiting: Arc<Mutex<mpsc::Receiver<Shadowed>>>,
}

impl Journal {
    pub(crate) fn new(recorder: Option<Arc<dyn Recorder>>, secrets: KnownSecrets) -> Self {
        let (shadowed, waiting) = mpsc::channel(WAITING_FOR_SHADOWS);
        Self {
            recorder,
            secrets,
            shadowed,
            waiting: Arc::new(Mutex::new(waiting)),
        }
    }

    /// Keeps a call, with what a shadow says to the same question. Nobody waits for that.
    pub(crate) fn keep(&self, call: Call, shadow: Option<Arc<Plugin>>) {
        let Some(shadow) = shadow else {
            self.write(&call, None);
            return;
        };
        if let Err(TrySendError::Full((call, _)) | TrySendError::Closed((call, _))) =
            self.shadowed.try_send((call, shadow))
        {
            self.write(&call, None);
        }
    }

    /// Asks shadows for ever.
    pub(crate) async fn ask_shadows(&self) {
        let mut waiting = self.waiting.lock().await;
        while let Some((call, shadow)) = waiting.recv().await {
            let scope = Scope::of(Arc::clone(&call.config), &call.run).without_effects();
            let answer = call.question.ask(&shadow, &call.run, scope).await;
            self.write(&call, Some((&shadow, answer)));
        }
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
            answer: call.answer.clone(),
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
        let (attempt, what, place) = (call.run.attempt, call.question.told(), call.place);
        recorder.record(Recording {
            id: format!("{run}-{attempt}-{what}-{place}"),
            plugin: document.plugin,
            run,
            body: Bytes::from(text),
        });
    }
}
