//! How a case becomes calls: by the code that a worker makes them with, and what comes of them in the form of an expectation.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sandclock_core::ports::Redactor as _;
use sandclock_core::run::HookNote;
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::chunkings::{Chunking, How};
use super::{Apart, Chunkings, RedactionCase, RunEndCase, RunSpec, TimeoutCase, Workbench};
use crate::KnownSecrets;
use crate::failure::{Failure, FailureCode};
use crate::instance::Scope;
use crate::mutants::Mutation;
use crate::plugin::Hook;
use crate::recording::{Journal, Question, failed};
use crate::redaction::{PluginStage, Staged, Stream, StreamRedactor};

impl Workbench {
    pub(super) async fn decide(&self, case: &TimeoutCase) -> Value {
        let question = Question::TimeoutPolicy {
            declared_ms: case.declared_ms,
            history: case.history,
        };
        let scope = scope(&case.config, &case.run);
        self.ask(&question, &case.run, scope).await
    }

    /// With what the plugin has kept by then.
    pub(super) async fn tell(&self, case: &RunEndCase) -> Value {
        let question = Question::RunEnd {
            end: case.end.clone(),
        };
        let scope = scope(&case.config, &case.run);
        let mut found = self.ask(&question, &case.run, scope).await;
        let members = found.as_object_mut();
        if let Some(members) = members.filter(|members| !members.contains_key("error")) {
            members.insert("kv".to_owned(), json!(self.effects.kept()));
        }
        found
    }

    /// What the plugin says, by the code that a worker asks with.
    pub(super) async fn ask(&self, question: &Question, run: &RunSpec, scope: Scope) -> Value {
        let asked = async { Ok(question.ask(&self.plugin, run, scope).await) };
        let answer = self.has(question.hook(), asked).await;
        answer.unwrap_or_else(|failure| failed(&failure))
    }

    pub(super) async fn redact(&self, case: &RedactionCase) -> Value {
        let whole = async {
            Ok(self
                .stream(case, std::iter::once(0..case.input.len()), true)
                .await)
        };
        self.has(Hook::OutputRedaction, whole)
            .await
            .unwrap_or_else(|failure| failed(&failure))
    }

    /// Cuts the input in every other way.
    pub(super) async fn cut(&self, case: &RedactionCase, whole: &Value) -> Chunkings {
        let mut tried = Chunkings::default();
        if case.input.is_empty() {
            return tried;
        }
        for chunking in Chunking::all(case.input.len()) {
            match chunking.how {
                How::SplitAt(_) => tried.splits += 1,
                How::SingleBytes => tried.single_bytes += 1,
                How::Seed(_) => tried.random += 1,
            }
            tried.on_fresh_instances += usize::from(!chunking.keeps_instance);
            let found = self
                .stream(case, chunking.pieces(), chunking.keeps_instance)
                .await;
            if found != *whole {
                let how = chunking.told();
                tried.apart = Some(Apart { how, found });
                break;
            }
        }
        tried
    }

    /// What comes out of the host's redaction for an input that comes in these pieces.
    pub(super) async fn stream(
        &self,
        case: &RedactionCase,
        pieces: impl IntoIterator<Item = Range<usize>>,
        keeps_instance: bool,
    ) -> Value {
        let input = Bytes::copy_from_slice(case.input.as_bytes());
        let stream = Stream {
            run: case.run.clone(),
            fence: 0,
            channel: case.channel.into(),
            scope: scope(&case.config, &case.run),
            mutation: Mutation::default(),
            monitored: false,
        };
        let mut redactor = self.redactor(stream, self.keep(keeps_instance));
        let mut out = BytesMut::new();
        for piece in pieces {
            out.extend_from_slice(redactor.push(input.slice(piece)).await.bytes());
        }
        out.extend_from_slice(redactor.finish().await.bytes());
        match redactor.notes().into_iter().find(|note| note.failed) {
            Some(HookNote { decision, .. }) => json!({ "error": decision }),
            None => json!({ "output": String::from_utf8_lossy(&out) }),
        }
    }

    pub(super) fn keep(&self, keeps_instance: bool) -> Option<OwnedSemaphorePermit> {
        let keep = Arc::clone(&self.keep);
        keeps_instance
            .then(|| keep.try_acquire_owned().ok())
            .flatten()
    }

    /// The host's redaction with this plugin alone.
    pub(super) fn redactor(
        &self,
        stream: Stream,
        keep: Option<OwnedSemaphorePermit>,
    ) -> StreamRedactor {
        let plugin = Arc::clone(&self.plugin);
        let stage = PluginStage::new(&self.info.name, Some(plugin), Arc::new(stream), keep);
        let secrets = KnownSecrets::new();
        let journal = Journal::new(None, secrets.clone());
        let stages = vec![Staged::alone(stage)];
        StreamRedactor::new(&secrets, stages, journal, Mutation::default())
    }

    /// The answer, if the plugin can be asked.
    pub(super) async fn has<T>(
        &self,
        hook: Hook,
        asked: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if self.plugin.hooks.has(hook) {
            return asked.await;
        }
        let text = format!("the plugin does not have the hook {}", hook.as_str());
        Err(Failure::new(FailureCode::Missing, text))
    }
}

pub(super) fn scope(config: &Map<String, Value>, run: &RunSpec) -> Scope {
    Scope::of(Arc::new(Value::Object(config.clone())), run)
}
