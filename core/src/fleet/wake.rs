//! When to look at which job again: one entry per job, however many ticks it has.

use super::agenda::Agenda;
use crate::job::JobName;
use crate::time::Timestamp;

/// Jobs to look at now, and jobs to look at later.
#[derive(Debug, Default)]
pub(super) struct WakeIndex {
    /// By when they were touched: a job that is touched all the time must not keep others waiting.
    touched: Agenda<u64>,
    touches: u64,
    at: Agenda<Timestamp>,
}

impl WakeIndex {
    /// Look at the job in the next pass.
    pub(super) fn touch(&mut self, job: &JobName) {
        if self.touched.get(job).is_none() {
            self.touched.set(job, self.touches);
            self.touches += 1;
        }
    }

    /// Whether any job is to be looked at now.
    pub(super) fn is_touched(&self) -> bool {
        self.touched.first().is_some()
    }

    /// Look at the job at this moment, instead of the one set before; `None`: not by itself.
    pub(super) fn set(&mut self, job: &JobName, at: Option<Timestamp>) {
        match at {
            Some(at) => self.at.set(job, at),
            None => self.at.remove(job),
        }
    }

    /// The next moment set.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.at.first()
    }

    /// At most `max` jobs to look at now, each taken from the index.
    pub(super) fn take(&mut self, now: Timestamp, max: usize) -> Vec<JobName> {
        while self.at.first().is_some_and(|at| at <= now)
            && let Some(job) = self.at.pop()
        {
            self.touch(&job);
        }
        let touched = std::iter::from_fn(|| self.touched.pop());
        touched.take(max).collect()
    }
}
