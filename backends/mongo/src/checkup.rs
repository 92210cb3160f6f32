//! What a server says of itself and of our collections, for whoever looks for what is wrong. It decides nothing (A2), makes no
//! index and changes no document.

use std::fmt;

use mongodb::IndexModel;
use mongodb::bson::{Bson, Document, doc};
use sandclock_core::backend::Result;
use sandclock_core::time::Clock;

use crate::error::Access;
use crate::schema::{self, OPEN};
use crate::store::Store;

/// An `_id` that no document has: those of the collection are ObjectIds.
const NOBODY: &str = "sandclock.checkup";

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkup {
    /// Its version, such as `7.0.14`.
    pub version: String,
    /// The name of its replica set; `None` of a single server.
    pub replica_set: Option<String>,
    /// What its clock showed. Unix milliseconds.
    pub clock_ms: i64,
    /// What ours showed before it was asked for that, and after it had answered. Unix milliseconds.
    pub asked_ms: (i64, i64),
    /// Whether there is any index of ours yet.
    pub is_new: bool,
    /// What is wrong with the indexes.
    pub flaws: Vec<Flaw>,
}

/// An index that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The collection.
    pub collection: String,
    /// Its keys, as people write them: `state, -_id`.
    pub keys: String,
    /// What is wrong.
    pub what: FlawKind,
}

/// What is wrong with an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlawKind {
    /// There is none; lists are slow without it.
    Missing,
    /// There is none that keeps a second document with the same key out.
    NotUnique,
    /// It deletes documents after a time, which nobody of us asked for.
    Expires,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.collection, self.keys)
    }
}

impl Store {
    /// Asks the server how it is, and whether it would let us write.
    ///
    /// # Errors
    /// As opening.
    pub(crate) async fn checkup(&self, clock: &dyn Clock) -> Result<Checkup> {
        let version = self.version().await?;
        // Connected by now: what lies between is the way there and back, and no name or server is looked up.
        let before = clock.now().as_millis();
        let hello = self.db.run_command(doc! { "hello": 1 });
        let hello = self.ask(Access::Read, async { hello.await }).await?;
        let asked_ms = (before, clock.now().as_millis());
        // Finds nothing and so changes nothing; but it needs the right to, and a majority that answers.
        let change = doc! { "$set": { NOBODY: 1 } };
        let write = self.runs.update_one(doc! { "_id": NOBODY }, change);
        self.ask(Access::Write, async { write.await }).await?;
        let mut flaws = Vec::new();
        let mut is_new = true;
        for (collection, wanted) in schema::all(self.runs.name()) {
            let found = self.ask(Access::Read, self.indexes(collection)).await?;
            for index in wanted {
                let index = index.model();
                match flaw(&index, &found) {
                    None => is_new = false,
                    Some(what) => flaws.push(of(collection, &index, what)),
                }
            }
            let expires = |index: &&IndexModel| {
                let options = index.options.as_ref();
                options.is_some_and(|options| options.expire_after.is_some())
            };
            let expiring = found.iter().filter(expires);
            flaws.extend(expiring.map(|index| of(collection, index, FlawKind::Expires)));
        }
        Ok(Checkup {
            version,
            replica_set: hello.get_str("setName").ok().map(str::to_owned),
            clock_ms: hello
                .get_datetime("localTime")
                .map_or(0, |time| time.timestamp_millis()),
            asked_ms,
            is_new,
            flaws,
        })
    }

    async fn ask<T>(
        &self,
        access: Access,
        work: impl Future<Output = mongodb::error::Result<T>>,
    ) -> Result<T> {
        crate::store::in_time(OPEN, access, self.timeout, work).await
    }

    async fn indexes(&self, collection: &str) -> mongodb::error::Result<Vec<IndexModel>> {
        let collection = self.db.collection::<Document>(collection);
        let mut cursor = match collection.list_indexes().await {
            Err(error) if schema::is_no_collection(&error) => return Ok(Vec::new()),
            listed => listed?,
        };
        let mut found = Vec::new();
        while cursor.advance().await? {
            found.push(cursor.deserialize_current()?);
        }
        Ok(found)
    }
}

/// What these indexes lack of the one that is wanted.
fn flaw(wanted: &IndexModel, found: &[IndexModel]) -> Option<FlawKind> {
    let is_unique = |index: &IndexModel| {
        let options = index.options.as_ref();
        options.and_then(|options| options.unique).unwrap_or(false)
    };
    let same: Vec<_> = (found.iter())
        .filter(|index| parts(&index.keys).eq(parts(&wanted.keys)))
        .collect();
    match is_unique(wanted) {
        true if same.iter().any(|index| is_unique(index)) => None,
        true => Some(FlawKind::NotUnique),
        false if same.is_empty() => Some(FlawKind::Missing),
        false => None,
    }
}

fn of(collection: &str, index: &IndexModel, what: FlawKind) -> Flaw {
    let keys: Vec<_> = parts(&index.keys)
        .map(|(name, direction)| match direction {
            Some(-1) => format!("-{name}"),
            _ => name.to_owned(),
        })
        .collect();
    Flaw {
        collection: collection.to_owned(),
        keys: keys.join(", "),
        what,
    }
}

/// The keys in their order, each with its direction, which servers keep as a number of any type; `None` is another kind of
/// index, such as one of texts.
fn parts(keys: &Document) -> impl Iterator<Item = (&str, Option<i64>)> {
    keys.iter().map(|(name, direction)| {
        let direction = match direction {
            Bson::Int32(number) => Some(i64::from(*number)),
            Bson::Int64(number) => Some(*number),
            Bson::Double(number) if *number < 0.0 => Some(-1),
            Bson::Double(_) => Some(1),
            _ => None,
        };
        (name.as_str(), direction)
    })
}

#[cfg(test)]
mod tests {
    use mongodb::options::IndexOptions;

    use super::*;

    fn index(keys: Document, unique: bool) -> IndexModel {
        let mut options = IndexOptions::default();
        options.unique = unique.then_some(true);
        IndexModel::builder().keys(keys).options(options).build()
    }

    #[test]
    fn an_index_serves_if_its_keys_are_the_same_in_the_same_order() {
        let wanted = index(doc! { "a": 1, "b": -1 }, false);
        let judge = |found: IndexModel| flaw(&wanted, &[found]);
        assert_eq!(judge(index(doc! { "a": 1.0, "b": -1_i64 }, true)), None);
        for other in [
            doc! { "b": -1, "a": 1 },
            doc! { "a": 1 },
            doc! { "a": 1, "b": 1 },
            doc! { "a": "text", "b": -1 },
        ] {
            assert_eq!(judge(index(other, false)), Some(FlawKind::Missing));
        }
        let unique = index(doc! { "a": 1 }, true);
        let plain = index(doc! { "a": 1 }, false);
        assert_eq!(flaw(&unique, &[plain]), Some(FlawKind::NotUnique));
        assert_eq!(flaw(&unique, &[]), Some(FlawKind::NotUnique));
        assert_eq!(
            of("log", &wanted, FlawKind::Missing).to_string(),
            "log (a, -b)"
        );
    }
}
