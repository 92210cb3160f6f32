//! Every contract behind a layer: each method hands its call to the layer, and does nothing else.

#![deny(clippy::missing_trait_methods)]

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Layer, Layered, Op};
use crate::backend::{
    Adopt, Adopted, Alert, AlertId, AlertOutbox, AlertState, Candidate, ClaimedAlert, Cursor,
    Decide, Decided, Doc, DocKind, Docs, DoneRecord, End, Ended, Events, Fence, FireEvent,
    FireFeed, FireView, Fires, JobEvent, JobSnapshot, JobStore, Kill, Kills, Leadership, LogPage,
    ModuleDigest, OutputChunk, Page, PageToken, PluginStore, Precondition, RecordSeen, Release,
    Request, Result, RunFilter, RunHeader, RunQuery, RunRecord, RunSink, Session, SessionEvent,
    SessionId, Sessions, Settle, Settled, StoredJob, StoredPlugin, Take, Taken, Triggered,
    Versioned, WorkerInfo,
};
use crate::job::{Job, JobName};
use crate::ports::History;
use crate::run::{RunId, RunKey};
use crate::time::Timestamp;

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

#[async_trait]
impl<L: Layer, T: RunSink + ?Sized> RunSink for Layered<L, T> {
    async fn begin(&self, header: &RunHeader, fence: Fence) -> Result<()> {
        (self.layer)
            .call(Op::SinkBegin, || self.inner.begin(header, fence))
            .await
    }

    async fn append(
        &self,
        run: &RunId,
        attempt: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) -> Result<()> {
        (self.layer)
            .call(Op::SinkAppend, || {
                self.inner.append(run, attempt, chunks, cut)
            })
            .await
    }

    async fn finish(&self, done: &DoneRecord) -> Result<()> {
        (self.layer)
            .call(Op::SinkFinish, || self.inner.finish(done))
            .await
    }
}

#[async_trait]
impl<L: Layer, T: RunQuery + ?Sized> RunQuery for Layered<L, T> {
    async fn get(&self, run: &RunId) -> Result<Option<RunRecord>> {
        (self.layer).call(Op::RunsGet, || self.inner.get(run)).await
    }

    async fn list(
        &self,
        filter: &RunFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<RunRecord>> {
        (self.layer)
            .call(Op::RunsList, || self.inner.list(filter, page, limit))
            .await
    }

    async fn read_log(
        &self,
        run: &RunId,
        after: Option<(u32, u64)>,
        max_bytes: u32,
    ) -> Result<LogPage> {
        (self.layer)
            .call(Op::RunsReadLog, || {
                self.inner.read_log(run, after, max_bytes)
            })
            .await
    }

    async fn history(&self, job: &JobName, last: u32) -> Result<History> {
        (self.layer)
            .call(Op::RunsHistory, || self.inner.history(job, last))
            .await
    }

    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32> {
        (self.layer)
            .call(Op::RunsPrune, || self.inner.prune(before, max))
            .await
    }
}

#[async_trait]
impl<L: Layer, T: AlertOutbox + ?Sized> AlertOutbox for Layered<L, T> {
    async fn put(&self, alerts: &[Alert]) -> Result<()> {
        (self.layer)
            .call(Op::OutboxPut, || self.inner.put(alerts))
            .await
    }

    async fn claim(&self, max: u32, lease: Duration) -> Result<Vec<ClaimedAlert>> {
        (self.layer)
            .call(Op::OutboxClaim, || self.inner.claim(max, lease))
            .await
    }

    async fn delivered(&self, id: &AlertId, claim: u64) -> Result<()> {
        (self.layer)
            .call(Op::OutboxDelivered, || self.inner.delivered(id, claim))
            .await
    }

    async fn failed(
        &self,
        id: &AlertId,
        claim: u64,
        error: &str,
        again: Option<Duration>,
    ) -> Result<()> {
        (self.layer)
            .call(Op::OutboxFailed, || {
                self.inner.failed(id, claim, error, again)
            })
            .await
    }

    async fn set(&self, id: &AlertId, state: AlertState) -> Result<()> {
        (self.layer)
            .call(Op::OutboxSet, || self.inner.set(id, state))
            .await
    }

    async fn list(
        &self,
        state: Option<AlertState>,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<Alert>> {
        (self.layer)
            .call(Op::OutboxList, || self.inner.list(state, page, limit))
            .await
    }
}

#[async_trait]
impl<L: Layer, T: PluginStore + ?Sized> PluginStore for Layered<L, T> {
    async fn push(&self, release: &Release, module: &Bytes) -> Result<()> {
        (self.layer)
            .call(Op::PluginsPush, || self.inner.push(release, module))
            .await
    }

    async fn list(&self) -> Result<Vec<StoredPlugin>> {
        (self.layer)
            .call(Op::PluginsList, || self.inner.list())
            .await
    }

    async fn module(&self, digest: &ModuleDigest) -> Result<Bytes> {
        (self.layer)
            .call(Op::PluginsModule, || self.inner.module(digest))
            .await
    }

    async fn serve(&self, plugin: &str, from: Option<&str>, to: Option<&str>) -> Result<()> {
        (self.layer)
            .call(Op::PluginsServe, || self.inner.serve(plugin, from, to))
            .await
    }

    async fn withdraw(&self, plugin: &str, version: &str) -> Result<()> {
        (self.layer)
            .call(Op::PluginsWithdraw, || self.inner.withdraw(plugin, version))
            .await
    }
}
