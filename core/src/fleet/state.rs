//! What the parts of a worker share: the stores, the local views, and what is going on.
//!
//! The parts are futures that are polled together, so the lock is never contended; it only says that
//! the parts may move between threads with the worker. It is never held across an await.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::agenda::Agenda;
use super::catalog::Catalog;
use super::claims::Claims;
use super::clock::Now;
use super::config::{FleetMutant, Limits, WorkerConfig};
use super::counters::{Counters, Ends};
use super::kills::KillBook;
use super::outage::Outages;
use super::peers::{Elder, Peers};
use super::session::Window;
use super::signal::Signal;
use super::skew::Starts;
use super::view::View;
use super::wake::WakeIndex;
use crate::backend::protocol::MAX_BATCH;
use crate::backend::{
    Coordination, FireEvent, Kill, Nonce, OpenState, Records, SessionId, Version, WorkerInfo,
};
use crate::job::JobName;
use crate::ports::{Executor, Hooks};
use crate::random::Random;
use crate::run::{RunId, RunKey};
use crate::time::{Clock, Timestamp};

/// How many of its own sessions a worker remembers.
const SESSIONS: usize = 4096;
/// The most ends on their way at once: some full batches. More of them would not be carried out sooner, but each
/// would wait longer for its turn, at last longer than a call may take.
const ENDS: usize = 4 * MAX_BATCH;
/// How many output tails wait for their copy.
const TAILS: usize = 1024;

/// How far a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It claims and runs.
    Working,
    /// It finishes what it has.
    Draining,
    /// It ends what it has.
    Stopping,
}

/// What was planned with when the store said that it is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stale {
    /// The version of the job.
    pub(super) job: Option<Version>,
    /// The mark.
    pub(super) mark: Option<(Version, Timestamp)>,
    /// How often in a row.
    pub(super) times: u32,
    /// When to try again although nothing has changed.
    pub(super) until: Instant,
}

/// Since when a job has wanted a place. A tick goes before a record of the same moment, and records go in
/// the order in which they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Since {
    /// The fire time of its first undecided tick, or when this worker saw that the record could be taken.
    pub(super) at: Timestamp,
    /// The record's; `None` for a tick.
    pub(super) version: Option<Version>,
}

/// The state of a worker.
#[derive(Debug)]
pub(super) struct State {
    pub(super) catalog: Catalog,
    pub(super) view: View,
    pub(super) peers: Peers,
    pub(super) kills: KillBook,
    pub(super) claims: Claims,
    /// Jobs whose ticks a request is on its way for.
    pub(super) deciding: BTreeSet<JobName>,
    /// Records that a settle, take or hand-back is on its way for.
    pub(super) pending: BTreeSet<(JobName, RunKey)>,
    /// Jobs whose last plan was refused.
    pub(super) stale: BTreeMap<JobName, Stale>,
    /// Since when a step about a record has been possible.
    pub(super) possible: BTreeMap<JobName, BTreeMap<RunKey, Instant>>,
    /// Since when an adoption has been possible.
    pub(super) adoptable: BTreeMap<JobName, Instant>,
    /// Jobs that want a place of this worker: the one that has wanted it longest goes first.
    pub(super) in_line: Agenda<Since>,
    /// When to look at which job again.
    pub(super) wakes: WakeIndex,
    /// The ends of outputs, for the copy to the run log.
    pub(super) tails: BTreeMap<RunId, Bytes>,
    pub(super) clock_doubted: bool,
    /// Whether its own zone counts, and has since it had this session.
    pub(super) decides: bool,
    /// Whose zone counts instead of this worker's.
    pub(super) elder: Option<Elder>,
    /// The zone that counted last instead of this worker's: its marks may still be there.
    pub(super) zone_before: Option<String>,
    sessions: VecDeque<SessionId>,
    done_touched: bool,
}

