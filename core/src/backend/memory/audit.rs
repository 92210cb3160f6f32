//! The audit trail of the model, in the order of its places.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryStore;
use crate::backend::audit::AuditPlace;
use crate::backend::{AuditEntry, AuditFilter, AuditLog, AuditOutcome, Page, PageToken, Result};
use crate::time::Timestamp;

/// Entries by place.
pub(super) type Trail = BTreeMap<AuditPlace, AuditEntry>;

#[async_trait]
impl AuditLog for MemoryStore {
    async fn put(&self, entry: &AuditEntry) -> Result<()> {
        entry.check()?;
        self.shared.change(|state| {
            let kept = state.audit.entry(AuditPlace::of(entry));
            let kept = kept.or_insert_with(|| entry.clone());
            if kept.outcome == AuditOutcome::Begun {
                *kept = entry.clone();
            }
        });
        Ok(())
    }

    async fn list(
        &self,
        filter: &AuditFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<AuditEntry>> {
        let before = page.map(AuditPlace::read).transpose()?;
        let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
        Ok(self.shared.change(|state| {
            let older = |place: &AuditPlace| before.as_ref().is_none_or(|before| place < before);
            let mut wanted = (state.audit.iter().rev())
                .filter(|(place, entry)| older(place) && filter.admits(entry))
                .map(|(_, entry)| entry.clone());
            let items: Vec<_> = wanted.by_ref().take(limit).collect();
            let last = items.last().map(|last| AuditPlace::of(last).token());
            let next = wanted.next().and(last);
            Page { items, next }
        }))
    }

    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let pruned = self.shared.change(|state| {
            let old = state.audit.keys().take_while(|place| place.at < before);
            let old: Vec<_> = old.take(max).cloned().collect();
            for place in &old {
                state.audit.remove(place);
            }
            old.len()
        });
        Ok(u32::try_from(pruned).unwrap_or(u32::MAX))
    }
}
