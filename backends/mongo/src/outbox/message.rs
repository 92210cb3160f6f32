//! What the message of an alert holds beside it.
//!
//! The list stands in the alert's own document, so that closing it is one step: whoever sends the message later,
//! perhaps after the first has died, sends the same. The others are claimed before, so that nobody sends one of
//! them alone meanwhile, and marked afterwards. Whoever claims one that the mark has not reached, since the one who
//! closed the message died in between, sets it.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use sandclock_core::backend::{Alert, AlertId, AlertState, Result};

use super::{released, under};
use crate::schema::alert::{ID, PART_OF, PARTS, STATE};
use crate::store::{Store, rows};

/// How long the others are held while the message is being closed: longer than that takes.
const HOLD: Duration = Duration::from_secs(60);

const OP: &str = "outbox.gather";

/// Alerts to this target that nobody holds and nobody has tried.
fn free(target: &str) -> Document {
    doc! {
        STATE: AlertState::Pending.as_str(),
        "target": target,
        "tries": 0_i64,
        PARTS: { "$exists": false },
        "$expr": { "$or": [
            { "$eq": [{ "$type": "$claim" }, "missing"] },
            { "$lte": ["$due", "$$NOW"] },
        ] },
    }
}

impl Store {
    /// As the contract's `gather`.
    pub(super) async fn close_message(
        &self,
        id: &AlertId,
        claim: u64,
        most: u32,
    ) -> Result<Option<Vec<Alert>>> {
        let Some((target, parts)) = self.message(id, claim).await? else {
            return Ok(None);
        };
        let parts = match parts {
            Some(parts) => parts,
            None => {
                let parts = self.hold_parts(id, &target, most).await?;
                let change = vec![doc! { "$set": { PARTS: &parts } }];
                if !self.answer(OP, id, claim, change).await? {
                    return Ok(None);
                }
                parts
            }
        };
        self.mark_parts(OP, id, &parts).await?;
        let filter = doc! { ID: { "$in": parts }, PART_OF: &id.0 };
        self.alerts_of(OP, filter).await.map(Some)
    }

    /// The target, and the parts if they are closed, of an alert under this claim.
    async fn message(
        &self,
        id: &AlertId,
        claim: u64,
    ) -> Result<Option<(String, Option<Vec<String>>)>> {
        let find = self.alerts.find(under(id, claim)).limit(1);
        let find = find.projection(doc! { "target": 1, PARTS: 1 });
        let found = self.read(OP, async { rows(find.await?).await }).await?;
        let Some(row) = found
            .first()
            .and_then(|row| Document::try_from(row.as_ref()).ok())
        else {
            return Ok(None);
        };
        let text = |part: &Bson| part.as_str().map(str::to_owned);
        let parts = row.get_array(PARTS).ok();
        let parts = parts.map(|parts| parts.iter().filter_map(text).collect());
        let target = row.get_str("target").unwrap_or_default().to_owned();
        Ok(Some((target, parts)))
    }

    /// Claims what is free for the message, and returns the ids.
    async fn hold_parts(&self, id: &AlertId, target: &str, most: u32) -> Result<Vec<String>> {
        let mut others = free(target);
        others.insert(ID, doc! { "$ne": &id.0 });
        let places = match most {
            0 => Vec::new(),
            most => self.places(OP, others.clone(), most).await?,
        };
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let claim = self.hold(OP, &places, others, HOLD).await?;
        let held = doc! { "_id": { "$in": places }, "claim": claim };
        let held = self.alerts_of(OP, held).await?;
        Ok(held.into_iter().map(|alert| alert.id.0).collect())
    }

    /// Says of the others that they are part of the alert.
    async fn mark_parts(&self, op: &'static str, id: &AlertId, parts: &[String]) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let unmarked = doc! { ID: { "$in": parts }, STATE: AlertState::Pending.as_str() };
        let change = released(AlertState::Grouped, doc! { PART_OF: &id.0 });
        let update = self.alerts.update_many(unmarked, change);
        self.write(op, update).await.map(drop)
    }

    /// Leaves out what is part of another alert's message already, and marks it.
    pub(super) async fn without_parts(
        &self,
        op: &'static str,
        claimed: Vec<Alert>,
    ) -> Result<Vec<Alert>> {
        let ids: Vec<&str> = claimed.iter().map(|alert| alert.id.0.as_str()).collect();
        let find = self.alerts.find(doc! { PARTS: { "$in": ids } });
        let find = find.projection(doc! { ID: 1, PARTS: 1 });
        let wholes = self.read(op, async { rows(find.await?).await }).await?;
        let mut left = claimed;
        for row in &wholes {
            let Ok(row) = Document::try_from(row.as_ref()) else {
                continue;
            };
            let (Ok(whole), Ok(parts)) = (row.get_str(ID), row.get_array(PARTS)) else {
                continue;
            };
            let parts: Vec<String> = (parts.iter())
                .filter_map(|part| part.as_str().map(str::to_owned))
                .collect();
            self.mark_parts(op, &AlertId(whole.to_owned()), &parts)
                .await?;
            left.retain(|alert| !parts.contains(&alert.id.0));
        }
        Ok(left)
    }
}
