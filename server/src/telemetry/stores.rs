//! Spans of what becomes of a run in the stores: decided, ended, copied; and of the run as a whole.

use std::sync::Arc;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use sandclock_core::Timestamp;
use sandclock_core::backend::runs::{OutputChunk, RunHeader, RunSink};
use sandclock_core::backend::{
    Adopt, Adopted, Decide, Decided, DoneRecord, End, Ended, Fence, Fires, Request, Result,
    SessionId, Settle, Settled, Take, Taken, Triggered,
};
use sandclock_core::job::JobName;
use sandclock_core::run::{RunId, RunKey, RunState};

use super::{RunTrace, Telemetry, of_run, system};

/// A store whose decisions and ends are told.
#[derive(Debug)]
pub(super) struct TracedFires {
    pub(super) inner: Arc<dyn Fires>,
    pub(super) telemetry: Telemetry,
}

#[async_trait]
impl Fires for TracedFires {
    async fn decide(&self, session: &SessionId, due: &[Decide]) -> Result<Vec<Decided>> {
        let begun: Vec<_> = due
            .iter()
            .map(|tick| {
                let key = RunKey::Tick(tick.fire);
                let run = RunId::of(tick.job(), &key);
                let whole = RunTrace::of(&run, &key).whole;
                let begun = self.telemetry.begin("decide", SpanKind::Client, whole);
                (begun, run, tick.job())
            })
            .collect();
        let decided = self.inner.decide(session, due).await;
        if let Ok(decided) = &decided {
            for ((begun, run, job), how) in begun.into_iter().zip(decided) {
                let how = match how {
                    Decided::Held { .. } => "claimed",
                    Decided::Recorded(state) => state.as_str(),
                    Decided::Waits => "waits",
                    // Another worker was first: its span tells what became of the tick.
                    Decided::Stale => continue,
                };
                let mut attributes = of_run(&run, job.as_str());
                attributes.push(KeyValue::new("sandclock.decided", how));
                self.telemetry.end(begun, attributes, None);
            }
        }
        decided
    }

    async fn adopt(&self, adopt: &Adopt) -> Result<Adopted> {
        self.inner.adopt(adopt).await
    }

    async fn take(&self, session: &SessionId, take: &Take) -> Result<Taken> {
        let (job, key) = (&take.record.job, &take.record.key);
        let run = RunId::of(job, key);
        let whole = RunTrace::of(&run, key).whole;
        let begun = self.telemetry.begin("claim", SpanKind::Client, whole);
        let taken = self.inner.take(session, take).await;
        if let Ok(Taken::Held { .. }) = &taken {
            self.telemetry.end(begun, of_run(&run, job.as_str()), None);
        }
        taken
    }

    async fn end(&self, end: &End) -> Result<Ended> {
        let run = RunId::of(&end.job, &end.key);
        let whole = RunTrace::of(&run, &end.key).whole;
        let begun = self.telemetry.begin("end", SpanKind::Client, whole);
        let ended = self.inner.end(end).await;
        let wrong = match &ended {
            Ok(Ended::Done(_) | Ended::Waiting) => None,
            Ok(Ended::Fenced) => Some("the end had been settled"),
            Err(_) => Some("the store did not take it"),
        };
        self.telemetry
            .end(begun, of_run(&run, end.job.as_str()), wrong);
        ended
    }

    async fn rebind(
        &self,
        session: &SessionId,
        job: &JobName,
        key: &RunKey,
        fence: Fence,
    ) -> Result<Option<Fence>> {
        self.inner.rebind(session, job, key, fence).await
    }

    async fn settle(&self, settle: &Settle) -> Result<Settled> {
        self.inner.settle(settle).await
    }

    async fn trigger(&self, job: &JobName, request: &Request) -> Result<Triggered> {
        self.inner.trigger(job, request).await
    }
}

/// A run log whose copies of ended runs are told, and with them the runs.
#[derive(Debug)]
pub(super) struct TracedSink {
    pub(super) inner: Arc<dyn RunSink>,
    pub(super) telemetry: Telemetry,
}

#[async_trait]
impl RunSink for TracedSink {
    async fn begin(&self, header: &RunHeader, fence: Fence) -> Result<()> {
        self.inner.begin(header, fence).await
    }

    async fn append(
        &self,
        run: &RunId,
        attempt: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) -> Result<()> {
        self.inner.append(run, attempt, chunks, cut).await
    }

    async fn finish(&self, done: &DoneRecord) -> Result<()> {
        let run = done.run();
        let whole = RunTrace::of(&run, &done.key).whole;
        let begun = self.telemetry.begin("copy", SpanKind::Client, whole);
        let copied = self.inner.finish(done).await;
        let wrong = copied.is_err().then_some("the run log did not take it");
        self.telemetry
            .end(begun, of_run(&run, done.job.as_str()), wrong);
        if copied.is_ok() {
            self.whole(&run, done);
        }
        copied
    }
}

impl TracedSink {
    /// Tells of the run itself, which nobody has seen as a whole: the record has its times. A range of ticks is told as
    /// its last one.
    fn whole(&self, run: &RunId, done: &DoneRecord) {
        let trace = RunTrace::of(run, &done.key);
        let name = match done.key {
            RunKey::Tick(_) => "tick",
            RunKey::Request(_) => "request for a run",
        };
        let below = trace.asked.map(|asked| asked.span);
        let begun = Telemetry::begin_as(name, SpanKind::Internal, trace.whole, below);
        let outcome = &done.outcome;
        let start = done.key.fire_time().or(outcome.started_at);
        let start: Timestamp = start.unwrap_or(outcome.ended_at).min(outcome.ended_at);
        let mut attributes = of_run(run, done.job.as_str());
        attributes.extend([
            KeyValue::new("sandclock.state", outcome.state.as_str()),
            KeyValue::new("sandclock.attempts", i64::from(done.attempts)),
            KeyValue::new("sandclock.worker", done.worker.clone()),
        ]);
        let fine = matches!(outcome.state, RunState::Succeeded | RunState::Skipped);
        let wrong = (!fine).then_some("it did not succeed");
        let times = (system(start), system(outcome.ended_at));
        self.telemetry.tell(begun, times, attributes, wrong);
    }
}
