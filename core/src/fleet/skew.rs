//! How late ticks start, for metrics: the time from a tick's fire time to the moment at which its command runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The classes into which starts fall by how late they were: up to each of these, and later. From a start that nobody
/// can tell from one on time, over the 30 s up to which a tick simply runs, to five minutes.
pub const START_SKEW_BOUNDS: [Duration; 14] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(300),
];

const CLASSES: usize = START_SKEW_BOUNDS.len() + 1;

/// What is counted of starts. Numbers only rise.
#[derive(Debug, Default)]
pub(super) struct Starts {
    classes: [AtomicU64; CLASSES],
    millis: AtomicU64,
}

/// How late the first attempts of ticks started that this worker started, since its own start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartSkew {
    /// All of them together.
    pub total: Duration,
    /// How many were late by up to each of [`START_SKEW_BOUNDS`] and by more than the one before, and how many by more
    /// than all.
    pub classes: [u64; CLASSES],
}

impl Starts {
    /// One more start, late by this much.
    pub(super) fn count(&self, late: Duration) {
        let class = START_SKEW_BOUNDS.partition_point(|bound| *bound < late);
        if let Some(class) = self.classes.get(class) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        let millis = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> StartSkew {
        StartSkew {
            total: Duration::from_millis(self.millis.load(Ordering::Relaxed)),
            classes: std::array::from_fn(|class| {
                let class = self.classes.get(class);
                class.map_or(0, |count| count.load(Ordering::Relaxed))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_falls_into_the_class_whose_bound_it_keeps() {
        let starts = Starts::default();
        for millis in [0, 5, 6, 30_000, 300_000, 300_001] {
            starts.count(Duration::from_millis(millis));
        }
        let told = starts.snapshot();
        assert_eq!(told.classes, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1]);
        assert_eq!(told.total, Duration::from_millis(630_012));
    }
}
