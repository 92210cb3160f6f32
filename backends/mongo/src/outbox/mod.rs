//! The alert outbox.
//!
//! An alert is one document, and each change of it one conditional step. Whether it is due is judged by the
//! server's clock (`$$NOW`), in the step that claims it. An alert that is folded into another leaves its id
//! there; so that one of two that come at once finds the other, a pending alert with a dedupe key holds its
//! target and key in a member that is unique.
//!
//! [`message`] closes what a message holds; [`pace`] spaces sends out.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use sandclock_core::backend::{
    Alert, AlertId, AlertOutbox, AlertState, ClaimEnd, ClaimedAlert, Later, Page, PageToken, Result,
};
use sandclock_core::job::JobName;
use sandclock_core::run::RunId;
use sandclock_core::time::Timestamp;
use sandclock_core::{BackendError, ErrorKind};

use crate::alerts;
use crate::lists::{page_of, place_of};
use crate::schema::alert::{FOLDS, ID, JOB, PART_OF, RUN, SLOT, STATE};
use crate::store::{Store, rows};

mod message;
mod pace;

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
            "$max": { "failures": i64::from(alert.failures) },
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

    /// Changes an alert that is pending under the claim. Whether there is one.
    async fn answer(
        &self,
        op: &'static str,
        id: &AlertId,
        claim: u64,
        change: Vec<Document>,
    ) -> Result<bool> {
        let update = self.alerts.update_one(under(id, claim), change);
        Ok(self.write(op, update).await?.matched_count > 0)
    }

    /// Takes the alerts with these places that are due still under a new claim, which it returns.
    async fn hold(
        &self,
        op: &'static str,
        places: &[Bson],
        mut free: Document,
        lease: Duration,
    ) -> Result<i64> {
        let claim = random(op)?;
        free.insert("_id", doc! { "$in": places });
        let mut set = doc! { "claim": claim };
        if self.guards.lease {
            set.insert("due", after(lease));
        }
        let update = self.alerts.update_many(free, vec![doc! { "$set": set }]);
        self.write(op, update).await?;
        Ok(claim)
    }

    /// The places of the first documents of a filter.
    async fn places(&self, op: &'static str, filter: Document, most: u32) -> Result<Vec<Bson>> {
        let find = self
            .alerts
            .find(filter)
            .sort(doc! { "_id": 1 })
            .limit(i64::from(most))
            .projection(doc! { "_id": 1 });
        let found = self.read(op, async { rows(find.await?).await }).await?;
        let place = |row: &mongodb::bson::RawDocumentBuf| row.get_object_id("_id").ok();
        Ok(found.iter().filter_map(place).map(Bson::ObjectId).collect())
    }

    /// The alerts of a filter that can be read, oldest first.
    async fn alerts_of(&self, op: &'static str, filter: Document) -> Result<Vec<Alert>> {
        let find = self.alerts.find(filter).sort(doc! { "_id": 1 });
        let found = self.read(op, async { rows(find.await?).await }).await?;
        Ok(found.iter().filter_map(|row| alerts::read(row)).collect())
    }
}

/// Takes the alert out of its claim, and with another state than pending out of the way of those with its
/// key.
fn released(state: AlertState, mut set: Document) -> Vec<Document> {
    set.insert(STATE, state.as_str());
    let mut gone = vec!["claim"];
    gone.extend(
        ["waits", "nextTry"]
            .into_iter()
            .filter(|name| !set.contains_key(name)),
    );
    if state != AlertState::Pending {
        gone.push(SLOT);
    }
    vec![doc! { "$set": set }, doc! { "$unset": gone }]
}