impl State {
    fn new(config: &WorkerConfig, started_at: Timestamp) -> Self {
        Self {
            catalog: Catalog::default(),
            view: View::new(config.is(FleetMutant::MarkFromLateEvent)),
            peers: Peers::new(config, started_at, Instant::now()),
            kills: KillBook::default(),
            claims: Claims::new(config),
            deciding: BTreeSet::new(),
            pending: BTreeSet::new(),
            stale: BTreeMap::new(),
            possible: BTreeMap::new(),
            adoptable: BTreeMap::new(),
            in_line: Agenda::default(),
            wakes: WakeIndex::default(),
            tails: BTreeMap::new(),
            clock_doubted: false,
            decides: false,
            elder: None,
            zone_before: None,
            sessions: VecDeque::new(),
            done_touched: false,
        }
    }

    /// Jobs to look at in the next pass.
    pub(super) fn touch_all(&mut self, jobs: impl IntoIterator<Item = JobName>) {
        for job in jobs {
            self.wakes.touch(&job);
        }
    }

    /// Something about done records or their workers has changed.
    pub(super) fn touch_done(&mut self) {
        self.done_touched = true;
    }

    /// Notes a kill, and tells whoever it concerns.
    pub(super) fn note_kill(&mut self, kill: Kill) {
        let run = kill.run.clone();
        if !self.kills.note(kill) {
            return;
        }
        if let Some(active) = self.claims.held.values().find(|active| active.id == run) {
            active.kill.notify_one();
        }
        if let Some(job) = self.view.job_of(&run).cloned() {
            self.wakes.touch(&job);
        }
    }

    /// Whether everything that planning rests on has been read once.
    pub(super) fn is_ready(&self) -> bool {
        self.catalog.synced && self.view.synced && self.peers.synced && self.kills.watching
    }

    /// Whether an event can change a plan: not if it repeats what an answer to this worker has said.
    pub(super) fn is_news(&self, event: &FireEvent) -> bool {
        match event {
            FireEvent::Mark(job, mark) => {
                let known = self.view.mark(job).map(|known| known.value);
                let same = known.is_some_and(|known| {
                    (known.at, known.generation) == (mark.value.at, mark.value.generation)
                });
                // A refused plan waits for another version of the mark.
                !same || self.stale.contains_key(job)
            }
            FireEvent::Open(open) => {
                let OpenState::Claimed { nonce, .. } = open.value.state else {
                    return true;
                };
                let (job, key) = (&open.value.job, &open.value.key);
                !self.claims.holds(job, key, nonce)
            }
            _ => true,
        }
    }

    /// Whether this worker leaves it to others to decide.
    pub(super) fn stands_back(&self) -> bool {
        self.clock_doubted || self.elder.is_some()
    }

    /// Whether the session is or was this process's.
    pub(super) fn is_mine(&self, session: &SessionId) -> bool {
        self.sessions.contains(session)
    }

    /// Done with a claim: its place is free, and its record, should it still be seen, is no orphan.
    pub(super) fn forget_run(&mut self, job: &JobName, key: &RunKey, nonce: Nonce) {
        self.claims.finish(job, key, nonce);
        self.wakes.touch(job);
    }

    /// A claim came to nothing as far as its caller knows; should it turn up, it is an orphan.
    pub(super) fn give_up_claim(&mut self, job: &JobName, key: &RunKey, nonce: Nonce) {
        self.claims.give_up(job, key, nonce);
        self.wakes.touch(job);
    }

    /// Keeps the end of an output until the run's record is copied.
    pub(super) fn keep_tail(&mut self, run: &RunId, tail: Bytes) {
        if self.tails.len() < TAILS {
            self.tails.insert(run.clone(), tail);
        }
    }
}

