//! The recordings of plugin calls, a document each.
//!
//! Two that keep recordings of one plugin at once may each drop what the other has not counted yet: then some more are
//! there until the next is kept.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::Cursor;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};
use sandclock_core::backend::recordings::RECORDINGS_KEPT;
use sandclock_core::backend::{Recording, Recordings, Result};
use sandclock_core::run::RunId;

use crate::schema::recording::{ID, PLUGIN, RUN};
use crate::store::Store;

fn document(recording: &Recording) -> Document {
    let bytes = recording.body.to_vec();
    doc! {
        PLUGIN: &recording.plugin,
        RUN: recording.run.as_str(),
        "body": Binary { subtype: BinarySubtype::Generic, bytes },
    }
}

/// The recording in a document; `None` if it cannot be read.
fn recording(document: &Document) -> Option<Recording> {
    Some(Recording {
        id: document.get_str(ID).ok()?.to_owned(),
        plugin: document.get_str(PLUGIN).ok()?.to_owned(),
        run: RunId::parse(document.get_str(RUN).ok()?)?,
        body: document.get_binary_generic("body").ok()?.clone().into(),
    })
}

async fn all(cursor: Cursor<Document>) -> mongodb::error::Result<Vec<Recording>> {
    let found: Vec<Document> = cursor.try_collect().await?;
    Ok(found.iter().filter_map(recording).collect())
}

impl Store {
    /// Drops the oldest of a plugin if there are too many.
    async fn drop_oldest(&self, op: &'static str, plugin: &str) -> Result<()> {
        let surplus = self
            .recordings
            .find_one(doc! { PLUGIN: plugin })
            .sort(doc! { "_id": -1 })
            .skip(u64::from(RECORDINGS_KEPT));
        let newest = self.read(op, async { surplus.await }).await?;
        if let Some(newest) = newest.as_ref().and_then(|newest| newest.get("_id")) {
            let old = doc! { PLUGIN: plugin, "_id": { "$lte": newest } };
            self.write(op, self.recordings.delete_many(old)).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Recordings for Store {
    async fn keep(&self, recordings: &[Recording]) -> Result<()> {
        const OP: &str = "recordings.keep";
        recordings.iter().try_for_each(Recording::check)?;
        for recording in recordings {
            let new = doc! { "$setOnInsert": document(recording) };
            let unless_there = self
                .recordings
                .update_one(doc! { ID: &recording.id }, new)
                .upsert(true);
            // Of two at once one is refused as a duplicate: it is there then.
            self.write_unless_taken(OP, unless_there).await?;
        }
        let mut plugins: Vec<_> = recordings.iter().map(|new| &new.plugin).collect();
        plugins.sort_unstable();
        plugins.dedup();
        for plugin in plugins {
            self.drop_oldest(OP, plugin).await?;
        }
        Ok(())
    }

    async fn of_run(&self, run: &RunId) -> Result<Vec<Recording>> {
        let find = self
            .recordings
            .find(doc! { RUN: run.as_str() })
            .sort(doc! { "_id": 1 });
        self.read("recordings.of_run", async { all(find.await?).await })
            .await
    }

    async fn latest(&self, plugin: &str, limit: u32) -> Result<Vec<Recording>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let find = self
            .recordings
            .find(doc! { PLUGIN: plugin })
            .sort(doc! { "_id": -1 })
            .limit(i64::from(limit));
        self.read("recordings.latest", async { all(find.await?).await })
            .await
    }
}
