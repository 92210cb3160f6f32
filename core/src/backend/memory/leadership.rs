//! The leader's seat of the model.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryStore;
use crate::backend::{Candidate, Leadership, Result};

#[async_trait]
impl Leadership for MemoryStore {
    async fn campaign(&self, me: &Candidate, ttl: Duration) -> Result<Option<Duration>> {
        Ok(self
            .shared
            .change(|state| state.seat.campaign(Instant::now(), me, ttl)))
    }

    async fn hold(&self, me: &Candidate) -> Result<()> {
        self.shared
            .change(|state| state.seat.hold(Instant::now(), me))
    }

    async fn resign(&self, me: &Candidate) -> Result<()> {
        self.shared.change(|state| state.seat.resign(me));
        Ok(())
    }
}