/// Everything the parts of a worker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: WorkerConfig,
    limits: Mutex<Limits>,
    pub(super) coordination: Coordination,
    pub(super) records: Records,
    pub(super) hooks: Arc<dyn Hooks>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) random: Box<dyn Random>,
    pub(super) counters: Counters,
    pub(super) starts: Starts,
    pub(super) over: Ends,
    pub(super) outages: Outages,
    /// Wakes the planner.
    pub(super) wake: Notify,
    /// Wakes the copier.
    pub(super) copy: Notify,
    /// What ranking depends on has changed.
    pub(super) info_changed: Notify,
    /// Asks every view to start anew.
    pub(super) resync: Signal<()>,
    /// The window of the present session.
    pub(super) window: Signal<Option<Window>>,
    pub(super) phase: Signal<Phase>,
    /// The ends that may be on their way at once.
    pub(super) ends: Semaphore,
    /// Its process wants it to end once it has drained.
    pub(super) leave: Signal<bool>,
    /// It was asked through the store to drain.
    pub(super) drain_asked: Signal<bool>,
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(
        config: WorkerConfig,
        coordination: Coordination,
        records: Records,
        hooks: Arc<dyn Hooks>,
        executor: Arc<dyn Executor>,
        clock: Arc<dyn Clock>,
        random: Box<dyn Random>,
    ) -> Self {
        let started_at = clock.now();
        Self {
            started_at,
            state: Mutex::new(State::new(&config, started_at)),
            limits: Mutex::new(config.limits),
            config,
            coordination,
            records,
            hooks,
            executor,
            clock,
            random,
            counters: Counters::default(),
            starts: Starts::default(),
            over: Ends::default(),
            outages: Outages::default(),
            wake: Notify::new(),
            copy: Notify::new(),
            info_changed: Notify::new(),
            resync: Signal::new(()),
            window: Signal::new(None),
            phase: Signal::new(Phase::Working),
            ends: Semaphore::new(ENDS),
            leave: Signal::new(false),
            drain_asked: Signal::new(false),
        }
    }

    /// This instant on both clocks.
    pub(super) fn now(&self) -> Now {
        Now {
            mono: Instant::now(),
            wall: self.clock.now(),
        }
    }

    /// The state, for reading. A panic elsewhere does not make it unusable: every part leaves it whole.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes who has to look at it.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let had_done = state.view.done.len();
        let answer = change(&mut state);
        if std::mem::take(&mut state.done_touched) || state.view.done.len() != had_done {
            self.copy.notify_one();
        }
        if state.wakes.is_touched() {
            self.wake.notify_one();
        }
        answer
    }

    /// What may change while it runs, as it is now.
    pub(super) fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it, and wakes who has to look at it.
    pub(super) fn limit(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
        self.info_changed.notify_one();
        self.wake.notify_one();
    }

    /// What the worker says of itself now.
    pub(super) fn worker_info(&self) -> WorkerInfo {
        let state = self.state();
        WorkerInfo {
            name: self.config.name.clone(),
            host: self.config.host.clone(),
            labels: self.config.labels.clone(),
            max_concurrent_runs: self.limits().max_concurrent_runs,
            running: state.claims.running(),
            draining: self.phase.get() != Phase::Working,
            clock_doubted: state.clock_doubted,
            started_at: self.started_at,
            wall_time: self.clock.now(),
            version: self.config.version.clone(),
            time_zone: Some(self.config.time_zone.clone()),
            zone_differs: state.elder.is_some(),
        }
    }

    /// A session was opened; the runs held under an earlier one rebind to it.
    pub(super) fn session_opened(&self, window: Window) {
        self.update(|state| {
            if state.sessions.len() == SESSIONS {
                state.sessions.pop_front();
            }
            state.sessions.push_back(window.session.clone());
        });
        self.session_renewed(window);
    }

    /// The session was renewed.
    pub(super) fn session_renewed(&self, window: Window) {
        self.window.set(Some(window));
        self.wake.notify_one();
    }

    /// The session is gone.
    pub(super) fn session_lost(&self, session: &SessionId) {
        self.counters.sessions_lost.add(1);
        // Others may decide meanwhile.
        self.state().decides = false;
        self.window.update(|window| {
            let same = window.as_ref().is_some_and(|w| w.session == *session);
            if same {
                *window = None;
            }
            same
        });
    }

    /// The present session, if something may be claimed or started under it now.
    pub(super) fn claiming_session(&self) -> Option<SessionId> {
        let now = self.now();
        let careless = self.config.is(FleetMutant::StartWithoutWindow);
        self.window
            .get()
            .filter(|window| careless || window.may_start(now))
            .map(|window| window.session)
    }
}
