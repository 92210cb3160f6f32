//! When to look at which job again: one entry per job, however many ticks it has.

use std::collections::{BTreeMap, BTreeSet};

use crate::job::JobName;
use crate::time::Timestamp;

/// Jobs to look at now, and jobs to look at later.
#[derive(Debug, Default)]
pub(super) struct WakeIndex {
    touched: BTreeSet<JobName>,
    at: BTreeMap<JobName, Timestamp>,
    order: BTreeSet<(Timestamp, JobName)>,
}

impl WakeIndex {
    /// Look at the job in the next pass.
    pub(super) fn touch(&mut self, job: JobName) {
        self.touched.insert(job);
    }

    /// Whether any job is to be looked at now.
    pub(super) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Look at the job at this moment, instead of the one set before; `None`: not by itself.
    pub(super) fn set(&mut self, job: &JobName, at: Option<Timestamp>) {
        if let Some(old) = self.at.remove(job) {
            self.order.remove(&(old, job.clone()));
        }
        if let Some(at) = at {
            self.at.insert(job.clone(), at);
            self.order.insert((at, job.clone()));
        }
    }

    /// The next moment set.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// At most `max` jobs to look at now, each taken from the index.
    pub(super) fn take(&mut self, now: Timestamp, max: usize) -> Vec<JobName> {
        while let Some((at, _)) = self.order.first()
            && *at <= now
            && self.touched.len() < max
            && let Some((_, job)) = self.order.pop_first()
        {
            self.at.remove(&job);
            self.touched.insert(job);
        }
        let mut jobs = Vec::new();
        while jobs.len() < max
            && let Some(job) = self.touched.pop_first()
        {
            jobs.push(job);
        }
        jobs
    }
}
