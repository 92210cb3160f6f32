//! What is to be done about a job's ticks now: a pure function of what this worker sees.
//!
//! A mark says up to where ticks are decided. Everything after it and not after now is due. Ticks up to
//! 30 s late are **on time** and decided singly, in order; later ones follow the misfire policy, which
//! decides one of them and passes over those before it in the same step. So any number of missed ticks
//! costs a few steps: they are counted, never listed.
//!
//! ```text
//!  mark ── late ── late ── late ── now − 30 s ── on time ── now ── not yet due
//!          passed  passed  decided               next step
//! ```
//!
//! A run that catches up on a late tick is a run: what is on time and meets it follows the job's policy for
//! concurrency as ever, so that a forbidding job skips it. Only the late ticks of `all`, which run one by
//! one, wait for each other.
//!
//! A forbidding job that stays busy would record a skip per tick; when its ticks are close together
//! they are collected and recorded every 10 s as one range.

use std::time::Duration;

use super::catalog::{Entry, Timing};
use super::view::{Busy, JobRecords};
use crate::backend::{DecideFate, Generation, Mark, Span, Versioned};
use crate::job::Job;
use crate::policy::{ConcurrencyPolicy, MisfirePolicy, ON_TIME};
use crate::run::{Outcome, RunState};
use crate::schedule::Timetable;
use crate::time::Timestamp;

/// How long skips of a busy job are collected.
const COLLECT: Duration = Duration::from_secs(10);
/// A tick this close to the moment when the job was seen to be free is left to the store's judgement.
const FREE_MARGIN: Duration = Duration::from_millis(500);
/// A mark this far ahead of the own clock is worth an alert.
const FAR_MARK: Duration = Duration::from_secs(2);
/// An adoption waits at most this long for the own clock to reach the moment of the change.
const ADOPT_WAIT: Duration = Duration::from_secs(30);

/// What to do about the ticks of a job.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Move the mark under the present definition.
    Adopt(AdoptPlan),
    /// Decide one tick.
    Decide(Box<DecidePlan>),
    /// Nothing before this; `None`: nothing until something changes.
    Wait(Option<Timestamp>),
}

/// See [`crate::backend::Adopt`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AdoptPlan {
    /// Where the mark goes, unless it is already later.
    pub(super) to: Timestamp,
    /// Ticks of the old definition that are given up.
    pub(super) owed: Option<(Span, Outcome)>,
}

/// See [`crate::backend::Decide`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DecidePlan {
    /// The mark it starts from.
    pub(super) prev: Mark,
    /// The tick.
    pub(super) fire: Timestamp,
    /// Ticks before it that are passed over.
    pub(super) passed: Option<(Span, Outcome)>,
    /// What becomes of the tick.
    pub(super) fate: DecideFate,
}

/// What the planner looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    /// The job.
    pub(super) entry: &'a Entry,
    /// Its mark.
    pub(super) mark: Option<&'a Versioned<Mark>>,
    /// Its open and waiting runs.
    pub(super) records: Option<&'a JobRecords>,
    /// The zone of the worker whose zone counted last instead of this worker's.
    pub(super) zone_before: Option<&'a str>,
    /// The own wall clock.
    pub(super) now: Timestamp,
}

impl Sight<'_> {
    fn job(&self) -> &Job {
        &self.entry.stored.job
    }

    fn busy(&self) -> Option<Busy> {
        self.records.and_then(|records| records.busy)
    }

    /// Whether a tick could not be admitted now, as far as this worker has heard.
    fn is_occupied(&self) -> bool {
        self.records
            .is_some_and(|records| !records.open.is_empty() || !records.wait.is_empty())
    }

    /// How the job was due under this generation, if that is known, and why it is no longer.
    fn due_before(&self, generation: Generation) -> Option<(Timing, &'static str)> {
        match &self.entry.previous {
            Some((known, timing)) if *known == generation => Some((
                timing.clone(),
                "the definition changed before it was decided",
            )),
            _ => Some((
                self.entry.in_zone(self.zone_before?, generation)?,
                "the fleet's time zone changed before it was decided",
            )),
        }
    }

    fn skipped(&self) -> Outcome {
        let open = self
            .records
            .and_then(|records| records.open.values().next());
        let cause = match (self.job().concurrency, open) {
            (ConcurrencyPolicy::Queue, _) => "another tick already waits".to_owned(),
            (_, Some(open)) => format!("run {} of the job was still open", open.value.run()),
            (_, None) => "another run of the job was still open".to_owned(),
        };
        Outcome::without_process(RunState::Skipped, cause, self.now)
    }

    fn missed(&self, cause: &str) -> Outcome {
        Outcome::without_process(RunState::Missed, cause, self.now)
    }
}

