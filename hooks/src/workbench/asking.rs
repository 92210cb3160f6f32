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
use crate::failure::{Failure, FailureCode};
use crate::host::timeout_policy::Decision;
use crate::instance::Scope;
use crate::mutants::Mutation;
use crate::plugin::Hook;
use crate::redaction::{PluginStage, Stream, StreamRedactor};
use crate::{KnownSecrets, alerts, timeout};

impl Workbench {
    pub(super) async fn decide(&self, case: &TimeoutCase) -> Value {
        let scope = scope(&case.config, &case.run);
        let (run, past) = (case.run.info(), case.history.into());
        let asked = timeout::decision(&self.plugin, scope, run, case.declared_ms, past);
        match self.has(Hook::TimeoutPolicy, asked).await {
            Err(failure) => error(&failure),
            Ok(None) => json!({ "keeps": true }),
            Ok(Some(decision)) => decided(&decision),
        }
    }

    pub(super) async fn tell(&self, case: &RunEndCase) -> Value {
        let scope = scope(&case.config, &case.run);
        let (run, end) = (case.run.info(), case.end.end());
        let asked = alerts::drafts(&self.plugin, &scope, &run, &end);
        let drafts = match self.has(Hook::RunEnd, asked).await {
            Err(failure) => return error(&failure),
            Ok(drafts) => drafts.into_iter(),
        };
        let deliveries = drafts.map(|draft| {
            let headers: Map<_, _> = draft
                .headers
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect();
            json!({
                "target": draft.target,
                "dedupe_key": draft.dedupe_key,
                "content_type": draft.content_type,
                "headers": headers,
                "body": String::from_utf8_lossy(&draft.body),
            })
        });
        json!({ "deliveries": deliveries.collect::<Vec<_>>() })
    }

    pub(super) async fn redact(&self, case: &RedactionCase) -> Value {
        let whole = async {
            Ok(self
                .stream(case, std::iter::once(0..case.input.len()), true)
                .await)
        };
        self.has(Hook::OutputRedaction, whole)
            .await
            .unwrap_or_else(|failure| error(&failure))
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
            run: case.run.info(),
            channel: case.channel.into(),
            scope: scope(&case.config, &case.run),
            mutation: Mutation::default(),
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
        StreamRedactor::new(&KnownSecrets::new(), vec![stage], Mutation::default())
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
    Scope {
        config: Arc::new(Value::Object(config.clone())),
        worker: Arc::from(run.worker.as_str()),
        run: Arc::from(run.id.as_str()),
    }
}

fn error(failure: &Failure) -> Value {
    json!({ "error": failure.to_string() })
}

fn decided(decision: &Decision) -> Value {
    json!({
        "keeps": false,
        "limit_ms": decision.limit_ms,
        "warn_ms": decision.warn_ms,
        "grace_ms": decision.grace_ms,
        "reason": decision.reason,
    })
}
