//! The witness: everything that happens, in the order in which it happens.
//!
//! It reads the store's own feeds behind all faults. Before and after every step of the simulation that
//! may touch the store it drains them, so a fact stands in the history exactly where it became true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::{FutureExt, StreamExt};
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{
    Cursor, DoneRecord, Events, FireEvent, JobEvent, Nonce, OpenRecord, OpenState, SessionEvent,
    SessionId, Version, Versioned,
};
use sandclock_core::job::JobName;
use sandclock_core::run::{RunId, RunKey};
use tokio::time::Instant;

/// Something that happened.
#[derive(Clone, Debug)]
#[expect(
    dead_code,
    reason = "what no check reads, people do, in the printed history"
)]
pub(crate) enum Fact {
    /// The job store changed.
    Job(JobEvent),
    /// A record of the claim protocol changed.
    Fire(FireEvent),
    /// A session began, ended, or said something.
    Session(SessionEvent),
    /// A kill was acknowledged.
    Killed(RunId),
    /// A run was asked for; `true` if it was granted.
    Asked(JobName, String, bool),
    /// A process was started.
    Started(Start),
    /// A claim was answered: the run, the claim's nonce, and whether the caller was told that it holds it.
    Answered(JobName, RunKey, Nonce, bool),
    /// A terminal record was sent to the run log.
    Finished(Box<DoneRecord>),
    /// What the simulation did.
    Note(String),
}

/// The start of a process.
#[derive(Clone, Debug)]
#[expect(
    dead_code,
    reason = "what no check reads, people do, in the printed history"
)]
pub(crate) struct Start {
    /// Its place in the table of processes.
    pub(crate) process: usize,
    /// The worker's process.
    pub(crate) host: String,
    pub(crate) job: JobName,
    pub(crate) key: RunKey,
    pub(crate) attempt: u32,
    pub(crate) fence: u64,
    /// What the store had at that moment: whether the session of the claim was alive.
    pub(crate) session_lives: bool,
    /// And whether the open record was still at this fence.
    pub(crate) fence_holds: bool,
}

/// The history so far, and the truth of this moment.
#[derive(Debug)]
pub(crate) struct Witness {
    origin: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    facts: Vec<(u64, Fact)>,
    open: BTreeMap<(JobName, RunKey), Versioned<OpenRecord>>,
    live: BTreeSet<SessionId>,
    jobs: Events<(Cursor, JobEvent)>,
    fires: Events<(Cursor, FireEvent)>,
    sessions: Events<SessionEvent>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

impl Witness {
    /// Watches an empty store.
    pub(crate) async fn of(store: &MemoryStore) -> Arc<Self> {
        let coordination = store.coordination();
        let jobs = coordination.jobs.snapshot().await.unwrap().cursor;
        let fires = coordination.feed.snapshot().await.unwrap().1;
        let inner = Inner {
            facts: Vec::new(),
            open: BTreeMap::new(),
            live: BTreeSet::new(),
            jobs: coordination.jobs.watch(jobs).await.unwrap(),
            fires: coordination.feed.watch(fires).await.unwrap(),
            sessions: coordination.sessions.live().await.unwrap(),
        };
        Arc::new(Self {
            origin: Instant::now(),
            inner: Mutex::new(inner),
        })
    }

    /// Milliseconds of virtual time since the beginning.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap()
    }

    /// Notes all that the store has to say.
    pub(crate) fn look(&self) {
        let now = self.elapsed_ms();
        self.inner.lock().unwrap().drain(now);
    }

    /// Notes a fact, after all that came before it.
    pub(crate) fn note(&self, fact: Fact) {
        let now = self.elapsed_ms();
        let mut inner = self.inner.lock().unwrap();
        inner.drain(now);
        inner.facts.push((now, fact));
    }

    /// Whether the store has this run open at this fence, and whether its owner's session lives.
    pub(crate) fn holds(&self, job: &JobName, key: &RunKey, fence: u64) -> (bool, bool) {
        self.look();
        let inner = self.inner.lock().unwrap();
        let open = inner.open.get(&(job.clone(), key.clone()));
        let holds = open.is_some_and(|open| open.version == Version(fence));
        let lives = open.is_some_and(|open| match &open.value.state {
            OpenState::Claimed { session, .. } => inner.live.contains(session),
            OpenState::Waiting { .. } => false,
        });
        (holds, lives)
    }

    /// The open runs of this moment.
    pub(crate) fn open(&self) -> Vec<Versioned<OpenRecord>> {
        self.look();
        self.inner.lock().unwrap().open.values().cloned().collect()
    }

    /// The open runs of this moment whose owner's session lives.
    pub(crate) fn open_of_live_sessions(&self) -> Vec<Versioned<OpenRecord>> {
        self.look();
        let inner = self.inner.lock().unwrap();
        let lives = |open: &&Versioned<OpenRecord>| match &open.value.state {
            OpenState::Claimed { session, .. } => inner.live.contains(session),
            OpenState::Waiting { .. } => false,
        };
        inner.open.values().filter(lives).cloned().collect()
    }

    /// The sessions that live at this moment.
    pub(crate) fn live_sessions(&self) -> usize {
        self.look();
        self.inner.lock().unwrap().live.len()
    }

    /// The whole history, taken out.
    pub(crate) fn take_facts(&self) -> Vec<(u64, Fact)> {
        self.look();
        std::mem::take(&mut self.inner.lock().unwrap().facts)
    }
}

impl Inner {
    /// Steps of the store are atomic and each feed is in order, so between the feeds any order will do
    /// that puts jobs before what was decided about them.
    fn drain(&mut self, now: u64) {
        while let Some(Some(event)) = self.jobs.next().now_or_never() {
            let (_, event) = event.unwrap();
            if event != JobEvent::Progress {
                self.facts.push((now, Fact::Job(event)));
            }
        }
        while let Some(Some(event)) = self.sessions.next().now_or_never() {
            let event = event.unwrap();
            match &event {
                SessionEvent::Live(session, _) => {
                    self.live.insert(session.clone());
                }
                SessionEvent::Gone(session) => {
                    self.live.remove(session);
                }
                SessionEvent::Synced | SessionEvent::DrainAsked(_) => continue,
            }
            self.facts.push((now, Fact::Session(event)));
        }
        while let Some(Some(event)) = self.fires.next().now_or_never() {
            let (_, event) = event.unwrap();
            match &event {
                FireEvent::Open(open) => {
                    let id = (open.value.job.clone(), open.value.key.clone());
                    self.open.insert(id, open.clone());
                }
                FireEvent::OpenGone(seen) => {
                    self.open.remove(&(seen.job.clone(), seen.key.clone()));
                }
                FireEvent::Progress => continue,
                _ => {}
            }
            self.facts.push((now, Fact::Fire(event)));
        }
    }
}
