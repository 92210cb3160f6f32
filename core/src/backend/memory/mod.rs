//! The reference model: every contract in memory, in tokio's (virtual) time.
//!
//! It is what the contracts mean, as simply as it can be said: ordered maps behind one lock, one revision
//! counter, one history of changes. The protocol's rules are `backend::protocol`; this folder only stores.
//! Core's tests and the fleet simulation run on it, and every other backend must behave like it.
//!
//! Nothing here is random and nothing iterates in hash order, so a simulation over it is deterministic. A
//! call takes effect in one poll, without waiting. Leases run out by tokio's clock: each call first drops
//! what has expired, and a watch of sessions wakes at the next deadline by itself.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Coordination, Records, Scope, SessionId};

mod audit;
mod docs;
mod fires;
mod history;
mod jobs;
mod kills;
mod kv;
mod leadership;
mod mutant;
mod outbox;
mod plugins;
mod recordings;
mod runs;
mod sessions;
mod state;
mod watch;

pub use mutant::StoreMutant;
use state::State;

/// Every contract in memory. See the module.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes every watch, in the order in which they began to wait.
    changed: Notify,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Arc<Self> {
        Self::build(None)
    }

    /// An empty store with one known defect, for showing that tests would find it.
    pub fn with_mutant(mutant: StoreMutant) -> Arc<Self> {
        Self::build(Some(mutant))
    }

    fn build(mutant: Option<StoreMutant>) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::new(mutant)),
                changed: Notify::new(),
            }),
        })
    }

    /// The contracts of coordination; all handles share this store.
    pub fn coordination(&self) -> Coordination {
        let this = Arc::new(self.clone());
        Coordination {
            jobs: Arc::<Self>::clone(&this),
            sessions: Arc::<Self>::clone(&this),
            fires: Arc::<Self>::clone(&this),
            feed: Arc::<Self>::clone(&this),
            kills: Arc::<Self>::clone(&this),
            leadership: Arc::<Self>::clone(&this),
            docs: this,
            scope: Scope::Fleet,
        }
    }

    /// The contracts of records; all handles share this store.
    pub fn records(&self) -> Records {
        let this = Arc::new(self.clone());
        Records {
            sink: Arc::<Self>::clone(&this),
            runs: Arc::<Self>::clone(&this),
            outbox: Arc::<Self>::clone(&this),
            plugins: Arc::<Self>::clone(&this),
            recordings: Arc::<Self>::clone(&this),
            kv: Arc::<Self>::clone(&this),
            audit: this,
        }
    }

    /// Lets the session's lease run out now.
    pub fn expire(&self, session: &SessionId) {
        self.shared.change(|state| state.end_session(session));
    }

    /// Breaks every watch that is open now: each ends with `Unavailable`.
    pub fn drop_watches(&self) {
        self.shared.change(State::drop_watches);
        self.shared.changed.notify_waiters();
    }

    /// Forgets the history of changes: a watch that has not read all of it, and every cursor but the
    /// present one, is answered with `CursorExpired`.
    pub fn compact(&self) {
        self.shared.change(|state| state.history.compact());
    }
}

impl Shared {
    /// Runs one step of the store: what has expired goes first, and watches learn of every change.
    fn change<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        let (answer, news) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let before = state.history.end();
            state.expire(Instant::now());
            let answer = step(&mut state);
            (answer, state.history.end() != before)
        };
        if news {
            self.changed.notify_waiters();
        }
        answer
    }
}
