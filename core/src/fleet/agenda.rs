//! Jobs in an order: one entry per job, with what it is sorted by; equals go by name.

use std::collections::{BTreeMap, BTreeSet};

use crate::job::JobName;

/// Jobs sorted by `T`.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    at: BTreeMap<JobName, T>,
    order: BTreeSet<(T, JobName)>,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self {
            at: BTreeMap::new(),
            order: BTreeSet::new(),
        }
    }
}

impl<T: Copy + Ord> Agenda<T> {
    /// Where the job stands.
    pub(super) fn get(&self, job: &JobName) -> Option<T> {
        self.at.get(job).copied()
    }

    /// Puts the job there, wherever it stood before.
    pub(super) fn set(&mut self, job: &JobName, at: T) {
        self.remove(job);
        self.at.insert(job.clone(), at);
        self.order.insert((at, job.clone()));
    }

    /// Takes the job out.
    pub(super) fn remove(&mut self, job: &JobName) {
        if let Some(old) = self.at.remove(job) {
            self.order.remove(&(old, job.clone()));
        }
    }

    /// Where the first job stands.
    pub(super) fn first(&self) -> Option<T> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the first job out.
    pub(super) fn pop(&mut self) -> Option<JobName> {
        let (_, job) = self.order.pop_first()?;
        self.at.remove(&job);
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_comes_first_and_equals_go_by_name() {
        let [a, b, c] = ["a", "b", "c"].map(JobName::existing);
        let mut agenda = Agenda::default();
        for (job, at) in [(&c, 5), (&b, 5), (&a, 5), (&a, 7), (&c, 2)] {
            agenda.set(job, at);
        }
        assert_eq!((agenda.get(&a), agenda.first()), (Some(7), Some(2)));
        agenda.remove(&JobName::existing("d"));
        let all: Vec<JobName> = std::iter::from_fn(|| agenda.pop()).collect();
        assert_eq!(all, [c, b, a]);
        assert_eq!(agenda.first(), None);
    }
}