/// Whether a mark is so far ahead that a person should look at it.
pub(super) fn is_far(mark: &Mark, now: Timestamp) -> bool {
    mark.at > now.plus(FAR_MARK)
}

/// Plans the next step for a job.
pub(super) fn plan(sight: Sight<'_>) -> Step {
    match sight.mark {
        Some(mark) if mark.value.generation == sight.entry.generation => {
            match sight.entry.timing.table() {
                Some(table) => plan_tick(sight, mark.value, table),
                None => Step::Wait(None),
            }
        }
        mark => plan_adopt(sight, mark.map(|mark| mark.value)),
    }
}

fn plan_adopt(sight: Sight<'_>, old: Option<Mark>) -> Step {
    let to = match sight.job().schedule_since {
        // The change is ahead of our clock: no tick of the new definition can be due before it.
        Some(since) if since > sight.now && since <= sight.now.plus(ADOPT_WAIT) => {
            return Step::Wait(Some(since));
        }
        Some(since) => since.min(sight.now),
        None => sight.now,
    };
    let owed = old.and_then(|old| {
        let (timing, why) = sight.due_before(old.generation)?;
        let span = span(timing.table()?, old.at, to)?;
        Some((span, sight.missed(why)))
    });
    Step::Adopt(AdoptPlan { to, owed })
}

/// All fire times after `after` and not after `until`, as one range.
fn span(table: &Timetable, after: Timestamp, until: Timestamp) -> Option<Span> {
    let first = table.next_after(after).filter(|first| *first <= until)?;
    let last = table.last_at_or_before(until, after).unwrap_or(first);
    let (count, _) = table.count_between(after, until, u64::MAX);
    Some(Span {
        first,
        last,
        count: count.max(1),
    })
}

fn plan_tick(sight: Sight<'_>, mark: Mark, table: &Timetable) -> Step {
    let Some(first) = table.next_after(mark.at) else {
        return Step::Wait(None);
    };
    if first > sight.now {
        return Step::Wait(Some(first));
    }
    let on_time_from = sight.now.minus(ON_TIME);
    if first < on_time_from {
        let before = Timestamp::from_millis(on_time_from.as_millis() - 1);
        let newest = table.last_at_or_before(before, mark.at).unwrap_or(first);
        return plan_late(sight, mark, table, newest);
    }
    if sight.job().concurrency == ConcurrencyPolicy::Forbid
        && let Some(step) = plan_busy(sight, mark, table, first)
    {
        return step;
    }
    decide(mark, first, None, run(sight))
}

fn run(sight: Sight<'_>) -> DecideFate {
    run_if_admitted(sight, false)
}

/// `in_turn` if the tick has to run, however long the job is busy.
fn run_if_admitted(sight: Sight<'_>, in_turn: bool) -> DecideFate {
    DecideFate::Run {
        policy: sight.job().concurrency,
        busy: sight.skipped(),
        in_turn,
    }
}

fn decide(prev: Mark, fire: Timestamp, passed: Option<(Span, Outcome)>, fate: DecideFate) -> Step {
    Step::Decide(Box::new(DecidePlan {
        prev,
        fire,
        passed,
        fate,
    }))
}

