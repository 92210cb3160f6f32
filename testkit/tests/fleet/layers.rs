//! What the simulation puts around the contracts to see what goes through them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sandclock_core::backend::{
    Adopt, Adopted, Decide, DecideFate, Decided, DoneRecord, End, Ended, Events, Fence, Fires,
    OutputChunk, Request, Result, RunHeader, RunSink, Session, SessionEvent, SessionId, Sessions,
    Settle, Settled, Take, Taken, Triggered, WorkerInfo,
};
use sandclock_core::job::JobName;
use sandclock_core::run::{RunId, RunKey};
use tokio::time::Instant;

use super::process::Processes;
use super::witness::{Fact, Witness};

/// Claims, right at the store: the witness hears each answer.
#[derive(Debug)]
pub(crate) struct WitnessedFires {
    pub(crate) inner: Arc<dyn Fires>,
    pub(crate) witness: Arc<Witness>,
}

#[async_trait]
impl Fires for WitnessedFires {
    async fn decide(&self, session: &SessionId, due: &[Decide]) -> Result<Vec<Decided>> {
        let answers = self.inner.decide(session, due).await?;
        for (due, answer) in due.iter().zip(&answers) {
            if matches!(due.fate, DecideFate::Run { .. }) {
                let held = matches!(answer, Decided::Held { .. });
                let key = RunKey::Tick(due.fire);
                let fact = Fact::Answered(due.job().clone(), key, due.nonce, held);
                self.witness.note(fact);
            }
        }
        Ok(answers)
    }

    async fn adopt(&self, adopt: &Adopt) -> Result<Adopted> {
        self.inner.adopt(adopt).await
    }

    async fn take(&self, session: &SessionId, take: &Take) -> Result<Taken> {
        let answer = self.inner.take(session, take).await?;
        let held = matches!(answer, Taken::Held { .. });
        let (job, key) = (take.record.job.clone(), take.record.key.clone());
        self.witness
            .note(Fact::Answered(job, key, take.nonce, held));
        Ok(answer)
    }

    async fn end(&self, end: &End) -> Result<Ended> {
        self.inner.end(end).await
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

/// Sessions, right at the worker: when each call began that kept one.
#[derive(Debug)]
pub(crate) struct TimedSessions {
    pub(crate) inner: Arc<dyn Sessions>,
    pub(crate) host: String,
    pub(crate) processes: Arc<Processes>,
}

#[async_trait]
impl Sessions for TimedSessions {
    async fn open(&self, me: &WorkerInfo, ttl: Duration) -> Result<Session> {
        let began = Instant::now();
        let session = self.inner.open(me, ttl).await?;
        self.processes.contact(&self.host, began);
        Ok(session)
    }

    async fn renew(&self, session: &SessionId, info: Option<&WorkerInfo>) -> Result<()> {
        let began = Instant::now();
        self.inner.renew(session, info).await?;
        self.processes.contact(&self.host, began);
        Ok(())
    }

    async fn ask_to_drain(&self, session: &SessionId) -> Result<bool> {
        self.inner.ask_to_drain(session).await
    }

    async fn close(&self, session: &SessionId) -> Result<()> {
        self.inner.close(session).await
    }

    async fn live(&self) -> Result<Events<SessionEvent>> {
        self.inner.live().await
    }
}

/// A run log that lets the witness see what is written.
#[derive(Debug)]
pub(crate) struct WitnessedSink {
    pub(crate) inner: Arc<dyn RunSink>,
    pub(crate) witness: Arc<Witness>,
}

#[async_trait]
impl RunSink for WitnessedSink {
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
        self.witness.note(Fact::Finished(Box::new(done.clone())));
        self.inner.finish(done).await
    }
}
