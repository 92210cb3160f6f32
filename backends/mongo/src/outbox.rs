//! The alert outbox.
//!
//! An alert is one document, and each change of it one conditional step. Whether it is due is judged by the
//! server's clock (`$$NOW`), in the step that claims it. An alert that is folded into another leaves its id
//! there; so that one of two that come at once finds the other, a pending alert with a dedupe key holds its
//! target and key in a member that is unique.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use sandclock_core::backend::{
    Alert, AlertId, AlertOutbox, AlertState, ClaimedAlert, Page, PageToken, Result,
};
use sandclock_core::{BackendError, ErrorKind};

use crate::alerts;
use crate::lists::{page_of, place_of};
use crate::schema::alert::{FOLDS, ID, SLOT, STATE};
use crate::store::{Store, rows};

/// How many ids of folded alerts an alert keeps. The others stay counted; they could only be put again by
/// somebody who still repeats the same request.
const FOLDS_KEPT: i32 = 1_000;

/// How often a put looks again for what it met. Each time somebody else was faster.
const PUT_TRIES: u32 = 8;

/// Longer waits are cut: dates end somewhere.
const LONGEST_WAIT: Duration = Duration::from_secs(3_650 * 86_400);

/// Pending, and due by the server's clock.
fn due() -> Document {
    doc! {
        STATE: AlertState::Pending.as_str(),
        "$expr": { "$lte": ["$due", "$$NOW"] },
    }
}

fn after(wait: Duration) -> Document {
    let millis = wait.min(LONGEST_WAIT).as_millis();
    doc! { "$add": ["$$NOW", i64::try_from(millis).unwrap_or_default()] }
}

/// The alert, if it is pending under this claim.
fn under(id: &AlertId, claim: u64) -> Document {
    doc! {
        ID: &id.0,
        STATE: AlertState::Pending.as_str(),
        "claim": i64::try_from(claim).unwrap_or(i64::MAX),
    }
}

impl Store {
    /// Whether the alert is there, as itself or in another.
    async fn is_put(&self, op: &'static str, alert: &Alert) -> Result<bool> {
        let id = alert.id.0.as_str();
        let any = doc! { "$or": [{ ID: id }, { FOLDS: id }] };
        let find = self.alerts.find(any).projection(doc! { "_id": 1 }).limit(1);
        let found = self.read(op, async { rows(find.await?).await }).await?;
        Ok(!found.is_empty())
    }

    /// Counts the alert in a pending one with its key and target. Whether there is one.
    async fn fold(&self, op: &'static str, alert: &Alert, key: &str) -> Result<bool> {
        let id = alert.id.0.as_str();
        let pending = doc! {
            "target": &alert.draft.target,
            "key": key,
            STATE: AlertState::Pending.as_str(),
            // Put twice at once it might else meet itself.
            ID: { "$ne": id },
            FOLDS: { "$ne": id },
        };
        let count = doc! {
            "$inc": { "folded": 1_i64 },
            "$push": { FOLDS: { "$each": [id], "$slice": -FOLDS_KEPT } },
        };
        let fold = self
            .alerts
            .find_one_and_update(pending, count)
            .sort(doc! { "_id": 1 })
            .projection(doc! { "_id": 1 })
            .return_document(ReturnDocument::After);
        Ok(self.write(op, fold).await?.is_some())
    }

    /// Makes the alert's document unless it is there. False if another pending one has its key.
    async fn insert(&self, op: &'static str, alert: &Alert) -> Result<bool> {
        let new = doc! { "$setOnInsert": alerts::document(alert) };
        let insert = self
            .alerts
            .update_one(doc! { ID: &alert.id.0 }, new)
            .upsert(true);
        self.write_unless_taken(op, insert).await
    }

    async fn put_alert(&self, op: &'static str, alert: &Alert) -> Result<()> {
        let key = alert.draft.dedupe_key.as_deref();
        for _ in 0..PUT_TRIES {
            if let Some(key) = key
                && (self.is_put(op, alert).await? || self.fold(op, alert, key).await?)
            {
                return Ok(());
            }
            if self.insert(op, alert).await? {
                return Ok(());
            }
        }
        let why = format!(
            "alert {} meets others with its key again and again",
            alert.id
        );
        Err(BackendError::new(op, ErrorKind::Throttled).context(why))
    }

    /// Changes an alert that is pending under the claim, if there is one.
    async fn answer(
        &self,
        op: &'static str,
        id: &AlertId,
        claim: u64,
        change: Vec<Document>,
    ) -> Result<()> {
        let update = self.alerts.update_one(under(id, claim), change);
        self.write(op, update).await.map(drop)
    }
}

