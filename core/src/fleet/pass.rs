//! One pass over the jobs that may need something: what their plans say, as requests.
//!
//! A job is looked at in this order: what is abandoned, what waits, what is due. What takes a place of
//! this worker only gets in line for it: once all jobs have been looked at, the free places are given out
//! one by one, to the job that has wanted one longest, so that a worker with more to do than it can leaves
//! no job behind for ever (L1). Ticks of different jobs that are due together go to the store in one request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::catalog::Entry;
use super::claims::ActiveRun;
use super::clock::Now;
use super::config::FleetMutant;
use super::known::Known;
use super::planner::{self, AdoptPlan, DecidePlan, Sight, Step};
use super::requests::{Op, planned_with};
use super::rescue::{self, Rescue, Rescues};
use super::state::{Shared, Since, State};
use crate::backend::{Adopt, Decide, DecideFate, Nonce, SessionId, Settle, Take};
use crate::job::JobName;
use crate::random;
use crate::run::{RunId, RunKey};
use crate::time::Timestamp;

/// The most ticks in one request.
const BATCH: usize = 64;
/// How soon to look again at a tick that this worker cannot claim.
const BLOCKED: Duration = Duration::from_secs(5);

/// A pass in progress.
pub(super) struct Pass<'a> {
    shared: &'a Shared,
    now: Now,
    /// Places for further runs.
    free: u32,
    /// The session, if it may claim now.
    session: Option<SessionId>,
    /// The job that is looked at may have one of the places.
    granted: bool,
    ops: Vec<Op>,
    due: Vec<Decide>,
}

impl<'a> Pass<'a> {
    /// A pass with so many free places; `session` if it may claim now.
    pub(super) fn new(shared: &'a Shared, now: Now, free: u32, session: Option<SessionId>) -> Self {
        Self {
            shared,
            now,
            free,
            session,
            granted: false,
            ops: Vec::new(),
            due: Vec::new(),
        }
    }

    /// The requests that these jobs and those in line for a place come to.
    pub(super) fn ops(mut self, state: &mut State, jobs: &[JobName]) -> Vec<Op> {
        for job in jobs {
            self.look_at(state, job);
        }
        while self.can_claim(state)
            && let Some(job) = state.in_line.pop()
        {
            self.granted = true;
            self.look_at(state, &job);
            self.granted = false;
        }
        self.into_ops()
    }

    fn can_claim(&self, state: &State) -> bool {
        self.free > 0 && self.session.is_some() && !state.stands_back()
    }

    /// Gets the job in line for a place.
    fn line_up(&self, state: &mut State, job: &JobName, since: Since) {
        let since = match self.shared.config.is(FleetMutant::PlacesByName) {
            true => Since::default(),
            false => since,
        };
        if state.in_line.get(job).is_none_or(|other| since < other) {
            state.in_line.set(job, since);
        }
    }

    fn into_ops(mut self) -> Vec<Op> {
        if let Some(session) = self.session {
            let mut due = self.due.into_iter().peekable();
            while due.peek().is_some() {
                let batch: Vec<Decide> = due.by_ref().take(BATCH).collect();
                self.ops.push(Op::Decide(session.clone(), batch));
            }
        }
        self.ops
    }

    fn look_at(&mut self, state: &mut State, job: &JobName) {
        state.in_line.remove(job);
        let rescue = self.rescue(state, job);
        let ticks = self.ticks(state, job);
        let wake = match (rescue, ticks) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        state.wakes.set(job, wake);
    }

    /// The wall time at which `at` was.
    fn wall_of(&self, at: Instant) -> Timestamp {
        let ago = self.now.mono.saturating_duration_since(at);
        self.now.wall.minus(ago)
    }

    /// The wall time at which `at` comes, as far as one can say.
    fn wall_at(&self, at: Instant) -> Timestamp {
        let left = at.saturating_duration_since(self.now.mono);
        // A millisecond more, because wall time is rounded down.
        self.now.wall.plus(left + Duration::from_millis(1))
    }

