//! What the server that leads does for the trail: entries that waited go to the run log, and old ones go.

use std::sync::PoisonError;
use std::time::Duration;

use sandclock_core::backend::{AuditEntry, Doc, DocKind, Precondition, Result};
use sandclock_core::error::WithSources;
use sandclock_core::{ErrorKind, stored};
use tokio::time::{Instant, sleep};

use super::Trail;

/// How often the leader looks whether anything waits.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often old entries are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// How many of them go at once.
const AT_MOST: u32 = 500;

impl Trail {
    /// Moves what waits and drops what is old whenever this server leads, for ever. Two that do so at once change nothing
    /// more than one (A4).
    pub async fn tend(&self) {
        let mut pruned: Option<Instant> = None;
        loop {
            sleep(LOOK_EVERY).await;
            if !self.leads.get() {
                continue;
            }
            if let Err(error) = self.move_all().await {
                tracing::debug!(error = %WithSources(&error), "the audit trail waits on");
            } else if pruned.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) {
                pruned = Some(Instant::now());
                if let Err(error) = self.prune().await {
                    tracing::warn!(error = %WithSources(&error), "cannot prune the audit trail");
                }
            }
        }
    }

    async fn move_all(&self) -> Result<()> {
        for doc in self.docs.list(DocKind::Audit).await? {
            self.move_one(&doc).await?;
        }
        Ok(())
    }

    /// Writes one that waits to the run log, and deletes it where it waited, unless it was written again meanwhile.
    async fn move_one(&self, doc: &Doc) -> Result<()> {
        let entry: AuditEntry = match stored::decode(&doc.body) {
            Ok(entry) => entry,
            // A later program's waits for that program.
            Err(error) => {
                let error = error.reason();
                tracing::debug!(
                    entry = doc.name,
                    error,
                    "an entry of the audit trail cannot be read"
                );
                return Ok(());
            }
        };
        self.ask(self.log.put(&entry)).await?;
        let as_seen = Precondition::Matches(doc.version);
        let deleted = self.docs.delete(DocKind::Audit, &doc.name, as_seen).await;
        match deleted {
            Err(error) if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    async fn prune(&self) -> Result<()> {
        let keep = *self.keep.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(keep) = keep else {
            return Ok(());
        };
        let before = self.clock.now().minus(keep);
        while self.log.prune(before, AT_MOST).await? >= AT_MOST {}
        Ok(())
    }
}
