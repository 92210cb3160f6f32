//! Checks on processes: S1 and S5 as the outside world sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::checks::{Violation, violation};
use super::process::Process;
use super::scenarios::Kind;
use super::witness::Fact;
use super::world::Outcome;

/// How soon a worker that wakes ends what it must not run any more: a look at its clocks every second,
/// and SIGKILL 2 s after SIGTERM.
const CUT_SHORT: Duration = Duration::from_millis(3200);

/// No two processes of one run, and none of two runs of an exclusive job, at any time: whatever was
/// paused, cut off or killed.
pub(crate) fn processes(outcome: &Outcome) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut by_job: BTreeMap<&str, Vec<&Process>> = BTreeMap::new();
    for process in &outcome.processes {
        by_job
            .entry(process.job.as_str())
            .or_default()
            .push(process);
    }
    for list in by_job.values() {
        for (n, one) in list.iter().enumerate() {
            for other in &list[n + 1..] {
                let overlap = one.started < other.gone() && other.started < one.gone();
                if !overlap || was_asleep(outcome, one, other) {
                    continue;
                }
                if one.run == other.run {
                    found.push(violation(
                        "S1",
                        format!("two processes: {one:?}, {other:?}"),
                    ));
                } else if one.exclusive && other.exclusive {
                    found.push(violation(
                        "S5",
                        format!("two processes: {one:?}, {other:?}"),
                    ));
                }
            }
        }
    }
    if outcome.scenario.kind == Kind::Outage {
        found.extend(survivors(outcome));
    }
    found
}

/// A process that slept with its machine while the rest of the world gave it up cannot be prevented, only
/// cut short: its worker ends it as soon as it wakes.
fn was_asleep(outcome: &Outcome, one: &Process, other: &Process) -> bool {
    let (older, newer) = if one.started <= other.started {
        (one, other)
    } else {
        (other, one)
    };
    outcome.sleeps.iter().any(|sleep| {
        older.host.starts_with(&format!("{}#", sleep.host))
            && older.started <= sleep.woke
            && sleep.woke <= newer.started
            && older.gone() <= sleep.woke + CUT_SHORT
    })
}

/// An outage shorter than `lost_after` ends no job.
fn survivors(outcome: &Outcome) -> Vec<Violation> {
    let lost = outcome.facts.iter().filter_map(|(at, fact)| match fact {
        Fact::Finished(done) if done.outcome.state == sandclock_core::run::RunState::Lost => {
            Some(violation("REBIND", format!("at {at} ms: {done:?}")))
        }
        _ => None,
    });
    lost.collect()
}