    /// Steps about records; returns when to look again.
    fn rescue(&mut self, state: &mut State, job: &JobName) -> Option<Timestamp> {
        let Rescues { steps, wake } = {
            let records = state.view.records(job)?;
            let known = Known {
                state,
                shared: self.shared,
                now: self.now,
                job,
            };
            rescue::plan(
                job,
                state.catalog.definition(job),
                records,
                self.now,
                &known,
            )
        };
        let mut before = state.possible.remove(job).unwrap_or_default();
        let mut possible = BTreeMap::new();
        let mut wake = wake;
        for step in steps {
            let key = step.key().cloned().unwrap_or_else(|| kill_key(&step));
            let since = before.remove(&key).unwrap_or(self.now.mono);
            let grace = match step {
                Rescue::HandBack { .. } => Duration::ZERO,
                _ => state.peers.grace(job, &key),
            };
            let due = since + grace;
            if due > self.now.mono {
                let at = self.wall_at(due);
                wake = Some(wake.map_or(at, |wake| wake.min(at)));
                possible.insert(key, since);
            } else if !self.send(state, job, step, since) {
                possible.insert(key, since);
            }
        }
        // What was refused lately stays refused although it is not possible for the moment.
        possible.extend(before.into_iter().filter(|(_, at)| *at > self.now.mono));
        if !possible.is_empty() {
            state.possible.insert(job.clone(), possible);
        }
        wake
    }

    /// Sends a step about a record, possible since then; false if it has to wait for a place.
    fn send(&mut self, state: &mut State, job: &JobName, step: Rescue, since: Instant) -> bool {
        let worker = self.shared.config.name.clone();
        match step {
            Rescue::Settle {
                record,
                how,
                killed,
            } => {
                // What waited under an earlier life of the name was another job's.
                let entry = state.catalog.get(job);
                let entry = entry.filter(|entry| entry.stored.created <= record.version);
                let pinned = entry.map(Entry::pinned);
                state.pending.insert((job.clone(), record.key.clone()));
                self.ops.push(Op::Settle(Settle {
                    record,
                    how,
                    killed,
                    pinned,
                    worker,
                }));
            }
            Rescue::HandBack { record } => {
                state.pending.insert((job.clone(), record.key.clone()));
                self.ops.push(Op::HandBack(record));
            }
            Rescue::Kill(kill) => self.ops.push(Op::Kill(kill)),
            Rescue::Take { record, from } => {
                let Some(session) = self.session.clone().filter(|_| self.granted) else {
                    let since = Since {
                        at: self.wall_of(since),
                        version: Some(record.version),
                    };
                    self.line_up(state, job, since);
                    return false;
                };
                state.pending.insert((job.clone(), record.key.clone()));
                let nonce = self.reserve(state, job, &record.key);
                let take = Take {
                    record,
                    from,
                    worker,
                    nonce,
                };
                self.ops.push(Op::Take(session, take));
            }
        }
        true
    }

    /// Takes the granted place for a claim that is about to be sent.
    fn reserve(&mut self, state: &mut State, job: &JobName, key: &RunKey) -> Nonce {
        self.granted = false;
        self.free = self.free.saturating_sub(1);
        let nonce = random::nonce(&*self.shared.random);
        let active = ActiveRun {
            id: RunId::of(job, key),
            nonce,
            fence: None,
            attempt: 0,
            started_at: None,
            ending: false,
            kill: Arc::new(Notify::new()),
        };
        state.claims.held.insert((job.clone(), key.clone()), active);
        nonce
    }

