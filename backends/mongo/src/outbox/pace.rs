//! How often alerts go to a target, over all servers: a document for each target with the times of its last sends, by
//! the server's clock.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use sandclock_core::backend::Result;

use crate::store::{Store, rows};

const OP: &str = "outbox.pace";

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// When the send before the last `most` ones was long enough ago; far back if there was none.
fn free_at(most: i64, window: i64) -> Document {
    let sends = doc! { "$ifNull": ["$sends", []] };
    let oldest = doc! { "$arrayElemAt": [&sends, { "$subtract": [{ "$size": &sends }, most] }] };
    doc! { "$cond": [
        { "$lt": [{ "$size": &sends }, most] },
        mongodb::bson::DateTime::from_millis(0),
        { "$add": [oldest, window] },
    ] }
}

impl Store {
    /// As the contract's `pace`.
    pub(super) async fn take_place(
        &self,
        target: &str,
        most: u32,
        window: Duration,
    ) -> Result<Option<Duration>> {
        let (most, window) = (i64::from(most.max(1)), millis(window));
        let free = doc! { "_id": target, "$expr": { "$lte": [free_at(most, window), "$$NOW"] } };
        let sends = doc! { "$concatArrays": [{ "$ifNull": ["$sends", []] }, ["$$NOW"]] };
        let take = doc! { "$set": { "sends": { "$slice": [sends, -most] } } };
        let update = || self.pace.update_one(free.clone(), vec![take.clone()]);
        if self.write(OP, update()).await?.matched_count > 0 {
            return Ok(None);
        }
        // The first send of all finds no document, and one that is computed from what is there cannot make it.
        let none = doc! { "$setOnInsert": { "sends": [] } };
        let make = self
            .pace
            .update_one(doc! { "_id": target }, none)
            .upsert(true);
        self.write_unless_taken(OP, make).await?;
        if self.write(OP, update()).await?.matched_count > 0 {
            return Ok(None);
        }
        let wait = doc! { "wait": { "$subtract": [free_at(most, window), "$$NOW"] } };
        let find = self.pace.find(doc! { "_id": target }).projection(wait);
        let found = self.read(OP, async { rows(find.await?).await }).await?;
        let wait = found.first().and_then(|row| row.get_i64("wait").ok());
        let wait = u64::try_from(wait.unwrap_or_default()).unwrap_or_default();
        Ok(Some(Duration::from_millis(wait.max(1))))
    }
}
