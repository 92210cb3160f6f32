//! What is to be done about a job's open and waiting runs now: a pure function of what this worker
//! sees.
//!
//! | record | seen | step |
//! |---|---|---|
//! | open, claimed by a session that is gone | for the job's `lost_after` | settle: lost, or rerun |
//! | open, claimed by this process, unknown to it | – | hand it back (the orphan rule) |
//! | open, without owner | a kill is there | settle: killed |
//! | open, without owner | `not_before` has passed | take |
//! | waiting | a kill is there | settle: killed |
//! | waiting tick | the job is gone, disabled, or another one of the same name | settle: skipped |
//! | waiting | the job's record cannot be read | none: it waits for the repair |
//! | waiting | the job is free | take: ticks first, then requests in order of creation |
//! | waiting tick of a replacing job | it is busy | send the open run its kill, if nobody has |

use std::time::Duration;

use super::catalog::{Definition, Entry};
use super::clock::Now;
use super::view::JobRecords;
use crate::backend::{
    Kill, OpenRecord, OpenState, RecordSeen, SessionId, SettleAs, TakeFrom, Versioned, WaitRecord,
};
use crate::job::JobName;
use crate::policy::{ConcurrencyPolicy, LostRunPolicy};
use crate::run::{Outcome, RunId, RunKey, RunState};
use crate::time::Timestamp;

/// How long the worker of the last attempt leaves the next one to others, if the job wants another.
const OTHER_WORKER: Duration = Duration::from_secs(30);

/// A step about one record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rescue {
    /// Settle it.
    Settle {
        record: RecordSeen,
        how: SettleAs,
        killed: Outcome,
    },
    /// Take it.
    Take { record: RecordSeen, from: TakeFrom },
    /// It is ours without our knowing: hand it back.
    HandBack { record: RecordSeen },
    /// The open run has to make way for a newer tick.
    Kill(Kill),
}

impl Rescue {
    /// The run it is about.
    pub(super) fn key(&self) -> Option<&RunKey> {
        match self {
            Self::Settle { record, .. } | Self::Take { record, .. } | Self::HandBack { record } => {
                Some(&record.key)
            }
            Self::Kill(_) => None,
        }
    }
}

/// What the rules need to know about the worker and what it has seen.
pub(super) trait Knowledge {
    /// For how long the session has been seen to be gone.
    fn gone_for(&self, session: &SessionId) -> Option<Duration>;
    /// Whether this claim is this process's and it does not know of it.
    fn is_orphan(&self, open: &OpenRecord) -> bool;
    /// A kill of the run.
    fn kill(&self, run: &RunId) -> Option<&Kill>;
    /// Whether a request about this run is on its way.
    fn is_pending(&self, key: &RunKey) -> bool;
    /// The worker's name.
    fn me(&self) -> &str;
    /// A random number in `[0, 1)`.
    fn dice(&self) -> f64;
}

/// What can be done now, and when to look again without any change.
#[derive(Debug, Default)]
pub(super) struct Rescues {
    /// Steps, in the order of preference.
    pub(super) steps: Vec<Rescue>,
    /// The next moment at which time alone makes a step possible.
    pub(super) wake: Option<Timestamp>,
}

