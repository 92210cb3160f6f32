//! The invariants, each a look at the whole history.
//!
//! A change of the store carries the version of its step. So what one step did can be told from what the
//! next one did, and a decision can be compared with the job as it was at that very version.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sandclock_core::backend::{
    DoneRecord, FireEvent, Generation, JobEvent, Mark, Nonce, OpenRecord, OpenState, Span,
    StoredJob, Version, Versioned,
};
use sandclock_core::job::JobName;
use sandclock_core::policy::{LostRunPolicy, MisfirePolicy};
use sandclock_core::run::{RunId, RunKey, RunState};
use sandclock_core::schedule::Timetable;
use sandclock_core::time::Timestamp;

use super::processes::processes;
use super::scenarios::{CALM, Kind};
use super::witness::{Fact, Start};
use super::world::{Outcome, epoch, timetable};

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

/// All that is wrong with this outcome.
pub(crate) fn violations(outcome: &Outcome) -> Vec<Violation> {
    let mut found: Vec<Violation> = outcome
        .complaints
        .iter()
        .map(|(invariant, what)| violation(invariant, what.clone()))
        .collect();
    let mut replay = Replay::new(outcome);
    // Switching the jobs off gives up what is owed: what was not decided by then was late.
    let off = outcome
        .facts
        .partition_point(|(at, _)| *at <= outcome.off_ms);
    let (until_off, since_off) = outcome.facts.split_at(off);
    replay.apply_all(until_off);
    replay.check_progress();
    replay.apply_all(since_off);
    replay.check_run_log();
    found.extend(replay.found);
    found.extend(processes(outcome));
    found
}

pub(crate) fn violation(invariant: &'static str, what: impl Into<String>) -> Violation {
    Violation {
        invariant,
        what: what.into(),
    }
}

/// A definition of a job that decides about ticks.
#[derive(Clone, Debug)]
struct Definition {
    table: Option<Timetable>,
    since: Timestamp,
}

/// What one step decided.
#[derive(Clone, Debug)]
enum Decided {
    Tick(Timestamp),
    Range(Span),
}

/// What one step of the store did to one job.
#[derive(Debug, Default)]
struct Step {
    version: u64,
    job: Option<JobName>,
    decided: Vec<Decided>,
    mark: Option<(Option<Mark>, Mark)>,
}

type Id = (JobName, RunKey);

struct Replay<'a> {
    outcome: &'a Outcome,
    found: Vec<Violation>,
    /// Every version of every job, and its deletions.
    jobs: BTreeMap<JobName, BTreeMap<u64, Option<StoredJob>>>,
    definitions: BTreeMap<Generation, Definition>,
    marks: BTreeMap<JobName, Mark>,
    open: BTreeMap<Id, Versioned<OpenRecord>>,
    /// Runs that have been decided and whose next record is no new decision.
    lineage: BTreeSet<Id>,
    /// Ticks and ranges that were ever decided.
    decided: BTreeMap<JobName, Vec<(Timestamp, Timestamp)>>,
    done: BTreeMap<RunId, DoneRecord>,
    asked: BTreeMap<Id, u32>,
    killed: BTreeSet<RunId>,
    /// Claims, by fence, of runs whose kill had been acknowledged before.
    doomed: BTreeSet<u64>,
    step: Step,
    now_ms: u64,
}

