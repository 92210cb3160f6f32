//! What plugins keep.
//!
//! All values of a plugin are one document, which its share bounds far below what a document may have. So a change is one
//! step of the server, which looks, compares, counts and writes by its own clock: nobody comes in between, and no two
//! changes can pass the share together. What has run out is not there for any step, and goes with the next change.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};
use mongodb::options::{ReadConcern, ReadPreference, ReturnDocument, SelectionCriteria};
use sandclock_core::backend::kv::{MAX_PLUGIN_BYTES, check_key, no_room, taken};
use sandclock_core::backend::{PluginKv, Result, Swap};
use sandclock_core::{BackendError, ErrorKind};

use crate::guards::Guards;
use crate::store::Store;

/// How often a change begins anew because somebody else has made the plugin's document meanwhile.
const TRIES: u32 = 8;

/// Longer times are cut: dates end somewhere.
const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

/// What the last change came to, for whoever made it.
const ANSWER: &str = "answer";
const DONE: &str = "done";
const OTHER: &str = "other";
const FULL: &str = "full";

fn binary(bytes: &Bytes) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    })
}

/// The entries whose time has not run out, of all.
fn live(guards: Guards) -> Document {
    let until = doc! { "$ifNull": ["$$this.until", Bson::Null] };
    let cond = match guards.expiry {
        true => doc! { "$or": [
            { "$eq": [&until, Bson::Null] },
            { "$gt": ["$$this.until", "$$NOW"] },
        ] },
        false => doc! { "$gt": [1, 0] },
    };
    doc! { "$filter": { "input": { "$ifNull": ["$entries", []] }, "cond": cond } }
}

/// The entry with this key, or all others.
fn of_key(entries: &str, key: &str, comparison: &str) -> Document {
    let cond = doc! { comparison: ["$$this.k", { "$literal": key }] };
    doc! { "$filter": { "input": entries, "cond": cond } }
}

/// The step that makes the change, or leaves all as it is, and says which.
fn step(swap: &Swap, guards: Guards) -> Vec<Document> {
    let own = swap.value.as_ref();
    let bytes = own.map_or(0, |value| taken(&swap.key, value));
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let most = i64::try_from(MAX_PLUGIN_BYTES).unwrap_or(i64::MAX);
    let expected: Vec<Bson> = swap.expect.iter().map(binary).collect();
    let holds = match guards.expected {
        true => doc! { "$eq": ["$found.v", { "$literal": expected }] },
        false => doc! { "$gt": [1, 0] },
    };
    let fits = match own {
        Some(_) => doc! { "$lte": [{ "$add": [{ "$sum": "$rest.n" }, bytes] }, most] },
        None => doc! { "$gt": [1, 0] },
    };
    let answer = doc! { "$cond": [holds, { "$cond": [fits, DONE, FULL] }, OTHER] };
    let new: Vec<Bson> = own.iter().map(|value| entry(swap, value, bytes)).collect();
    let changed = doc! { "$concatArrays": ["$rest", new] };
    let is_done = doc! { "$eq": [format!("${ANSWER}"), DONE] };
    vec![
        doc! { "$set": { "live": live(guards) } },
        doc! { "$set": {
            "found": of_key("$live", &swap.key, "$eq"),
            "rest": of_key("$live", &swap.key, "$ne"),
        } },
        doc! { "$set": { ANSWER: answer } },
        doc! { "$set": { "entries": { "$cond": [is_done, changed, "$live"] } } },
        doc! { "$unset": ["live", "found", "rest"] },
    ]
}

fn entry(swap: &Swap, value: &Bytes, bytes: i64) -> Bson {
    let mut entry = doc! {
        "k": { "$literal": &swap.key },
        "v": { "$literal": binary(value) },
        "n": bytes,
    };
    if let Some(ttl) = swap.ttl {
        let ms = i64::try_from(ttl.min(LONGEST).as_millis()).unwrap_or(i64::MAX);
        entry.insert("until", doc! { "$add": ["$$NOW", ms] });
    }
    Bson::Document(entry)
}

impl Store {
    /// Makes the change, and what came of it. `None` if somebody else has made the document meanwhile.
    async fn swapped(
        &self,
        op: &'static str,
        plugin: &str,
        step: Vec<Document>,
    ) -> Result<Option<String>> {
        let update = self
            .kv
            .find_one_and_update(doc! { "_id": plugin }, step)
            .upsert(true)
            .projection(doc! { ANSWER: 1 })
            .return_document(ReturnDocument::After);
        match self.write(op, update).await {
            Ok(after) => {
                let answer = after.as_ref().and_then(|after| after.get_str(ANSWER).ok());
                Ok(Some(answer.unwrap_or_default().to_owned()))
            }
            Err(error) if error.kind == ErrorKind::Conflict => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl PluginKv for Store {
    async fn get(&self, plugin: &str, key: &str) -> Result<Option<Bytes>> {
        const OP: &str = "kv.get";
        check_key(OP, key)?;
        let live = live(self.guards);
        let key_is = doc! { "$eq": ["$$this.k", { "$literal": key }] };
        let found = doc! { "$filter": { "input": live, "cond": key_is } };
        let find = self
            .kv
            .find_one(doc! { "_id": plugin })
            .projection(doc! { "_id": 0, "found": found })
            .read_concern(ReadConcern::majority())
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        let Some(values) = self.read(OP, async { find.await }).await? else {
            return Ok(None);
        };
        let corrupt = || {
            let why = format!("the values of plugin {plugin} cannot be read");
            BackendError::new(OP, ErrorKind::Corrupt).context(why)
        };
        let found = values.get_array("found").map_err(|_| corrupt())?;
        let Some(found) = found.first() else {
            return Ok(None);
        };
        let value = found.as_document().and_then(|found| found.get("v"));
        match value {
            Some(Bson::Binary(value)) => Ok(Some(Bytes::copy_from_slice(&value.bytes))),
            _ => Err(corrupt()),
        }
    }

    async fn swap(&self, plugin: &str, swap: &Swap) -> Result<bool> {
        const OP: &str = "kv.swap";
        swap.check()?;
        let step = step(swap, self.guards);
        for _ in 0..TRIES {
            match self.swapped(OP, plugin, step.clone()).await?.as_deref() {
                None => {}
                Some(DONE) => return Ok(true),
                Some(OTHER) => return Ok(false),
                Some(FULL) => return Err(no_room("more than there is room for")),
                Some(answer) => {
                    let why = format!("a change came to {answer:?}");
                    return Err(BackendError::new(OP, ErrorKind::Unexpected).context(why));
                }
            }
        }
        let why = format!("the values of plugin {plugin} are made again and again");
        Err(BackendError::new(OP, ErrorKind::Throttled).context(why))
    }

    async fn clear(&self, plugin: &str) -> Result<()> {
        let delete = self.kv.delete_one(doc! { "_id": plugin });
        self.write("kv.clear", delete).await.map(drop)
    }
}
