//! What a worker counts, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::run::RunState;

/// A number that only rises.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How runs ended, and ticks that did not run, by state.
#[derive(Debug, Default)]
pub(super) struct Ends([Counter; RunState::ALL.len()]);

impl Ends {
    /// `n` more runs or ticks that ended so.
    pub(super) fn add(&self, state: RunState, n: u64) {
        if let Some(counter) = self.0.get(state as usize) {
            counter.add(n);
        }
    }

    /// The count of each state in which a run can end.
    pub(super) fn snapshot(&self) -> Vec<(RunState, u64)> {
        let all = RunState::ALL.into_iter().zip(&self.0);
        let ended = all.filter(|(state, _)| state.is_terminal());
        ended.map(|(state, count)| (state, count.get())).collect()
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// The worker's counters.
        #[derive(Debug, Default)]
        pub(super) struct Counters { $($(#[$doc])* pub(super) $name: Counter,)+ }

        /// The worker's counters at one moment, since its start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct CountersSnapshot { $($(#[$doc])* pub $name: u64,)+ }

        impl Counters {
            pub(super) fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.get(),)+ }
            }
        }

        impl CountersSnapshot {
            /// Name, help text and value of each, for an exposition format.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Ticks that this worker decided, whatever their fate.
    ticks_decided,
    /// Claims that the store granted.
    claims_held,
    /// Plans that the store refused because somebody else was first or a view was old.
    plans_stale,
    /// Requests that were repeated because their effect was not known.
    requests_repeated,
    /// Runs that were started.
    runs_started,
    /// Runs that ended here, retries included.
    runs_ended,
    /// Runs whose end somebody else had settled.
    runs_fenced,
    /// Runs that were handed back before they started.
    runs_handed_back,
    /// Runs of others that were settled.
    runs_settled,
    /// Runs that were kept under a new session.
    runs_rebound,
    /// Runs that were ended because the store could not be reached.
    runs_self_fenced,
    /// Panics while a run was attended to.
    run_panics,
    /// Sessions that were lost.
    sessions_lost,
    /// Done records copied to the run log.
    records_copied,
    /// Failed attempts to copy.
    copy_failures,
    /// Alerts put into the outbox.
    alerts_put,
    /// Marks found far ahead of the own clock.
    far_marks,
}