    /// Steps about ticks; returns when to look again.
    fn ticks(&mut self, state: &mut State, job: &JobName) -> Option<Timestamp> {
        if state.deciding.contains(job) {
            return None;
        }
        let (job_version, mark) = planned_with(state, job);
        if let Some(stale) = state.stale.get(job)
            && (stale.job, stale.mark) == (job_version, mark)
            && stale.until > self.now.mono
        {
            return Some(self.wall_at(stale.until));
        }
        let sight = Sight {
            entry: state.catalog.get(job)?,
            mark: state.view.mark(job),
            records: state.view.records(job),
            // Whoever stands back adopts nothing.
            zone_before: (state.zone_before.as_deref()).filter(|_| !state.stands_back()),
            now: self.now.wall,
        };
        if let Some(mark) = sight.mark
            && planner::is_far(&mark.value, self.now.wall)
        {
            self.shared.counters.far_marks.add(1);
            tracing::warn!(%job, mark = %mark.value.at, "the mark is ahead of the clock");
        }
        match planner::plan(sight) {
            Step::Wait(at) => at,
            Step::Adopt(plan) => self.adopt(state, job, plan),
            Step::Decide(plan) => self.decide(state, job, *plan),
        }
    }

    fn adopt(&mut self, state: &mut State, job: &JobName, plan: AdoptPlan) -> Option<Timestamp> {
        let entry = state.catalog.get(job)?;
        // Any key will do, as long as every worker ranks by the same.
        let key = RunKey::Tick(Timestamp::default());
        let grace = state.peers.grace(job, &key);
        let adoptable = state.adoptable.entry(job.clone());
        let since = *adoptable.or_insert(self.now.mono);
        if state.stands_back() {
            return Some(self.now.wall.plus(BLOCKED));
        }
        if since + grace > self.now.mono {
            return Some(self.wall_at(since + grace));
        }
        state.adoptable.remove(job);
        self.ops.push(Op::Adopt(Adopt {
            pinned: entry.pinned(),
            seen: state.view.mark(job).map(|mark| mark.version),
            to: plan.to,
            generation: entry.generation,
            owed: plan.owed,
            worker: self.shared.config.name.clone(),
        }));
        state.deciding.insert(job.clone());
        None
    }

    fn decide(&mut self, state: &mut State, job: &JobName, plan: DecidePlan) -> Option<Timestamp> {
        let entry = state.catalog.get(job)?;
        let key = RunKey::Tick(plan.fire);
        let grace = state.peers.grace(job, &key);
        let turn = plan.fire.plus(grace);
        if turn > self.now.wall {
            return Some(turn);
        }
        let late_marks = self.shared.config.is(FleetMutant::MarkFromLateEvent);
        if state.claims.held.contains_key(&(job.clone(), key.clone())) && !late_marks {
            // It is ours already; what we see of the mark is old.
            return Some(self.now.wall.plus(BLOCKED));
        }
        let runs = matches!(plan.fate, DecideFate::Run { .. });
        let may = match runs {
            true => self.granted,
            // Nobody may be free to run a tick, but anybody can say that it is over.
            false => self.session.is_some() && !state.stands_back(),
        };
        if !may {
            let first = plan.passed.as_ref().map(|(span, _)| span.first);
            let since = Since {
                at: first.unwrap_or(plan.fire),
                version: None,
            };
            self.line_up(state, job, since);
            return Some(self.now.wall.plus(BLOCKED));
        }
        let pinned = entry.pinned();
        let nonce = match runs {
            true => self.reserve(state, job, &key),
            false => random::nonce(&*self.shared.random),
        };
        let forgetful = self.shared.config.is(FleetMutant::PassedUnrecorded);
        self.due.push(Decide {
            pinned,
            prev: plan.prev,
            fire: plan.fire,
            passed: plan.passed.filter(|_| !forgetful),
            fate: plan.fate,
            worker: self.shared.config.name.clone(),
            nonce,
        });
        state.deciding.insert(job.clone());
        None
    }
}

/// A key to rank and remember a kill by: that of no other record.
fn kill_key(step: &Rescue) -> RunKey {
    let run = match step {
        Rescue::Kill(kill) => kill.run.to_string(),
        _ => String::new(),
    };
    RunKey::Request(format!("kill-{run}"))
}
