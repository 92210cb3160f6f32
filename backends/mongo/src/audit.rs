//! The audit trail, a document each: what lists are made by, and the stored form of all of it as text.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::Cursor;
use mongodb::bson::{Document, doc};
use sandclock_core::backend::audit::AuditPlace;
use sandclock_core::backend::{
    AuditEntry, AuditFilter, AuditLog, AuditOutcome, Page, PageToken, Result,
};
use sandclock_core::time::Timestamp;
use sandclock_core::{BackendError, ErrorKind, stored};

use crate::schema::audit::{ACTION, AT, BODY, OVER, SUBJECT, WHO};
use crate::store::Store;

fn document(op: &'static str, entry: &AuditEntry) -> Result<Document> {
    let body = stored::encode(entry)
        .map_err(|error| BackendError::new(op, ErrorKind::InvalidConfig).source(error))?;
    Ok(doc! {
        AT: entry.at.as_millis(),
        WHO: &entry.who,
        ACTION: &entry.action,
        SUBJECT: &entry.subject,
        OVER: entry.outcome != AuditOutcome::Begun,
        BODY: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// The condition under which the filter wants an entry, before this place.
fn condition(filter: &AuditFilter, before: Option<AuditPlace>) -> Document {
    let mut all = Vec::new();
    let words = [
        (WHO, &filter.who),
        (ACTION, &filter.action),
        (SUBJECT, &filter.subject),
    ];
    for (member, word) in words {
        all.extend(word.as_ref().map(|word| doc! { member: word }));
    }
    for (test, at) in [("$gte", filter.since), ("$lt", filter.until)] {
        all.extend(at.map(|at| doc! { AT: { test: at.as_millis() } }));
    }
    all.extend(before.map(|place| {
        let at = place.at.as_millis();
        doc! { "$or": [{ AT: { "$lt": at } }, { AT: at, "_id": { "$lt": place.id } }] }
    }));
    match all.is_empty() {
        true => doc! {},
        false => doc! { "$and": all },
    }
}

fn place(document: &Document) -> Option<AuditPlace> {
    Some(AuditPlace {
        at: Timestamp::from_millis(document.get_i64(AT).ok()?),
        id: document.get_str("_id").ok()?.to_owned(),
    })
}

/// The entry in a document; `None` if it cannot be read.
fn entry(document: &Document) -> Option<AuditEntry> {
    stored::decode(document.get_str(BODY).ok()?.as_bytes()).ok()
}

async fn all(cursor: Cursor<Document>) -> mongodb::error::Result<Vec<Document>> {
    cursor.try_collect().await
}

#[async_trait]
impl AuditLog for Store {
    async fn put(&self, entry: &AuditEntry) -> Result<()> {
        const OP: &str = "audit.put";
        entry.check()?;
        let unless_over = self
            .audit
            .update_one(
                doc! { "_id": &entry.id, OVER: { "$ne": true } },
                doc! { "$set": document(OP, entry)? },
            )
            .upsert(true);
        // One that is over is refused as a duplicate: it stays as it is. So is one of two at once that both make the
        // document; the other has made it, but it may have only begun.
        if !self.write_unless_taken(OP, unless_over).await? && entry.outcome != AuditOutcome::Begun
        {
            let of_the_other = self.audit.update_one(
                doc! { "_id": &entry.id, OVER: { "$ne": true } },
                doc! { "$set": document(OP, entry)? },
            );
            self.write(OP, of_the_other).await?;
        }
        Ok(())
    }

    async fn list(
        &self,
        filter: &AuditFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<AuditEntry>> {
        let before = page.map(AuditPlace::read).transpose()?;
        let limit = limit.max(1);
        let find = self
            .audit
            .find(condition(filter, before))
            .sort(doc! { AT: -1, "_id": -1 })
            .limit(i64::from(limit) + 1);
        let read = async { all(find.await?).await };
        let mut found = self.read("audit.list", read).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more).and_then(place);
        Ok(Page {
            items: found.iter().filter_map(entry).collect(),
            next: last.map(|place| place.token()),
        })
    }

    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32> {
        const OP: &str = "audit.prune";
        if max == 0 {
            return Ok(0);
        }
        let find = self
            .audit
            .find(doc! { AT: { "$lt": before.as_millis() } })
            .sort(doc! { AT: 1, "_id": 1 })
            .limit(i64::from(max))
            .projection(doc! { "_id": 1 });
        let found = self.read(OP, async { all(find.await?).await }).await?;
        let ids: Vec<_> = found.iter().filter_map(|old| old.get("_id")).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let old = doc! { "_id": { "$in": ids } };
        let deleted = self.write(OP, self.audit.delete_many(old)).await?;
        Ok(u32::try_from(deleted.deleted_count).unwrap_or(max))
    }
}
