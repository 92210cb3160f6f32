//! Hooks without plugins: the declared limits, and an alert for every bad end.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sandclock_core::backend::DoneRecord;
use sandclock_core::ports::{AlertDraft, Channel, History, Hooks, Redacted, Redactor, RunPolicy};
use sandclock_core::run::{HookNote, RunContext, RunState};

#[derive(Debug)]
pub(crate) struct PlainHooks;

#[async_trait]
impl Hooks for PlainHooks {
    async fn before_run(
        &self,
        run: &RunContext,
        _history: &History,
        default_limit: Option<Duration>,
    ) -> RunPolicy {
        RunPolicy {
            limit: run.job.timeout.or(default_limit),
            warn: None,
            grace: run.job.grace,
            reason: "declared".to_owned(),
            refuse: None,
            notes: Vec::new(),
        }
    }

    async fn redactor(&self, _run: &RunContext, _channel: Channel) -> Box<dyn Redactor> {
        Box::new(NoRedaction)
    }

    async fn after_run(&self, done: &DoneRecord, _tail: &Bytes) -> Vec<AlertDraft> {
        let bad = [RunState::Failed, RunState::Lost, RunState::TimedOut];
        let draft = AlertDraft {
            plugin: "alert".to_owned(),
            index: 0,
            target: "log".to_owned(),
            dedupe_key: None,
            content_type: "text/plain".to_owned(),
            headers: Vec::new(),
            body: Bytes::from(done.outcome.cause.clone()),
        };
        bad.contains(&done.outcome.state)
            .then_some(draft)
            .into_iter()
            .collect()
    }
}

#[derive(Debug)]
struct NoRedaction;

#[async_trait]
impl Redactor for NoRedaction {
    async fn push(&mut self, raw: Bytes) -> Redacted {
        Redacted::vouch(raw)
    }

    async fn finish(&mut self) -> Redacted {
        Redacted::default()
    }

    fn notes(&self) -> Vec<HookNote> {
        Vec::new()
    }
}