/// On-time ticks of a forbidding job that has been busy. `None`: decide the first as any other.
fn plan_busy(sight: Sight<'_>, mark: Mark, table: &Timetable, first: Timestamp) -> Option<Step> {
    let busy = sight.busy()?;
    // The first tick of a busy stretch is recorded at once; only what follows is collected.
    if mark.at < busy.since || first < busy.since {
        return None;
    }
    let (until, fate) = match busy.until {
        None => {
            let close = table
                .next_after(first)
                .is_some_and(|next| next <= first.plus(COLLECT));
            if !close {
                return None;
            }
            if sight.now < first.plus(COLLECT) {
                return Some(Step::Wait(Some(first.plus(COLLECT))));
            }
            (sight.now, run(sight))
        }
        Some(freed) => {
            let skipped = DecideFate::Record(sight.skipped());
            (freed.minus(FREE_MARGIN), skipped)
        }
    };
    let last = table.last_at_or_before(until, mark.at)?;
    let before = Timestamp::from_millis(last.as_millis() - 1);
    let passed = span(table, mark.at, before).map(|span| (span, sight.skipped()));
    Some(decide(mark, last, passed, fate))
}

/// Late ticks, of which `newest` is the last.
fn plan_late(sight: Sight<'_>, mark: Mark, table: &Timetable, newest: Timestamp) -> Step {
    let misfire = sight.job().misfire;
    let alive_from = sight.now.minus(misfire.deadline);
    let policy = match (misfire.policy, sight.job().concurrency) {
        // Only the newest would survive the next.
        (MisfirePolicy::All { .. }, ConcurrencyPolicy::Replace) => MisfirePolicy::Once,
        (policy, _) => policy,
    };
    let dead = || {
        let deadline = misfire.deadline.as_secs_f64();
        format!("it could not start within its deadline of {deadline} s")
    };
    let (fire, runs, why) = match policy {
        _ if newest < alive_from => (newest, false, dead()),
        MisfirePolicy::Skip => {
            let limit = ON_TIME.as_secs();
            let why =
                format!("it was more than {limit} s late, and late ticks of the job are skipped");
            (newest, false, why)
        }
        MisfirePolicy::Once => {
            // Whether that one runs or meets a run of the job is for the store to say.
            let why = format!("only the newest of the late ticks counts, that of {newest}");
            (newest, true, why)
        }
        MisfirePolicy::All { max } => {
            if sight.job().concurrency.is_exclusive() && sight.is_occupied() {
                // One after the other: the next one's turn comes when the job is free.
                return Step::Wait(None);
            }
            let alive_after = mark.at.max(before(alive_from));
            let fire = nth_newest(table, alive_after, newest, max);
            let last_dead = table.last_at_or_before(alive_after, mark.at);
            match (last_dead, table.next_after(alive_after) == Some(fire)) {
                (None, _) => {
                    let why = format!("more ticks were late than the {max} that run");
                    (fire, true, why)
                }
                (Some(_), true) => (fire, true, dead()),
                // One range has one cause, so these come first and the others in the next step.
                (Some(last), false) => (last, false, dead()),
            }
        }
    };
    let fate = match runs {
        // What the view does not show yet, the store knows.
        true => run_if_admitted(sight, matches!(policy, MisfirePolicy::All { .. })),
        false => DecideFate::Record(sight.missed(&why)),
    };
    let passed = span(table, mark.at, before(fire)).map(|span| (span, sight.missed(&why)));
    decide(mark, fire, passed, fate)
}

fn before(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_sub(1))
}

/// The first of the newest `max` fire times after `after` and not after `newest`, itself one.
fn nth_newest(table: &Timetable, after: Timestamp, newest: Timestamp, max: u32) -> Timestamp {
    let (_, more) = table.count_between(after, newest, u64::from(max));
    if !more {
        return table.next_after(after).unwrap_or(newest).min(newest);
    }
    let mut fire = newest;
    for _ in 1..max {
        match table.last_at_or_before(before(fire), after) {
            Some(earlier) => fire = earlier,
            None => break,
        }
    }
    fire
}

#[cfg(test)]
mod tests;
