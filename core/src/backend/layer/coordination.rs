//! Every contract of coordination behind a layer: each method hands its call to the layer, and does nothing else.

#![deny(clippy::missing_trait_methods)]

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Layer, Layered, Op};
use crate::backend::{
    Adopt, Adopted, Candidate, Cursor, Decide, Decided, Doc, DocKind, Docs, End, Ended, Events,
    Fence, FireEvent, FireFeed, FireView, Fires, JobEvent, JobSnapshot, JobStore, Kill, Kills,
    Leadership, Precondition, RecordSeen, Request, Result, Session, SessionEvent, SessionId,
    Sessions, Settle, Settled, StoredJob, Take, Taken, Triggered, Versioned, WorkerInfo,
};
use crate::job::{Job, JobName};
use crate::run::RunKey;

#[async_trait]
impl<L: Layer, T: JobStore + ?Sized> JobStore for Layered<L, T> {
    async fn snapshot(&self) -> Result<JobSnapshot> {
        (self.layer)
            .call(Op::JobsSnapshot, || self.inner.snapshot())
            .await
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, JobEvent)>> {
        (self.layer)
            .call(Op::JobsWatch, || self.inner.watch(from.clone()))
            .await
    }

    async fn get(&self, name: &JobName) -> Result<Option<StoredJob>> {
        (self.layer)
            .call(Op::JobsGet, || self.inner.get(name))
            .await
    }

    async fn put(&self, job: &Job, pre: Precondition) -> Result<Versioned<()>> {
        (self.layer)
            .call(Op::JobsPut, || self.inner.put(job, pre))
            .await
    }

    async fn delete(&self, name: &JobName, pre: Precondition) -> Result<()> {
        (self.layer)
            .call(Op::JobsDelete, || self.inner.delete(name, pre))
            .await
    }
}

#[async_trait]
impl<L: Layer, T: Sessions + ?Sized> Sessions for Layered<L, T> {
    async fn open(&self, me: &WorkerInfo, ttl: Duration) -> Result<Session> {
        (self.layer)
            .call(Op::SessionsOpen, || self.inner.open(me, ttl))
            .await
    }

    async fn renew(&self, session: &SessionId, info: Option<&WorkerInfo>) -> Result<()> {
        (self.layer)
            .call(Op::SessionsRenew, || self.inner.renew(session, info))
            .await
    }

    async fn ask_to_drain(&self, session: &SessionId) -> Result<bool> {
        (self.layer)
            .call(Op::SessionsAskToDrain, || self.inner.ask_to_drain(session))
            .await
    }

    async fn close(&self, session: &SessionId) -> Result<()> {
        (self.layer)
            .call(Op::SessionsClose, || self.inner.close(session))
            .await
    }

    async fn live(&self) -> Result<Events<SessionEvent>> {
        (self.layer)
            .call(Op::SessionsLive, || self.inner.live())
            .await
    }
}

#[async_trait]
impl<L: Layer, T: Fires + ?Sized> Fires for Layered<L, T> {
    async fn decide(&self, session: &SessionId, due: &[Decide]) -> Result<Vec<Decided>> {
        (self.layer)
            .call(Op::FiresDecide, || self.inner.decide(session, due))
            .await
    }

    async fn adopt(&self, adopt: &Adopt) -> Result<Adopted> {
        (self.layer)
            .call(Op::FiresAdopt, || self.inner.adopt(adopt))
            .await
    }

    async fn take(&self, session: &SessionId, take: &Take) -> Result<Taken> {
        (self.layer)
            .call(Op::FiresTake, || self.inner.take(session, take))
            .await
    }

    async fn end(&self, end: &End) -> Result<Ended> {
        (self.layer)
            .call(Op::FiresEnd, || self.inner.end(end))
            .await
    }

    async fn rebind(
        &self,
        session: &SessionId,
        job: &JobName,
        key: &RunKey,
        fence: Fence,
    ) -> Result<Option<Fence>> {
        (self.layer)
            .call(Op::FiresRebind, || {
                self.inner.rebind(session, job, key, fence)
            })
            .await
    }

    async fn settle(&self, settle: &Settle) -> Result<Settled> {
        (self.layer)
            .call(Op::FiresSettle, || self.inner.settle(settle))
            .await
    }

    async fn trigger(&self, job: &JobName, request: &Request) -> Result<Triggered> {
        (self.layer)
            .call(Op::FiresTrigger, || self.inner.trigger(job, request))
            .await
    }
}

#[async_trait]
impl<L: Layer, T: FireFeed + ?Sized> FireFeed for Layered<L, T> {
    async fn snapshot(&self) -> Result<(FireView, Cursor)> {
        (self.layer)
            .call(Op::FeedSnapshot, || self.inner.snapshot())
            .await
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, FireEvent)>> {
        (self.layer)
            .call(Op::FeedWatch, || self.inner.watch(from.clone()))
            .await
    }

    async fn clean(&self, done: &[RecordSeen], patience: Duration) -> Result<u32> {
        (self.layer)
            .call(Op::FeedClean, || self.inner.clean(done, patience))
            .await
    }
}

#[async_trait]
impl<L: Layer, T: Kills + ?Sized> Kills for Layered<L, T> {
    async fn send(&self, kill: &Kill, retain: Duration) -> Result<()> {
        (self.layer)
            .call(Op::KillsSend, || self.inner.send(kill, retain))
            .await
    }

    async fn watch(&self) -> Result<Events<Kill>> {
        (self.layer)
            .call(Op::KillsWatch, || self.inner.watch())
            .await
    }
}

#[async_trait]
impl<L: Layer, T: Leadership + ?Sized> Leadership for Layered<L, T> {
    async fn campaign(&self, me: &Candidate, ttl: Duration) -> Result<Option<Duration>> {
        (self.layer)
            .call(Op::LeadershipCampaign, || self.inner.campaign(me, ttl))
            .await
    }

    async fn hold(&self, me: &Candidate) -> Result<()> {
        (self.layer)
            .call(Op::LeadershipHold, || self.inner.hold(me))
            .await
    }

    async fn resign(&self, me: &Candidate) -> Result<()> {
        (self.layer)
            .call(Op::LeadershipResign, || self.inner.resign(me))
            .await
    }
}

#[async_trait]
impl<L: Layer, T: Docs + ?Sized> Docs for Layered<L, T> {
    async fn list(&self, kind: DocKind) -> Result<Vec<Doc>> {
        (self.layer)
            .call(Op::DocsList, || self.inner.list(kind))
            .await
    }

    async fn put(
        &self,
        kind: DocKind,
        name: &str,
        body: &Bytes,
        pre: Precondition,
    ) -> Result<Versioned<()>> {
        (self.layer)
            .call(Op::DocsPut, || self.inner.put(kind, name, body, pre))
            .await
    }

    async fn delete(&self, kind: DocKind, name: &str, pre: Precondition) -> Result<()> {
        (self.layer)
            .call(Op::DocsDelete, || self.inner.delete(kind, name, pre))
            .await
    }
}