/// Takes the alert out of its claim, and with another state than pending out of the way of those with its
/// key.
fn released(state: AlertState, mut set: Document) -> Vec<Document> {
    set.insert(STATE, state.as_str());
    let mut gone = vec!["claim"];
    if state != AlertState::Pending {
        gone.push(SLOT);
    }
    vec![doc! { "$set": set }, doc! { "$unset": gone }]
}

#[async_trait]
impl AlertOutbox for Store {
    async fn put(&self, alerts: &[Alert]) -> Result<()> {
        // One after the other: the order is theirs, and one may be folded into one before it.
        for alert in alerts {
            self.put_alert("outbox.put", alert).await?;
        }
        Ok(())
    }

    async fn claim(&self, max: u32, lease: Duration) -> Result<Vec<ClaimedAlert>> {
        const OP: &str = "outbox.claim";
        if max == 0 {
            return Ok(Vec::new());
        }
        let find = self
            .alerts
            .find(due())
            .sort(doc! { "_id": 1 })
            .limit(i64::from(max))
            .projection(doc! { "_id": 1 });
        let found = self.read(OP, async { rows(find.await?).await }).await?;
        let ids: Vec<Bson> = found
            .iter()
            .filter_map(|row| row.get_object_id("_id").ok().map(Bson::ObjectId))
            .collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let claim = random(OP)?;
        let mut still_due = due();
        still_due.insert("_id", doc! { "$in": &ids });
        let mut set = doc! { "claim": claim };
        if self.guards.lease {
            set.insert("due", after(lease));
        }
        let update = self
            .alerts
            .update_many(still_due, vec![doc! { "$set": set }]);
        self.write(OP, update).await?;
        let mine = doc! { "_id": { "$in": ids }, "claim": claim };
        let find = self.alerts.find(mine).sort(doc! { "_id": 1 });
        let claimed = self.read(OP, async { rows(find.await?).await }).await?;
        let claim = u64::try_from(claim).unwrap_or_default();
        let claimed = claimed.iter().filter_map(|row| alerts::read(row));
        Ok(claimed.map(|alert| ClaimedAlert { alert, claim }).collect())
    }

    async fn delivered(&self, id: &AlertId, claim: u64) -> Result<()> {
        let set = doc! { "tries": { "$add": ["$tries", 1_i64] } };
        let change = released(AlertState::Delivered, set);
        self.answer("outbox.delivered", id, claim, change).await
    }

    async fn failed(
        &self,
        id: &AlertId,
        claim: u64,
        error: &str,
        again: Option<Duration>,
    ) -> Result<()> {
        let mut set = doc! {
            "tries": { "$add": ["$tries", 1_i64] },
            // A literal: a `$` in it would else be an expression.
            "lastError": { "$literal": error },
        };
        let state = match again {
            Some(wait) => {
                set.insert("due", after(wait));
                AlertState::Pending
            }
            None => AlertState::Failed,
        };
        self.answer("outbox.failed", id, claim, released(state, set))
            .await
    }

    async fn set(&self, id: &AlertId, state: AlertState) -> Result<()> {
        const OP: &str = "outbox.set";
        if !matches!(state, AlertState::Pending | AlertState::Acknowledged) {
            let refused = BackendError::new(OP, ErrorKind::InvalidConfig);
            return Err(refused.context(format!("state {} cannot be set", state.as_str())));
        }
        let change = released(state, doc! { "due": DateTime::from_millis(0) });
        let update = self.alerts.update_one(doc! { ID: &id.0 }, change);
        match self.write(OP, update).await?.matched_count {
            0 => Err(BackendError::new(OP, ErrorKind::NotFound).context(id)),
            _ => Ok(()),
        }
    }

    async fn list(
        &self,
        state: Option<AlertState>,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<Alert>> {
        const OP: &str = "outbox.list";
        let mut filter = doc! { "_id": { "$lt": place_of(page, OP)? } };
        if let Some(state) = state {
            filter.insert(STATE, state.as_str());
        }
        let limit = limit.max(1);
        let find = self
            .alerts
            .find(filter)
            .sort(doc! { "_id": -1 })
            // One more than asked for tells whether there is a next page.
            .limit(i64::from(limit) + 1)
            .projection(doc! { FOLDS: 0 });
        let found = self.read(OP, async { rows(find.await?).await }).await?;
        let (found, next) = page_of(found, limit);
        Ok(Page {
            items: found.iter().filter_map(|row| alerts::read(row)).collect(),
            next,
        })
    }
}

/// A number that names a claim; positive, since BSON has no other numbers of this size.
fn random(op: &'static str) -> Result<i64> {
    let number = getrandom::u64()
        .map_err(|error| BackendError::new(op, ErrorKind::Unexpected).source(error))?;
    Ok(i64::try_from(number >> 1).unwrap_or(i64::MAX))
}
