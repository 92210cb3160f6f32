//! Sessions: which workers are alive, judged by the store's clock.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::time::Duration;

use async_trait::async_trait;

use super::{Events, Result};
use crate::time::Timestamp;

/// One life of one worker process: 128 random bits per open, never reused, never parsed (A6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub String);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a worker says of itself; the registry is the list of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// The worker's name, unique in the fleet while it lives.
    pub name: String,
    /// The host it runs on.
    pub host: String,
    /// For targeting.
    pub labels: BTreeMap<String, String>,
    /// How many runs it takes at once.
    pub max_concurrent_runs: u32,
    /// How many it has now, as of the last update.
    pub running: u32,
    /// It finishes what it has and takes nothing new.
    pub draining: bool,
    /// Its clock is not trusted to say that a tick is due; others go first.
    pub clock_doubted: bool,
    /// When the process started, by its own clock.
    pub started_at: Timestamp,
    /// Its wall clock at this update; peers judge skew by it.
    pub wall_time: Timestamp,
    /// The program's version.
    pub version: String,
    /// The IANA zone of jobs that name none; `None` of a program that does not say it.
    pub time_zone: Option<String>,
    /// Workers that were there before decide in another zone, so it takes nothing new.
    pub zone_differs: bool,
}

impl WorkerInfo {
    /// Whether it leaves everything new to others, however free it is.
    pub fn takes_nothing_new(&self) -> bool {
        self.draining || self.clock_doubted || self.zone_differs
    }

    /// Whether ranking counts the worker as absent.
    pub fn passes_its_turn(&self) -> bool {
        self.takes_nothing_new() || self.running >= self.max_concurrent_runs
    }
}

/// An open session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The lease that the store granted, which may be longer than asked for.
    pub ttl: Duration,
}

/// A change of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// It lives, with this information; sent again whenever the information changes.
    Live(SessionId, WorkerInfo),
    /// It is gone, closed or expired, and never comes back.
    Gone(SessionId),
    /// Its worker is asked to drain. Comes after the session's first [`SessionEvent::Live`], and may come again.
    DrainAsked(SessionId),
    /// All sessions that lived when the watch began have been sent.
    Synced,
}

impl SessionEvent {
    /// What a watch begins with about one live session.
    pub fn of_live(
        id: &SessionId,
        info: &WorkerInfo,
        drain_asked: bool,
    ) -> impl Iterator<Item = Self> + use<> {
        let asked = drain_asked.then(|| Self::DrainAsked(id.clone()));
        [Self::Live(id.clone(), info.clone())]
            .into_iter()
            .chain(asked)
    }
}

/// Liveness of workers.
#[async_trait]
pub trait Sessions: Debug + Send + Sync + 'static {
    /// Opens a session with a new random id. An unknown effect leaves at most one that expires.
    async fn open(&self, me: &WorkerInfo, ttl: Duration) -> Result<Session>;

    /// Keeps the session alive for another lease from the moment the store handles the call;
    /// `info` replaces what others see if it is given. Idempotent.
    ///
    /// # Errors
    /// `SessionLost`, for ever, once it has expired or was closed.
    async fn renew(&self, session: &SessionId, info: Option<&WorkerInfo>) -> Result<()>;

    /// Asks the worker of the session to drain, which stays asked as long as the session lives. Whether it lives.
    /// Idempotent.
    async fn ask_to_drain(&self, session: &SessionId) -> Result<bool>;

    /// Ends the session now. Idempotent: closing a session that is gone succeeds.
    async fn close(&self, session: &SessionId) -> Result<()>;

    /// First all live sessions and which of them are asked to drain, then [`SessionEvent::Synced`], then every
    /// change. Never ends a session early: `Gone` comes only after the store has expired or closed it.
    async fn live(&self) -> Result<Events<SessionEvent>>;
}
