//! Spans of hooks and processes: around what the scheduler calls but does not implement.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use sandclock_core::backend::DoneRecord;
use sandclock_core::ports::{
    AlertDraft, Channel, Executor, History, Hooks, ProcessEnd, Redactor, RunPolicy, Running,
    StartError,
};
use sandclock_core::run::RunContext;

use super::{Begun, RunTrace, Telemetry, of_run};

/// Hooks whose calls are told.
#[derive(Debug)]
pub(super) struct TracedHooks {
    pub(super) inner: Arc<dyn Hooks>,
    pub(super) telemetry: Telemetry,
}

#[async_trait]
impl Hooks for TracedHooks {
    async fn before_run(
        &self,
        run: &RunContext,
        history: &History,
        default_limit: Option<Duration>,
    ) -> RunPolicy {
        let whole = RunTrace::of(&run.id, &run.key).whole;
        let begun = self
            .telemetry
            .begin("hooks before run", SpanKind::Internal, whole);
        let policy = self.inner.before_run(run, history, default_limit).await;
        let refused = policy.refuse.is_some().then_some("a hook refused the run");
        let attributes = of_run(&run.id, run.job.name.as_str());
        self.telemetry.end(begun, attributes, refused);
        policy
    }

    async fn redactor(&self, run: &RunContext, channel: Channel) -> Box<dyn Redactor> {
        self.inner.redactor(run, channel).await
    }

    async fn after_run(&self, done: &DoneRecord, tail: &Bytes) -> Vec<AlertDraft> {
        let run = done.run();
        let whole = RunTrace::of(&run, &done.key).whole;
        let begun = self
            .telemetry
            .begin("hooks after run", SpanKind::Internal, whole);
        let drafts = self.inner.after_run(done, tail).await;
        let mut attributes = of_run(&run, done.job.as_str());
        let alerts = i64::try_from(drafts.len()).unwrap_or(i64::MAX);
        attributes.push(KeyValue::new("sandclock.alerts", alerts));
        self.telemetry.end(begun, attributes, None);
        drafts
    }
}

/// An executor whose starts and runs are told.
#[derive(Debug)]
pub(super) struct TracedExecutor {
    pub(super) inner: Arc<dyn Executor>,
    pub(super) telemetry: Telemetry,
}

#[async_trait]
impl Executor for TracedExecutor {
    async fn start(
        &self,
        run: &RunContext,
        alive_for: Duration,
    ) -> Result<Box<dyn Running>, StartError> {
        let trace = RunTrace::of(&run.id, &run.key);
        let (place, below) = (trace.attempt(&run.id, run.attempt), trace.whole);
        let mut attributes = of_run(&run.id, run.job.name.as_str());
        let attempt = i64::from(run.attempt);
        attributes.push(KeyValue::new("sandclock.attempt", attempt));
        let running = Telemetry::begin_as("run", SpanKind::Internal, place, Some(below.span));
        let begun = self.telemetry.begin("start", SpanKind::Internal, place);
        let started = self.inner.start(run, alive_for).await;
        let wrong = started.is_err().then_some("the command did not start");
        self.telemetry.end(begun, attributes.clone(), wrong);
        match started {
            Ok(inner) => Ok(Box::new(TracedRun {
                inner,
                told: Some((running, attributes)),
                telemetry: self.telemetry.clone(),
            })),
            Err(error) => {
                self.telemetry.end(running, attributes, wrong);
                Err(error)
            }
        }
    }
}

/// A run's processes, whose end is told once.
#[derive(Debug)]
struct TracedRun {
    inner: Box<dyn Running>,
    told: Option<(Begun, Vec<KeyValue>)>,
    telemetry: Telemetry,
}

#[async_trait]
impl Running for TracedRun {
    async fn wait(&mut self) -> ProcessEnd {
        let end = self.inner.wait().await;
        if let Some((begun, mut attributes)) = self.told.take() {
            let code = end.exit_code.map(i64::from);
            attributes.extend(code.map(|code| KeyValue::new("process.exit.code", code)));
            let signal = end.signal.map(i64::from);
            attributes.extend(signal.map(|signal| KeyValue::new("sandclock.signal", signal)));
            let wrong = match (&end.fault, end.exit_code) {
                (Some(_), _) => Some("the worker had to end it, or lost it"),
                (None, Some(0)) => None,
                (None, _) => Some("the command failed"),
            };
            self.telemetry.end(begun, attributes, wrong);
        }
        end
    }

    fn terminate(&mut self, grace: Duration) {
        self.inner.terminate(grace);
    }

    fn extend(&mut self, alive_for: Duration) {
        self.inner.extend(alive_for);
    }
}