impl<'a> Replay<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        let mut jobs: BTreeMap<JobName, BTreeMap<u64, Option<StoredJob>>> = BTreeMap::new();
        let mut definitions = BTreeMap::new();
        for (_, fact) in &outcome.facts {
            match fact {
                Fact::Job(JobEvent::Put(stored)) => {
                    let generation = Generation::of(&stored.job, stored.created);
                    definitions.insert(
                        generation,
                        Definition {
                            table: timetable(&stored.job),
                            since: stored.job.schedule_since.unwrap(),
                        },
                    );
                    let versions = jobs.entry(stored.job.name.clone()).or_default();
                    versions.insert(stored.version.0, Some(stored.clone()));
                }
                // Nothing may be claimed under a definition that nobody can read.
                Fact::Job(JobEvent::Broken(broken)) => {
                    jobs.entry(broken.name.clone())
                        .or_default()
                        .insert(broken.version.0, None);
                }
                Fact::Job(JobEvent::Deleted(name, version)) => {
                    jobs.entry(name.clone())
                        .or_default()
                        .insert(version.0, None);
                }
                _ => {}
            }
        }
        Self {
            outcome,
            found: Vec::new(),
            jobs,
            definitions,
            marks: BTreeMap::new(),
            open: BTreeMap::new(),
            lineage: BTreeSet::new(),
            decided: BTreeMap::new(),
            done: BTreeMap::new(),
            asked: BTreeMap::new(),
            killed: BTreeSet::new(),
            doomed: BTreeSet::new(),
            step: Step::default(),
            now_ms: 0,
        }
    }

    fn fail(&mut self, invariant: &'static str, what: String) {
        let what = format!("at {} ms: {what}", self.now_ms);
        self.found.push(violation(invariant, what));
    }

    /// The wall time that a right clock shows.
    fn wall(&self) -> Timestamp {
        let sleeps = &self.outcome.sleeps;
        let last = sleeps.iter().rfind(|sleep| sleep.woke_ms <= self.now_ms);
        let slept = last.map_or(0, |sleep| sleep.total_ms);
        epoch().plus(std::time::Duration::from_millis(self.now_ms + slept))
    }

    fn apply_all(&mut self, facts: &[(u64, Fact)]) {
        for (at, fact) in facts {
            self.apply(*at, fact);
        }
        self.close_step();
    }

    fn apply(&mut self, now_ms: u64, fact: &Fact) {
        match fact {
            Fact::Fire(event) => {
                let (version, job) = place(event);
                if (version, Some(job)) != (self.step.version, self.step.job.as_ref()) {
                    self.close_step();
                    self.step.version = version;
                    self.step.job = Some(job.clone());
                }
                self.now_ms = now_ms;
                self.fire(event);
            }
            Fact::Killed(run) => {
                self.now_ms = now_ms;
                self.killed.insert(run.clone());
            }
            Fact::Asked(job, id, _) => {
                // The answer may be that the run is known; then nothing may be new.
                let id = (job.clone(), RunKey::Request(id.clone()));
                self.asked.entry(id).or_default();
            }
            Fact::Started(start) => self.started(now_ms, start),
            Fact::Answered(job, key, nonce, held) => self.answered(now_ms, job, key, *nonce, *held),
            Fact::Finished(done) => self.finished(now_ms, done),
            Fact::Job(_) | Fact::Session(_) | Fact::Note(_) => {}
        }
    }

    fn fire(&mut self, event: &FireEvent) {
        match event {
            FireEvent::Mark(job, mark) => {
                let before = self.marks.insert(job.clone(), mark.value);
                self.step.mark = Some((before, mark.value));
            }
            FireEvent::MarkGone(job, _) => {
                if let Some(mark) = self.marks.remove(job) {
                    self.fail("S2", format!("the mark of {job} at {} is gone", mark.at));
                }
            }
            FireEvent::Open(open) => self.opened(open),
            FireEvent::OpenGone(seen) => {
                let id = (seen.job.clone(), seen.key.clone());
                self.open.remove(&id);
                // Its done record comes in the same step and is no new decision.
                self.lineage.insert(id);
            }
            FireEvent::Wait(wait) => {
                let id = (wait.value.job.clone(), wait.value.key.clone());
                match &wait.value.key {
                    RunKey::Tick(at) => self.step.decided.push(Decided::Tick(*at)),
                    RunKey::Request(_) => {
                        let times = self.asked.entry(id.clone()).or_default();
                        *times += 1;
                        if *times > 1 {
                            let run = RunId::of(&id.0, &id.1);
                            self.fail("R", format!("request {} runs again ({run})", id.1));
                        }
                    }
                }
                self.lineage.insert(id);
            }
            FireEvent::WaitGone(_) | FireEvent::DoneGone(_) | FireEvent::Progress => {}
            FireEvent::Done(done) => self.ended(&done.value),
        }
    }

    fn opened(&mut self, open: &Versioned<OpenRecord>) {
        let record = &open.value;
        let id = (record.job.clone(), record.key.clone());
        let before = self.open.insert(id.clone(), open.clone());
        let waited = self.lineage.remove(&id);
        let is_new = before.is_none();
        if is_new
            && !waited
            && let RunKey::Tick(at) = record.key
        {
            self.step.decided.push(Decided::Tick(at));
        }
        if is_new {
            self.admitted(open);
        }
        let again = before.as_ref().map(|before| &before.value.state);
        if let (Some(OpenState::Claimed { nonce: old, .. }), OpenState::Claimed { nonce, .. }) =
            (again, &record.state)
            && old != nonce
        {
            self.fail("S1", format!("{} was taken from its holder", record.run()));
        }
        if self.killed.contains(&record.run()) {
            self.doomed.insert(open.version.0);
        }
        let job = &record.pinned.job;
        let reruns = match job.on_lost {
            LostRunPolicy::Rerun { max } => max,
            LostRunPolicy::Record => 0,
        };
        if record.attempt > 1 + job.retry.max + 2 * reruns {
            self.fail(
                "L1",
                format!("attempt {} of {}", record.attempt, record.run()),
            );
        }
    }

    /// A run has become active.
    fn admitted(&mut self, open: &Versioned<OpenRecord>) {
        let record = &open.value;
        let pinned = &record.pinned;
        let current = self.job_at(&record.job, open.version);
        if current.is_none_or(|stored| stored.job != pinned.job) {
            self.fail(
                "D1",
                format!("{} runs a definition that is not current", record.run()),
            );
        } else if record.key.fire_time().is_some() && !pinned.job.enabled {
            self.fail(
                "D1",
                format!("{} is a tick of a disabled job", record.run()),
            );
        }
        let others = self
            .open
            .keys()
            .filter(|(job, _)| *job == record.job)
            .count();
        if pinned.job.concurrency.is_exclusive() && others > 1 {
            self.fail(
                "S5",
                format!("{} is active beside another run", record.run()),
            );
        }
    }

    fn job_at(&self, job: &JobName, version: Version) -> Option<StoredJob> {
        let versions = self.jobs.get(job)?;
        versions.range(..=version.0).next_back()?.1.clone()
    }

    fn ended(&mut self, done: &DoneRecord) {
        let id = (done.job.clone(), done.key.clone());
        let lived = self.lineage.remove(&id);
        match (done.span, &done.key) {
            (Some(span), _) => self.step.decided.push(Decided::Range(span)),
            (None, RunKey::Tick(at)) if !lived => self.step.decided.push(Decided::Tick(*at)),
            _ => {}
        }
        // Every command here ends with an exit code, unless somebody ends it: a worker that can say why,
        // or the deadline that its worker has not extended.
        if done.outcome.state == RunState::Failed && done.outcome.signal.is_some() {
            let what = format!(
                "{} failed, but was ended from outside: {done:?}",
                done.run()
            );
            self.fail("LOST", what);
        }
        if let Some(before) = self.done.insert(done.run(), done.clone()) {
            self.fail(
                "S8",
                format!("{} ended twice: {before:?}, {done:?}", done.run()),
            );
        }
    }

    /// The step is complete: it must have decided exactly the ticks that its mark passed (S7), and none
    /// that was decided before (S2).
    fn close_step(&mut self) {
        let step = std::mem::take(&mut self.step);
        let Some(job) = step.job else { return };
        let mut count = 0;
        for decided in &step.decided {
            let (first, last, ticks) = match decided {
                Decided::Tick(at) => (*at, *at, 1),
                Decided::Range(span) => (span.first, span.last, span.count),
            };
            count += ticks;
            let before = self.decided.entry(job.clone()).or_default();
            let twice = before
                .iter()
                .any(|(from, to)| first <= *to && *from <= last);
            before.push((first, last));
            if twice {
                self.fail("S2", format!("{job}: {first}..{last} was decided before"));
            }
        }
        match step.mark {
            Some((before, mark)) => {
                self.moved(&job, before, mark, &step.decided, count);
            }
            None if count > 0 => {
                self.fail("S7", format!("{job}: ticks decided without the mark"));
            }
            None => {}
        }
    }

    fn moved(
        &mut self,
        job: &JobName,
        before: Option<Mark>,
        mark: Mark,
        decided: &[Decided],
        count: u64,
    ) {
        if let Some(before) = before
            && mark.at < before.at
        {
            self.fail("S2", format!("the mark of {job} fell to {}", mark.at));
            return;
        }
        let same = before.filter(|before| before.generation == mark.generation);
        let Some(before) = same else {
            self.adopted(job, mark);
            return;
        };
        let Some(definition) = self.definitions.get(&mark.generation).cloned() else {
            return;
        };
        let Some(table) = &definition.table else {
            return;
        };
        let (expected, _) = table.count_between(before.at, mark.at, u64::MAX);
        if expected != count {
            let (from, to) = (before.at, mark.at);
            let what = format!("{job}: {count} of {expected} ticks in ({from}, {to}] recorded");
            self.fail("S7", what);
        }
        for decided in decided {
            let (first, last) = match decided {
                Decided::Tick(at) => (*at, *at),
                Decided::Range(span) => (span.first, span.last),
            };
            let fires = |at: Timestamp| {
                table.next_after(Timestamp::from_millis(at.as_millis() - 1)) == Some(at)
            };
            if !fires(first) || !fires(last) {
                self.fail("S7", format!("{job}: {first}..{last} are not its ticks"));
            }
            if first <= definition.since {
                self.fail("D2", format!("{job}: {first} is before the definition"));
            }
            if self.outcome.scenario.kind == Kind::ClockAhead
                && last > self.wall().plus(std::time::Duration::from_millis(2500))
            {
                self.fail("EARLY", format!("{job}: {last} was decided too early"));
            }
        }
    }

    fn adopted(&mut self, job: &JobName, mark: Mark) {
        let Some(definition) = self.definitions.get(&mark.generation).cloned() else {
            self.fail("D2", format!("{job}: a mark of no known definition"));
            return;
        };
        // A little earlier is fine: the adopter's clock may be behind the operator's.
        if mark.at.plus(std::time::Duration::from_secs(5)) < definition.since {
            self.fail(
                "D2",
                format!("{job}: adopted at {}, before its definition", mark.at),
            );
        }
    }

    fn started(&mut self, now_ms: u64, start: &Start) {
        self.now_ms = now_ms;
        let run = RunId::of(&start.job, &start.key);
        if !start.session_lives {
            self.fail(
                "S4",
                format!("{run} was started on {} without a session", start.host),
            );
        }
        if !start.fence_holds {
            self.fail(
                "S1",
                format!("{run} was started on {} without a hold", start.host),
            );
        }
        if self.doomed.contains(&start.fence) {
            self.fail(
                "K",
                format!("{run} was started although it had been killed"),
            );
        }
    }

    /// S6: a repeat of a claim that holds is told so.
    fn answered(&mut self, now_ms: u64, job: &JobName, key: &RunKey, nonce: Nonce, held: bool) {
        self.now_ms = now_ms;
        let open = self.open.get(&(job.clone(), key.clone()));
        let mine = open.is_some_and(|open| {
            matches!(&open.value.state, OpenState::Claimed { nonce: of, .. } if *of == nonce)
        });
        if mine && !held {
            let run = RunId::of(job, key);
            self.fail(
                "S6",
                format!("the repeat of a claim of {run} was not recognised"),
            );
        }
    }

    fn finished(&mut self, now_ms: u64, written: &DoneRecord) {
        self.now_ms = now_ms;
        match self.done.get(&written.run()) {
            Some(done) if done.outcome == written.outcome => {}
            other => {
                let what = format!("the run log was told {written:?}, the store has {other:?}");
                self.fail("S8", what);
            }
        }
    }

    /// L1: in the calm phase every due tick was decided.
    fn check_progress(&mut self) {
        self.now_ms = self.outcome.off_ms;
        let off = Version(u64::MAX);
        let calm_for = CALM.as_millis() / 2;
        let by = self.wall();
        let names: Vec<JobName> = self.jobs.keys().cloned().collect();
        for job in names {
            // The last definition but the one that switched it off.
            let Some(stored) = self.enabled_before(&job, off) else {
                continue;
            };
            let generation = Generation::of(&stored.job, stored.created);
            let Some(table) = timetable(&stored.job) else {
                continue;
            };
            let since = stored.job.schedule_since.unwrap();
            // Late ticks that all run one after the other are as far behind as they take.
            let behind = match (stored.job.misfire.policy, stored.job.concurrency) {
                (MisfirePolicy::All { max }, concurrency) if concurrency.is_exclusive() => {
                    self.outcome.scenario.longest * max
                }
                _ => Duration::ZERO,
            };
            let due_by = by.minus(Duration::from_secs(45) + behind);
            let owed = table.last_at_or_before(due_by, since);
            let Some(owed) = owed else { continue };
            let decided = self.decided.get(&job);
            let covered = decided
                .is_some_and(|all| all.iter().any(|(from, to)| *from <= owed && owed <= *to));
            let passed = self.marks.get(&job).is_some_and(|mark| mark.at >= owed);
            if !covered || !passed {
                let what = format!(
                    "{job}: {owed} was not decided in {calm_for} ms of calm ({generation:?})"
                );
                self.fail("L1", what);
            }
        }
    }

    /// The definition that was in force until the end, if it was enabled.
    fn enabled_before(&self, job: &JobName, until: Version) -> Option<StoredJob> {
        let versions = self.jobs.get(job)?;
        let mut newest = versions.range(..=until.0).rev();
        let (_, last) = newest.next()?;
        last.as_ref()?;
        let (_, before) = newest.next()?;
        before.clone().filter(|stored| stored.job.enabled)
    }

    /// S7 and S8: the run log has exactly what was decided.
    fn check_run_log(&mut self) {
        let log: BTreeMap<RunId, RunState> = self
            .outcome
            .run_log
            .iter()
            .map(|record| (record.id.clone(), record.state))
            .collect();
        for record in &self.outcome.run_log {
            if record.id != RunId::of(&record.job, &record.key) {
                let what = format!(
                    "{} is not the id of {} {}",
                    record.id, record.job, record.key
                );
                self.found.push(violation("S9", what));
            }
        }
        let mut missing = Vec::new();
        for (run, done) in &self.done {
            if log.get(run) != Some(&done.outcome.state) {
                missing.push(format!("{done:?} is {:?} in the run log", log.get(run)));
            }
        }
        // What was decided to run has ended by now.
        for (job, ranges) in &self.decided {
            for (_, last) in ranges {
                let run = RunId::of(job, &RunKey::Tick(*last));
                if !self.done.contains_key(&run) {
                    missing.push(format!("{job} {last} has no end"));
                }
            }
        }
        for ((job, key), times) in &self.asked {
            let run = RunId::of(job, key);
            if *times > 0 && !self.done.contains_key(&run) {
                missing.push(format!("request {key} of {job} has no end"));
            }
        }
        for what in missing {
            self.fail("S7", what);
        }
    }
}

/// The step and the job of an event.
fn place(event: &FireEvent) -> (u64, &JobName) {
    match event {
        FireEvent::Mark(job, mark) => (mark.version.0, job),
        FireEvent::MarkGone(job, version) => (version.0, job),
        FireEvent::Open(open) => (open.version.0, &open.value.job),
        FireEvent::Wait(wait) => (wait.version.0, &wait.value.job),
        FireEvent::Done(done) => (done.version.0, &done.value.job),
        FireEvent::OpenGone(seen) | FireEvent::WaitGone(seen) | FireEvent::DoneGone(seen) => {
            (seen.version.0, &seen.job)
        }
        FireEvent::Progress => unreachable!("the witness leaves it out"),
    }
}