impl Rescues {
    fn later(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// Plans all steps about the records of `job`.
pub(super) fn plan(
    job: &JobName,
    definition: Definition<'_>,
    records: &JobRecords,
    now: Now,
    known: &dyn Knowledge,
) -> Rescues {
    let mut rescues = Rescues::default();
    for open in records.open.values() {
        if !known.is_pending(&open.value.key) {
            plan_open(open, now, known, &mut rescues);
        }
    }
    plan_waiting(job, definition, records, now.wall, known, &mut rescues);
    rescues
}

fn plan_open(open: &Versioned<OpenRecord>, now: Now, known: &dyn Knowledge, rescues: &mut Rescues) {
    let record = seen(&open.value.job, &open.value.key, open);
    match &open.value.state {
        OpenState::Claimed {
            session, worker, ..
        } => {
            if known.is_orphan(&open.value) {
                rescues.steps.push(Rescue::HandBack { record });
                return;
            }
            let Some(gone_for) = known.gone_for(session) else {
                return;
            };
            let lost_after = open.value.pinned.job.lost_after;
            if gone_for < lost_after {
                rescues.later(now.wall.plus(lost_after.saturating_sub(gone_for)));
                return;
            }
            rescues.steps.push(Rescue::Settle {
                how: after_loss(&open.value, worker, now.wall, known),
                killed: killed(&open.value.run(), now.wall, known),
                record,
            });
        }
        OpenState::Waiting {
            not_before,
            exclude,
        } => {
            if known.kill(&open.value.run()).is_some() {
                rescues
                    .steps
                    .push(if_killed(&open.value.run(), record, now.wall, known));
                return;
            }
            let excluded = exclude.as_deref() == Some(known.me());
            let from = match excluded {
                true => not_before.plus(OTHER_WORKER),
                false => *not_before,
            };
            if now.wall < from {
                rescues.later(from);
                return;
            }
            let from = TakeFrom::Open;
            rescues.steps.push(Rescue::Take { record, from });
        }
    }
}

/// What becomes of a run whose worker is gone.
fn after_loss(open: &OpenRecord, worker: &str, now: Timestamp, known: &dyn Knowledge) -> SettleAs {
    let job = &open.pinned.job;
    let again = match job.on_lost {
        LostRunPolicy::Rerun { max } => open.reruns < max,
        LostRunPolicy::Record => false,
    };
    if again {
        return SettleAs::Rerun { not_before: now };
    }
    if job.retry.wants(open.attempt, RunState::Lost, None, None) {
        let wait = job.retry.backoff.wait_after(open.attempt, known.dice());
        return SettleAs::Rerun {
            not_before: now.plus(wait),
        };
    }
    let cause = format!("its worker {worker} was gone");
    SettleAs::Lost(Outcome::without_process(RunState::Lost, cause, now))
}

fn plan_waiting(
    job: &JobName,
    definition: Definition<'_>,
    records: &JobRecords,
    now: Timestamp,
    known: &dyn Knowledge,
    rescues: &mut Rescues,
) {
    let entry = match definition {
        Definition::Known(entry) => Some(entry),
        Definition::Broken(_) | Definition::Gone => None,
    };
    let mut takeable: Vec<&Versioned<WaitRecord>> = Vec::new();
    for wait in records.wait.values() {
        let run = RunId::of(job, &wait.value.key);
        let record = seen(job, &wait.value.key, wait);
        if known.is_pending(&wait.value.key) {
            if entry.is_some_and(|entry| entry.stored.job.concurrency.is_exclusive()) {
                // Whatever comes of it, nothing may overtake it.
                return;
            }
            continue;
        }
        if known.kill(&run).is_some() {
            rescues.steps.push(if_killed(&run, record, now, known));
        } else if let Some(why) = given_up(definition, wait) {
            let outcome = Outcome::without_process(RunState::Skipped, why, now);
            let job = definition.version();
            rescues.steps.push(Rescue::Settle {
                record,
                how: SettleAs::Drop { outcome, job },
                killed: killed(&run, now, known),
            });
        } else {
            takeable.push(wait);
        }
    }
    if let Some(entry) = entry {
        plan_take(job, entry, records, takeable, now, known, rescues);
    }
}

/// Why a waiting run will never be admitted.
fn given_up(definition: Definition<'_>, wait: &Versioned<WaitRecord>) -> Option<&'static str> {
    let tick = wait.value.key.fire_time().is_some();
    let (created, enabled) = match definition {
        Definition::Known(entry) => (entry.stored.created, entry.stored.job.enabled),
        // Nobody knows, so that nothing is given up before it is repaired or deleted.
        Definition::Broken(record) => (record.created, true),
        Definition::Gone => return Some("the job was deleted while it waited"),
    };
    // Versions of one store are comparable: it waited before this life of the name began.
    if created > wait.version {
        return Some("the job was deleted while it waited");
    }
    (tick && !enabled).then_some("the job was disabled while it waited")
}

fn plan_take(
    job: &JobName,
    entry: &Entry,
    records: &JobRecords,
    mut waiting: Vec<&Versioned<WaitRecord>>,
    now: Timestamp,
    known: &dyn Knowledge,
    rescues: &mut Rescues,
) {
    let policy = entry.stored.job.concurrency;
    // Ticks, what was asked for by hand, and what makes up for the past, which may be much.
    waiting.sort_by_key(|wait| {
        let key = &wait.value.key;
        (key.fire_time().is_none(), key.backfilled(), wait.version)
    });
    let newest_tick = waiting
        .iter()
        .rfind(|wait| wait.value.key.fire_time().is_some());
    let Some(next) = (match policy {
        ConcurrencyPolicy::Replace => newest_tick.or_else(|| waiting.first()),
        _ => waiting.first(),
    }) else {
        return;
    };
    let exclusive = policy.is_exclusive();
    if exclusive && !records.open.is_empty() {
        if policy == ConcurrencyPolicy::Replace && newest_tick.is_some() {
            let kills = records.open.values().map(|open| open.value.run());
            let missing = kills.filter(|run| known.kill(run).is_none());
            rescues
                .steps
                .extend(missing.map(|run| Rescue::Kill(make_way(run))));
        }
        return;
    }
    let replaced = waiting
        .iter()
        .filter(|wait| policy == ConcurrencyPolicy::Replace && wait.value.key < next.value.key)
        .filter(|wait| wait.value.key.fire_time().is_some());
    let skip = replaced.map(|wait| {
        let cause = "a newer tick took its place";
        let outcome = Outcome::without_process(RunState::Skipped, cause, now);
        (seen(job, &wait.value.key, wait), outcome)
    });
    rescues.steps.push(Rescue::Take {
        record: seen(job, &next.value.key, next),
        from: TakeFrom::Wait {
            pinned: entry.pinned(),
            exclusive,
            skip: skip.collect(),
        },
    });
}

/// The kill by which an open run makes way for a newer tick.
pub(super) fn make_way(run: RunId) -> Kill {
    Kill {
        run,
        by: "sandclock".to_owned(),
        why: "a newer tick of the job replaces it".to_owned(),
    }
}

/// The end of a run for which a kill is there.
pub(super) fn killed(run: &RunId, now: Timestamp, known: &dyn Knowledge) -> Outcome {
    killed_by(known.kill(run), now)
}

/// The end of a run by `kill`, if it is known who sent it.
pub(super) fn killed_by(kill: Option<&Kill>, now: Timestamp) -> Outcome {
    let cause = match kill {
        Some(kill) => format!("killed by {}: {}", kill.by, kill.why),
        None => "killed".to_owned(),
    };
    Outcome::without_process(RunState::Killed, cause, now)
}

fn if_killed(run: &RunId, record: RecordSeen, now: Timestamp, known: &dyn Knowledge) -> Rescue {
    Rescue::Settle {
        record,
        how: SettleAs::IfKilled,
        killed: killed(run, now, known),
    }
}

fn seen<R>(job: &JobName, key: &RunKey, record: &Versioned<R>) -> RecordSeen {
    RecordSeen {
        job: job.clone(),
        key: key.clone(),
        version: record.version,
    }
}

#[cfg(test)]
mod tests;
