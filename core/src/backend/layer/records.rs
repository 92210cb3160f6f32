//! Every contract of records behind a layer: each method hands its call to the layer, and does nothing else.

#![deny(clippy::missing_trait_methods)]

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Layer, Layered, Op};
use crate::backend::{
    Alert, AlertId, AlertOutbox, AlertState, AuditEntry, AuditFilter, AuditLog, ClaimEnd,
    ClaimedAlert, DoneRecord, Fence, LogPage, ModuleDigest, OutputChunk, Page, PageToken, PluginKv,
    PluginMode, PluginStore, Recording, Recordings, Release, Result, RunFilter, RunHeader,
    RunQuery, RunRecord, RunSink, StoredPlugin, Swap,
};
use crate::job::JobName;
use crate::ports::History;
use crate::run::RunId;
use crate::time::Timestamp;

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

    async fn end(&self, id: &AlertId, claim: u64, end: &ClaimEnd) -> Result<bool> {
        (self.layer)
            .call(Op::OutboxEnd, || self.inner.end(id, claim, end))
            .await
    }

    async fn gather(&self, id: &AlertId, claim: u64, most: u32) -> Result<Option<Vec<Alert>>> {
        (self.layer)
            .call(Op::OutboxGather, || self.inner.gather(id, claim, most))
            .await
    }

    async fn pace(&self, target: &str, most: u32, window: Duration) -> Result<Option<Duration>> {
        (self.layer)
            .call(Op::OutboxPace, || self.inner.pace(target, most, window))
            .await
    }

    async fn set(&self, id: &AlertId, state: AlertState) -> Result<()> {
        (self.layer)
            .call(Op::OutboxSet, || self.inner.set(id, state))
            .await
    }

    async fn get(&self, id: &AlertId) -> Result<Option<Alert>> {
        (self.layer)
            .call(Op::OutboxGet, || self.inner.get(id))
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

    async fn of_run(&self, run: &RunId) -> Result<Vec<Alert>> {
        (self.layer)
            .call(Op::OutboxOfRun, || self.inner.of_run(run))
            .await
    }

    async fn of_job(&self, job: &JobName, after: Timestamp, limit: u32) -> Result<Vec<Alert>> {
        (self.layer)
            .call(Op::OutboxOfJob, || self.inner.of_job(job, after, limit))
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

    async fn shadow(&self, plugin: &str, version: Option<&str>) -> Result<()> {
        (self.layer)
            .call(Op::PluginsShadow, || self.inner.shadow(plugin, version))
            .await
    }

    async fn set_mode(&self, plugin: &str, mode: PluginMode) -> Result<()> {
        (self.layer)
            .call(Op::PluginsSetMode, || self.inner.set_mode(plugin, mode))
            .await
    }

    async fn withdraw(&self, plugin: &str, version: &str) -> Result<()> {
        (self.layer)
            .call(Op::PluginsWithdraw, || self.inner.withdraw(plugin, version))
            .await
    }
}

#[async_trait]
impl<L: Layer, T: Recordings + ?Sized> Recordings for Layered<L, T> {
    async fn keep(&self, recordings: &[Recording]) -> Result<()> {
        (self.layer)
            .call(Op::RecordingsKeep, || self.inner.keep(recordings))
            .await
    }

    async fn of_run(&self, run: &RunId) -> Result<Vec<Recording>> {
        (self.layer)
            .call(Op::RecordingsOfRun, || self.inner.of_run(run))
            .await
    }

    async fn latest(&self, plugin: &str, limit: u32) -> Result<Vec<Recording>> {
        (self.layer)
            .call(Op::RecordingsLatest, || self.inner.latest(plugin, limit))
            .await
    }
}

#[async_trait]
impl<L: Layer, T: PluginKv + ?Sized> PluginKv for Layered<L, T> {
    async fn get(&self, plugin: &str, key: &str) -> Result<Option<Bytes>> {
        (self.layer)
            .call(Op::KvGet, || self.inner.get(plugin, key))
            .await
    }

    async fn swap(&self, plugin: &str, swap: &Swap) -> Result<bool> {
        (self.layer)
            .call(Op::KvSwap, || self.inner.swap(plugin, swap))
            .await
    }

    async fn clear(&self, plugin: &str) -> Result<()> {
        (self.layer)
            .call(Op::KvClear, || self.inner.clear(plugin))
            .await
    }
}

#[async_trait]
impl<L: Layer, T: AuditLog + ?Sized> AuditLog for Layered<L, T> {
    async fn put(&self, entry: &AuditEntry) -> Result<()> {
        (self.layer)
            .call(Op::AuditPut, || self.inner.put(entry))
            .await
    }

    async fn list(
        &self,
        filter: &AuditFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<AuditEntry>> {
        (self.layer)
            .call(Op::AuditList, || self.inner.list(filter, page, limit))
            .await
    }

    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32> {
        (self.layer)
            .call(Op::AuditPrune, || self.inner.prune(before, max))
            .await
    }
}