/// What the end of a claim changes.
fn ended(end: &ClaimEnd) -> Vec<Document> {
    let tried = || doc! { "tries": { "$add": ["$tries", 1_i64] } };
    let put_off = |set: &mut Document, until: &Later| {
        set.insert("due", after(until.wait));
        set.insert("nextTry", until.at.as_millis());
    };
    match end {
        ClaimEnd::Delivered | ClaimEnd::Unwanted => released(AlertState::Delivered, tried()),
        ClaimEnd::Failed { error, again } => {
            let mut set = tried();
            // A literal: a `$` in it would else be an expression.
            set.insert("lastError", doc! { "$literal": error });
            let Some(until) = again else {
                return released(AlertState::Failed, set);
            };
            put_off(&mut set, until);
            released(AlertState::Pending, set)
        }
        ClaimEnd::Waits { why, until } => {
            let mut set = doc! { "waits": { "$literal": why } };
            put_off(&mut set, until);
            released(AlertState::Pending, set)
        }
        ClaimEnd::Moved { into, why } => {
            let set = doc! { "waits": { "$literal": why }, PART_OF: &into.0 };
            released(AlertState::Moved, set)
        }
    }
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
        let places = self.places(OP, due(), max).await?;
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let claim = self.hold(OP, &places, due(), lease).await?;
        let mine = doc! { "_id": { "$in": places }, "claim": claim };
        let claimed = self.alerts_of(OP, mine).await?;
        let claimed = self.without_parts(OP, claimed).await?;
        let claim = u64::try_from(claim).unwrap_or_default();
        let claimed = claimed.into_iter();
        Ok(claimed.map(|alert| ClaimedAlert { alert, claim }).collect())
    }

    async fn end(&self, id: &AlertId, claim: u64, end: &ClaimEnd) -> Result<bool> {
        const OP: &str = "outbox.end";
        if *end == ClaimEnd::Unwanted {
            let delete = self.alerts.delete_one(under(id, claim));
            return Ok(self.write(OP, delete).await?.deleted_count > 0);
        }
        self.answer(OP, id, claim, ended(end)).await
    }

    async fn gather(&self, id: &AlertId, claim: u64, most: u32) -> Result<Option<Vec<Alert>>> {
        self.close_message(id, claim, most).await
    }

    async fn pace(&self, target: &str, most: u32, window: Duration) -> Result<Option<Duration>> {
        self.take_place(target, most, window).await
    }

    async fn set(&self, id: &AlertId, state: AlertState) -> Result<()> {
        const OP: &str = "outbox.set";
        if !matches!(state, AlertState::Pending | AlertState::Acknowledged) {
            let refused = BackendError::new(OP, ErrorKind::InvalidConfig);
            return Err(refused.context(format!("state {} cannot be set", state.as_str())));
        }
        let change = released(state, doc! { "due": DateTime::from_millis(0) });
        let own = doc! { ID: &id.0, PART_OF: { "$exists": false } };
        let update = self.alerts.update_one(own, change);
        if self.write(OP, update).await?.matched_count > 0 {
            return Ok(());
        }
        let found = self.alerts_of(OP, doc! { ID: &id.0 }).await?;
        let whole = found.into_iter().find_map(|alert| alert.part_of);
        Err(match whole {
            Some(whole) => BackendError::new(OP, ErrorKind::Conflict).context(whole),
            None => BackendError::new(OP, ErrorKind::NotFound).context(id),
        })
    }

    async fn get(&self, id: &AlertId) -> Result<Option<Alert>> {
        Ok(self
            .alerts_of("outbox.get", doc! { ID: &id.0 })
            .await?
            .pop())
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

    async fn of_run(&self, run: &RunId) -> Result<Vec<Alert>> {
        let find = self
            .alerts
            .find(doc! { RUN: run.as_str() })
            .sort(doc! { "_id": 1 })
            .projection(doc! { FOLDS: 0 });
        let found = self.read("outbox.of_run", async { rows(find.await?).await });
        let found = found.await?;
        Ok(found.iter().filter_map(|row| alerts::read(row)).collect())
    }

    async fn of_job(&self, job: &JobName, after: Timestamp, limit: u32) -> Result<Vec<Alert>> {
        const OP: &str = "outbox.of_job";
        let filter = doc! { JOB: job.as_str(), "createdAt": { "$gt": after.as_millis() } };
        let find = self
            .alerts
            .find(filter)
            .sort(doc! { "_id": -1 })
            .limit(i64::from(limit))
            .projection(doc! { FOLDS: 0 });
        let found = self.read(OP, async { rows(find.await?).await }).await?;
        Ok(found.iter().filter_map(|row| alerts::read(row)).collect())
    }
}

/// A number that names a claim; positive, since BSON has no other numbers of this size.
fn random(op: &'static str) -> Result<i64> {
    let number = getrandom::u64()
        .map_err(|error| BackendError::new(op, ErrorKind::Unexpected).source(error))?;
    Ok(i64::try_from(number >> 1).unwrap_or(i64::MAX))
}
