//! The claims of this worker: on their way, held, and those that it has lately done with.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

use super::config::{FleetMutant, WorkerConfig};
use crate::backend::{Fence, Nonce};
use crate::job::JobName;
use crate::run::{RunId, RunKey};
use crate::time::Timestamp;

/// How many finished claims a worker remembers.
const FINISHED: usize = 4096;

/// A claim that is on its way or held.
#[derive(Debug)]
pub(super) struct ActiveRun {
    /// The run.
    pub(super) id: RunId,
    /// Of the claim.
    pub(super) nonce: Nonce,
    /// Once it is held.
    pub(super) fence: Option<Fence>,
    /// From 1; 0 until the claim is answered.
    pub(super) attempt: u32,
    /// Since when a process runs.
    pub(super) started_at: Option<Timestamp>,
    /// Nothing runs any more; only the end is to be told.
    pub(super) ending: bool,
    /// Told when a kill has come.
    pub(super) kill: Arc<Notify>,
}

/// All claims of this worker. They are told apart by their nonces: of one run it may have an old one and a new one.
#[derive(Debug)]
pub(super) struct Claims {
    /// On their way and held, by job and key.
    pub(super) held: BTreeMap<(JobName, RunKey), ActiveRun>,
    finished: (BTreeSet<Nonce>, VecDeque<Nonce>),
    /// The defect [`FleetMutant::ClaimsByRun`].
    by_run: bool,
}

impl Claims {
    pub(super) fn new(config: &WorkerConfig) -> Self {
        Self {
            held: BTreeMap::new(),
            finished: (BTreeSet::new(), VecDeque::new()),
            by_run: config.is(FleetMutant::ClaimsByRun),
        }
    }

    /// How many runs take a place.
    pub(super) fn running(&self) -> u32 {
        let count = self.held.values().filter(|run| !run.ending).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Whether this claim is on its way or held.
    pub(super) fn holds(&self, job: &JobName, key: &RunKey, nonce: Nonce) -> bool {
        let held = self.held.get(&(job.clone(), key.clone()));
        held.is_some_and(|run| run.nonce == nonce)
    }

    /// Whether this claim is known: on its way, held, or done with.
    pub(super) fn knows(&self, job: &JobName, key: &RunKey, nonce: Nonce) -> bool {
        self.holds(job, key, nonce) || self.finished.0.contains(&nonce)
    }

    /// Done with a claim.
    pub(super) fn finish(&mut self, job: &JobName, key: &RunKey, nonce: Nonce) {
        self.give_up(job, key, nonce);
        if self.finished.1.len() == FINISHED
            && let Some(oldest) = self.finished.1.pop_front()
        {
            self.finished.0.remove(&oldest);
        }
        self.finished.0.insert(nonce);
        self.finished.1.push_back(nonce);
    }

    /// A claim came to nothing. Another claim of the same run may be under way meanwhile, and stays.
    pub(super) fn give_up(&mut self, job: &JobName, key: &RunKey, nonce: Nonce) {
        let id = (job.clone(), key.clone());
        let same = |run: &ActiveRun| run.nonce == nonce || self.by_run;
        if self.held.get(&id).is_some_and(same) {
            self.held.remove(&id);
        }
    }
}
