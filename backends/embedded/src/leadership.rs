//! Leadership: in memory only, because whoever leads ends with the process.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sandclock_core::backend::{Candidate, Leadership, Result, Seat};
use tokio::time::Instant;

use crate::store::Store;

/// The one seat of this process.
pub(crate) type TheSeat = Mutex<Seat>;

impl Store {
    fn seat(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Leadership for Store {
    async fn campaign(&self, me: &Candidate, ttl: Duration) -> Result<Option<Duration>> {
        Ok(self.seat().campaign(Instant::now(), me, ttl))
    }

    async fn hold(&self, me: &Candidate) -> Result<()> {
        self.seat().hold(Instant::now(), me)
    }

    async fn resign(&self, me: &Candidate) -> Result<()> {
        self.seat().resign(me);
        Ok(())
    }
}
