//! The contracts of records over a [`Line`]. Only what a worker calls can go wrong on the way.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sandclock_core::backend::{
    Alert, AlertId, AlertOutbox, AlertState, AuditEntry, AuditFilter, AuditLog, ClaimEnd,
    ClaimedAlert, DoneRecord, Fence, LogPage, ModuleDigest, OutputChunk, Page, PageToken, PluginKv,
    PluginMode, PluginStore, Recording, Recordings, Records, Release, Result, RunFilter, RunHeader,
    RunQuery, RunRecord, RunSink, StoredPlugin, Swap,
};
use sandclock_core::job::JobName;
use sandclock_core::ports::History;
use sandclock_core::run::RunId;
use sandclock_core::time::Timestamp;
use std::time::Duration;

use super::Line;

#[derive(Debug)]
struct Over {
    line: Arc<Line>,
    inner: Records,
}

pub(super) fn over(line: &Arc<Line>, inner: Records) -> Records {
    let over = Arc::new(Over {
        line: Arc::clone(line),
        inner,
    });
    Records {
        sink: Arc::<Over>::clone(&over),
        runs: Arc::<Over>::clone(&over),
        outbox: Arc::<Over>::clone(&over),
        plugins: Arc::<Over>::clone(&over),
        recordings: Arc::<Over>::clone(&over),
        kv: Arc::<Over>::clone(&over),
        audit: over,
    }
}

#[async_trait]
impl RunSink for Over {
    async fn begin(&self, header: &RunHeader, fence: Fence) -> Result<()> {
        let header = header.clone();
        over_line!(self, "runs.begin", sink.begin(&header, fence))
    }

    async fn append(
        &self,
        run: &RunId,
        attempt: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) -> Result<()> {
        let (run, chunks) = (run.clone(), chunks.to_vec());
        over_line!(
            self,
            "runs.append",
            sink.append(&run, attempt, &chunks, cut)
        )
    }

    async fn finish(&self, done: &DoneRecord) -> Result<()> {
        let done = done.clone();
        over_line!(self, "runs.finish", sink.finish(&done))
    }
}

#[async_trait]
impl RunQuery for Over {
    async fn get(&self, run: &RunId) -> Result<Option<RunRecord>> {
        self.inner.runs.get(run).await
    }

    async fn list(
        &self,
        filter: &RunFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<RunRecord>> {
        self.inner.runs.list(filter, page, limit).await
    }

    async fn read_log(
        &self,
        run: &RunId,
        after: Option<(u32, u64)>,
        max_bytes: u32,
    ) -> Result<LogPage> {
        self.inner.runs.read_log(run, after, max_bytes).await
    }

    async fn history(&self, job: &JobName, last: u32) -> Result<History> {
        let job = job.clone();
        over_line!(self, "runs.history", runs.history(&job, last))
    }

    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32> {
        over_line!(self, "runs.prune", runs.prune(before, max))
    }
}

#[async_trait]
impl AlertOutbox for Over {
    async fn put(&self, alerts: &[Alert]) -> Result<()> {
        let alerts = alerts.to_vec();
        over_line!(self, "outbox.put", outbox.put(&alerts))
    }

    async fn claim(&self, max: u32, lease: Duration) -> Result<Vec<ClaimedAlert>> {
        self.inner.outbox.claim(max, lease).await
    }

    async fn end(&self, id: &AlertId, claim: u64, end: &ClaimEnd) -> Result<bool> {
        self.inner.outbox.end(id, claim, end).await
    }

    async fn gather(&self, id: &AlertId, claim: u64, most: u32) -> Result<Option<Vec<Alert>>> {
        self.inner.outbox.gather(id, claim, most).await
    }

    async fn pace(&self, target: &str, most: u32, window: Duration) -> Result<Option<Duration>> {
        self.inner.outbox.pace(target, most, window).await
    }

    async fn set(&self, id: &AlertId, state: AlertState) -> Result<()> {
        self.inner.outbox.set(id, state).await
    }

    async fn get(&self, id: &AlertId) -> Result<Option<Alert>> {
        self.inner.outbox.get(id).await
    }

    async fn list(
        &self,
        state: Option<AlertState>,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<Alert>> {
        self.inner.outbox.list(state, page, limit).await
    }

    async fn of_run(&self, run: &RunId) -> Result<Vec<Alert>> {
        self.inner.outbox.of_run(run).await
    }

    async fn of_job(&self, job: &JobName, after: Timestamp, limit: u32) -> Result<Vec<Alert>> {
        self.inner.outbox.of_job(job, after, limit).await
    }
}

#[async_trait]
impl PluginStore for Over {
    async fn push(&self, release: &Release, module: &Bytes) -> Result<()> {
        self.inner.plugins.push(release, module).await
    }

    async fn list(&self) -> Result<Vec<StoredPlugin>> {
        self.inner.plugins.list().await
    }

    async fn module(&self, digest: &ModuleDigest) -> Result<Bytes> {
        self.inner.plugins.module(digest).await
    }

    async fn serve(&self, plugin: &str, from: Option<&str>, to: Option<&str>) -> Result<()> {
        self.inner.plugins.serve(plugin, from, to).await
    }

    async fn shadow(&self, plugin: &str, version: Option<&str>) -> Result<()> {
        self.inner.plugins.shadow(plugin, version).await
    }

    async fn set_mode(&self, plugin: &str, mode: PluginMode) -> Result<()> {
        self.inner.plugins.set_mode(plugin, mode).await
    }

    async fn withdraw(&self, plugin: &str, version: &str) -> Result<()> {
        self.inner.plugins.withdraw(plugin, version).await
    }
}

#[async_trait]
impl Recordings for Over {
    async fn keep(&self, recordings: &[Recording]) -> Result<()> {
        self.inner.recordings.keep(recordings).await
    }

    async fn of_run(&self, run: &RunId) -> Result<Vec<Recording>> {
        self.inner.recordings.of_run(run).await
    }

    async fn latest(&self, plugin: &str, limit: u32) -> Result<Vec<Recording>> {
        self.inner.recordings.latest(plugin, limit).await
    }
}

#[async_trait]
impl PluginKv for Over {
    async fn get(&self, plugin: &str, key: &str) -> Result<Option<Bytes>> {
        self.inner.kv.get(plugin, key).await
    }

    async fn swap(&self, plugin: &str, swap: &Swap) -> Result<bool> {
        self.inner.kv.swap(plugin, swap).await
    }

    async fn clear(&self, plugin: &str) -> Result<()> {
        self.inner.kv.clear(plugin).await
    }
}

#[async_trait]
impl AuditLog for Over {
    async fn put(&self, entry: &AuditEntry) -> Result<()> {
        self.inner.audit.put(entry).await
    }

    async fn list(
        &self,
        filter: &AuditFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<AuditEntry>> {
        self.inner.audit.list(filter, page, limit).await
    }

    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32> {
        self.inner.audit.prune(before, max).await
    }
}
