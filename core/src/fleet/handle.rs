//! What the rest of the process may see of a worker, and ask of it.

use std::sync::Arc;

use super::catalog::CatalogJob;
use super::config::Limits;
use super::counters::CountersSnapshot;
use super::drain;
use super::outage::Outage;
use super::peers::Elder;
use super::skew::StartSkew;
use super::state::{Phase, Shared};
use crate::backend::{BrokenJob, SessionId, WorkerInfo};
use crate::job::JobName;
use crate::run::{RunId, RunKey, RunState};
use crate::time::Timestamp;

/// A cheap handle of a worker.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    shared: Arc<Shared>,
}

/// A run that the worker holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningRun {
    /// The run.
    pub id: RunId,
    /// Its job.
    pub job: JobName,
    /// What it stands for.
    pub key: RunKey,
    /// From 1.
    pub attempt: u32,
    /// Since when its process runs; `None` before.
    pub started_at: Option<Timestamp>,
}

/// How a worker is.
#[derive(Clone, Debug)]
pub struct WorkerStatus {
    /// Its name.
    pub name: String,
    /// Everything it plans with has been read at least once, and it has had a session.
    pub ready: bool,
    /// It may claim and start now.
    pub trusted: bool,
    /// The coordination store does not carry out what it asks.
    pub outage: Option<Outage>,
    /// Its session.
    pub session: Option<SessionId>,
    /// It takes nothing new.
    pub draining: bool,
    /// It leaves ticks to others because of its clock.
    pub clock_doubted: bool,
    /// It leaves everything new to others because of its time zone.
    pub elder: Option<Elder>,
    /// What it holds.
    pub running: Vec<RunningRun>,
    /// How many it may hold.
    pub max_concurrent_runs: u32,
    /// How many jobs it knows.
    pub jobs: usize,
    /// How many job records it cannot read.
    pub jobs_broken: usize,
    /// Ended runs that the run log does not have yet.
    pub done_waiting: usize,
}

impl WorkerHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// How the worker is now.
    pub fn status(&self) -> WorkerStatus {
        let now = self.shared.now();
        let window = self.shared.window.get();
        let state = self.shared.state();
        let running = state
            .claims
            .held
            .iter()
            .filter(|(_, run)| run.fence.is_some())
            .map(|((job, key), run)| RunningRun {
                id: run.id.clone(),
                job: job.clone(),
                key: key.clone(),
                attempt: run.attempt,
                started_at: run.started_at,
            });
        WorkerStatus {
            name: self.shared.config.name.clone(),
            ready: state.is_ready() && window.is_some(),
            trusted: window.as_ref().is_some_and(|w| w.may_start(now)),
            outage: self.shared.outages.now(),
            session: window.map(|window| window.session),
            draining: self.shared.phase.get() != Phase::Working,
            clock_doubted: state.clock_doubted,
            elder: state.elder.clone(),
            running: running.collect(),
            max_concurrent_runs: self.shared.limits().max_concurrent_runs,
            jobs: state.catalog.len(),
            jobs_broken: state.catalog.broken().len(),
            done_waiting: state.view.done.len(),
        }
    }

    /// The jobs as this worker knows them, by name.
    pub fn jobs(&self) -> Vec<CatalogJob> {
        let now = self.shared.now().wall;
        let state = self.shared.state();
        let entries = state.catalog.iter();
        entries
            .map(|(_, entry)| CatalogJob::of(entry, now))
            .collect()
    }

    /// The job records that this worker cannot read, by name.
    pub fn broken_jobs(&self) -> Vec<BrokenJob> {
        self.shared.state().catalog.broken().cloned().collect()
    }

    /// One job as this worker knows it.
    pub fn job(&self, name: &JobName) -> Option<CatalogJob> {
        let now = self.shared.now().wall;
        let state = self.shared.state();
        state
            .catalog
            .get(name)
            .map(|entry| CatalogJob::of(entry, now))
    }

    /// The live workers of the fleet as this worker knows them.
    pub fn workers(&self) -> Vec<(SessionId, WorkerInfo)> {
        let state = self.shared.state();
        let workers = state.peers.workers();
        workers
            .map(|(id, info)| (id.clone(), info.clone()))
            .collect()
    }

    /// How late ticks were started.
    pub fn start_skew(&self) -> StartSkew {
        self.shared.starts.snapshot()
    }

    /// How runs and ticks ended whose records this worker copied to the run log, since its start.
    pub fn ends(&self) -> Vec<(RunState, u64)> {
        self.shared.over.snapshot()
    }

    /// The counters since the start.
    pub fn counters(&self) -> CountersSnapshot {
        self.shared.counters.snapshot()
    }

    /// Has other limits from now on. Runs that have begun keep those of their own.
    pub fn limit(&self, limits: Limits) {
        self.shared.limit(limits);
    }

    /// Takes nothing new from now on, lets what runs end, and then lets [`super::Worker::run`] return.
    pub fn drain(&self) {
        self.shared.leave.set(true);
        drain::enter(&self.shared, Phase::Draining);
    }
}
