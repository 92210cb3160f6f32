//! What happens in the fleet, as it happens: jobs that change, runs that begin and end, workers that come and go.
//!
//! One watch of each store serves all clients of this server, from the first client on. What it tells stands in a ring,
//! which each client reads at its own pace: a slow one costs nothing, and one that is too slow is told that it has missed
//! something, as is everybody when a watch's history is gone. So nobody takes a gap for silence.

mod follow;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sandclock_core::backend::{Coordination, Result};
use sandclock_core::job::JobName;
use sandclock_core::time::Clock;
use sandclock_core::{BackendError, ErrorKind};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::follow::Follower;

/// How many changes are kept for clients that come back or are slow.
const KEPT: usize = 4_096;

/// How long the first client waits for the watches.
const PATIENCE: Duration = Duration::from_secs(5);

/// What tells that a client's view may lack something: it reads again what it shows.
pub const RESYNC: &str = "resync";

/// The data of an event of `GET /events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Change)]
pub struct ChangeDto {
    /// When this server heard of it.
    pub at: String,
    /// The job that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The job's version, of `job.saved`, `job.broken` and `job.deleted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The run, of `run.queued`, `run.claimed` and `run.ended`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The run's fire time, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fire_time: Option<String>,
    /// The attempt that was claimed, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The worker's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The worker's id, of `worker.came`, `worker.draining` and `worker.went`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Something that has changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// From 1, within this server's life.
    pub seq: u64,
    /// What happened.
    pub kind: &'static str,
    /// The job that it is about, if it is about one.
    pub job: Option<JobName>,
    /// What is said of it.
    pub said: ChangeDto,
}

#[derive(Debug, Default)]
struct Ring {
    newest: u64,
    changes: VecDeque<Arc<Change>>,
}

/// What this server has heard of changes.
#[derive(Debug)]
pub struct Changes {
    clock: Arc<dyn Clock>,
    /// Of this server's life, so that no other's ids are taken for ours.
    life: String,
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

/// The watches of the stores, and what they have told. They end when this is dropped.
#[derive(Debug)]
pub struct Watches {
    coordination: Coordination,
    changes: Arc<Changes>,
    /// Which of them stand, or have stood.
    standing: Arc<watch::Sender<u8>>,
    following: Mutex<JoinSet<()>>,
}

impl Watches {
    /// Of these stores. Nothing is watched before somebody asks.
    pub fn new(coordination: Coordination, clock: Arc<dyn Clock>) -> Self {
        Self {
            coordination,
            changes: Arc::new(Changes::new(clock)),
            standing: Arc::new(watch::Sender::new(0)),
            following: Mutex::new(JoinSet::new()),
        }
    }

    /// Has the stores watched from now on: what happens after it came back is told.
    ///
    /// # Errors
    /// `Timeout` if the stores do not answer within 5 s; the watches go on trying.
    pub async fn join(&self) -> Result<Arc<Changes>> {
        self.begin();
        let mut standing = self.standing.subscribe();
        let all = standing.wait_for(|standing| *standing == follow::ALL);
        match timeout(PATIENCE, all).await {
            Ok(_) => Ok(Arc::clone(&self.changes)),
            Err(_) => Err(BackendError::new("events.follow", ErrorKind::Timeout)),
        }
    }

    /// The tasks hold what they write to, not this: else nobody could drop it.
    fn begin(&self) {
        let mut following = self
            .following
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if following.is_empty() {
            let follower = || Follower {
                coordination: self.coordination.clone(),
                changes: Arc::clone(&self.changes),
                standing: Arc::clone(&self.standing),
            };
            following.spawn(follower().jobs());
            following.spawn(follower().runs());
            following.spawn(follower().workers());
        }
    }
}

impl Changes {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            life: crate::random::token_hex(8),
            ring: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }

    /// The newest change.
    pub fn newest(&self) -> u64 {
        self.ring().newest
    }

    /// What a client says that has had this change.
    pub fn id(&self, seq: u64) -> String {
        format!("{}-{seq}", self.life)
    }

    /// The change that a client has had last, if everything after it is here.
    pub fn place(&self, id: &str) -> Option<u64> {
        let (life, seq) = id.split_once('-')?;
        let seq = seq.parse().ok()?;
        (life == self.life && self.after(seq, 0).is_some()).then_some(seq)
    }

    /// What came after this change, at most so many; `None` if some of it is here no more.
    pub fn after(&self, seq: u64, most: usize) -> Option<Vec<Arc<Change>>> {
        let ring = self.ring();
        let gone = ring.newest.checked_sub(ring.changes.len() as u64)?;
        if seq < gone || seq > ring.newest {
            return None;
        }
        let had = usize::try_from(seq - gone).ok()?;
        let after = ring.changes.iter().skip(had).take(most);
        Some(after.cloned().collect())
    }

    /// Waits until there is something after this change.
    pub async fn changed(&self, seq: u64) {
        let mut newest = self.newest.subscribe();
        // This keeps the sender.
        let _ = newest.wait_for(|newest| *newest > seq).await;
    }

    fn tell(&self, kind: &'static str, job: Option<JobName>, said: ChangeDto) {
        let said = ChangeDto {
            at: self.clock.now().to_string(),
            job: job.as_ref().map(ToString::to_string),
            ..said
        };
        let mut ring = self.ring();
        ring.newest += 1;
        let seq = ring.newest;
        if ring.changes.len() >= KEPT {
            ring.changes.pop_front();
        }
        ring.changes.push_back(Arc::new(Change {
            seq,
            kind,
            job,
            said,
        }));
        self.newest.send_replace(seq);
    }

    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
