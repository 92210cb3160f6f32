//! What is counted of each plugin. Counters only rise; the server turns a snapshot into metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::effect_counts::{EffectCount, EffectCounts};
use crate::failure::FailureCode;
use crate::plugin::Hook;

/// The classes into which calls fall by what they took: up to each of these, and longer. From a fast plugin's warm call to
/// the longest that any hook may take.
pub const LATENCY_BOUNDS: [Duration; 10] = [
    Duration::from_micros(100),
    Duration::from_micros(300),
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(10),
];

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
    cpu_micros: AtomicU64,
    fuel: AtomicU64,
    memory_peak: AtomicU64,
    pub(crate) effects: EffectCounts,
}

#[derive(Debug, Default)]
struct OfHook {
    /// Successes first, then failures in the order of [`FailureCode::ALL`].
    outcomes: [AtomicU64; OUTCOMES],
    /// Those up to each bound, then the longer ones.
    classes: [AtomicU64; LATENCY_BOUNDS.len() + 1],
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
        let class = LATENCY_BOUNDS.partition_point(|bound| *bound < took);
        let counts = [
            of_hook.outcomes.get(index(failed)),
            of_hook.classes.get(class),
        ];
        for count in counts.into_iter().flatten() {
            add(count, 1);
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

    pub(crate) fn count_used(&self, cpu: Duration, fuel: u64, memory_bytes: usize) {
        let micros = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        add(&self.cpu_micros, micros);
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
        let latencies = Hook::ALL
            .iter()
            .zip(&self.hooks)
            .map(|(hook, of_hook)| Latency {
                hook: *hook,
                total: Duration::from_micros(get(&of_hook.micros)),
                classes: of_hook.classes.each_ref().map(get),
            });
        PluginCounters {
            plugin: plugin.to_owned(),
            calls,
            latencies: latencies.filter(Latency::has_calls).collect(),
            cpu_time: Duration::from_micros(get(&self.cpu_micros)),
            edits: get(&self.edits),
            hidden_bytes: get(&self.hidden_bytes),
            withheld_bytes: get(&self.withheld_bytes),
            breakers_opened: get(&self.breakers_opened),
            unrecorded: get(&self.unrecorded),
            fuel: get(&self.fuel),
            memory_peak_bytes: get(&self.memory_peak),
            dropped_log_lines,
            effects: self.effects.snapshot(),
            breakers: Vec::new(),
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
    /// What they took, by hook; hooks that were never called are left out.
    pub latencies: Vec<Latency>,
    /// Processor time of all calls.
    pub cpu_time: Duration,
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
    /// What it did beside answering; what never happened is left out.
    pub effects: Vec<EffectCount>,
    /// Each hook of the version that serves, and for how many configurations, or for redaction on how many streams, it is
    /// not called now because it failed too often.
    pub breakers: Vec<(Hook, u64)>,
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

/// What the calls of a hook took on the wall, waiting for a thread included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The hook.
    pub hook: Hook,
    /// All of them together.
    pub total: Duration,
    /// How many took up to each of [`LATENCY_BOUNDS`] and longer than the one before, and how many took longer than all.
    pub classes: [u64; LATENCY_BOUNDS.len() + 1],
}

impl Latency {
    fn has_calls(&self) -> bool {
        self.classes.iter().any(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_falls_into_the_class_whose_bound_it_keeps() {
        let counters = Counters::default();
        for micros in [1, 100, 101, 9_000_000, 10_000_001] {
            let took = Duration::from_micros(micros);
            counters.count(Hook::RunEnd, None, took);
        }
        let told = counters.snapshot("p", 0);
        assert_eq!(told.latencies.len(), 1, "{told:?}");
        let latency = told.latencies[0];
        assert_eq!(latency.hook, Hook::RunEnd);
        assert_eq!(latency.classes, [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(latency.total, Duration::from_micros(19_000_203));
    }
}
