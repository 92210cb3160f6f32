//! What is counted of each plugin. Counters only rise; the server turns a snapshot into metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::failure::FailureCode;
use crate::plugin::Hook;

const OUTCOMES: usize = FailureCode::ALL.len() + 1;

/// The counters of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    hooks: [OfHook; Hook::ALL.len()],
    edits: AtomicU64,
    hidden_bytes: AtomicU64,
    withheld_bytes: AtomicU64,
    breakers_opened: AtomicU64,
    unrecorded: AtomicU64,
    fuel: AtomicU64,
    memory_peak: AtomicU64,
}

#[derive(Debug, Default)]
struct OfHook {
    /// Successes first, then failures in the order of [`FailureCode::ALL`].
    outcomes: [AtomicU64; OUTCOMES],
    micros: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, hook: Hook, failed: Option<FailureCode>, took: Duration) {
        let Some(of_hook) = self.hooks.get(hook as usize) else {
            return;
        };
        add(
            &of_hook.micros,
            u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        );
        if let Some(outcome) = of_hook.outcomes.get(index(failed)) {
            add(outcome, 1);
        }
    }

    pub(crate) fn count_edits(&self, edits: usize, hidden_bytes: u64) {
        add(&self.edits, u64::try_from(edits).unwrap_or(u64::MAX));
        add(&self.hidden_bytes, hidden_bytes);
    }

    pub(crate) fn count_withheld(&self, bytes: usize) {
        add(
            &self.withheld_bytes,
            u64::try_from(bytes).unwrap_or(u64::MAX),
        );
    }

    pub(crate) fn count_used(&self, fuel: u64, memory_bytes: usize) {
        add(&self.fuel, fuel);
        let bytes = u64::try_from(memory_bytes).unwrap_or(u64::MAX);
        self.memory_peak.fetch_max(bytes, Ordering::Relaxed);
    }

    /// All fuel used so far.
    pub(crate) fn fuel(&self) -> u64 {
        self.fuel.load(Ordering::Relaxed)
    }

    /// The most memory that an instance had, in bytes.
    pub(crate) fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Ordering::Relaxed)
    }

    pub(crate) fn count_breaker(&self) {
        add(&self.breakers_opened, 1);
    }

    pub(crate) fn count_unrecorded(&self) {
        add(&self.unrecorded, 1);
    }

    pub(crate) fn snapshot(&self, plugin: &str, dropped_log_lines: u64) -> PluginCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut calls = Vec::new();
        for (hook, of_hook) in Hook::ALL.iter().zip(&self.hooks) {
            let codes = FailureCode::ALL.iter().map(|code| code.as_str());
            let outcomes = std::iter::once("ok").chain(codes);
            calls.extend(
                outcomes
                    .zip(&of_hook.outcomes)
                    .map(|(outcome, count)| CallCount {
                        hook: *hook,
                        outcome,
                        count: get(count),
                    })
                    .filter(|calls| calls.count > 0),
            );
        }
        let seconds = Hook::ALL.iter().zip(&self.hooks);
        PluginCounters {
            plugin: plugin.to_owned(),
            calls,
            call_time: seconds
                .map(|(hook, of_hook)| (*hook, Duration::from_micros(get(&of_hook.micros))))
                .collect(),
            edits: get(&self.edits),
            hidden_bytes: get(&self.hidden_bytes),
            withheld_bytes: get(&self.withheld_bytes),
            breakers_opened: get(&self.breakers_opened),
            unrecorded: get(&self.unrecorded),
            fuel: get(&self.fuel),
            memory_peak_bytes: get(&self.memory_peak),
            dropped_log_lines,
        }
    }
}

fn index(failed: Option<FailureCode>) -> usize {
    failed.map_or(0, |code| code as usize + 1)
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// What has been counted of a plugin since it was first installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginCounters {
    /// Its name.
    pub plugin: String,
    /// Its calls by hook and outcome; what never happened is left out.
    pub calls: Vec<CallCount>,
    /// All time spent in calls, waiting for a thread included.
    pub call_time: Vec<(Hook, Duration)>,
    /// Stretches of output that it hid.
    pub edits: u64,
    /// Their bytes.
    pub hidden_bytes: u64,
    /// Bytes of output that were withheld because it failed.
    pub withheld_bytes: u64,
    /// Streams that were withheld to their end because it failed too often.
    pub breakers_opened: u64,
    /// Calls that were not recorded: they were too large, or a known secret was in them.
    pub unrecorded: u64,
    /// Fuel used, where it is counted and not time.
    pub fuel: u64,
    /// The most memory that one instance had.
    pub memory_peak_bytes: u64,
    /// Lines of its log that were over a limit.
    pub dropped_log_lines: u64,
}

/// Calls with the same end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallCount {
    /// The hook.
    pub hook: Hook,
    /// `ok`, or the name of a [`FailureCode`].
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
}
