//! The audit trail.

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use sandclock_core::backend::audit::AuditPlace;
use sandclock_core::backend::{
    AuditEntry, AuditFilter, AuditLog, AuditOutcome, Page, PageToken, Result,
};
use sandclock_core::stored;
use sandclock_core::time::Timestamp;

use crate::error::DbResult;
use crate::store::Store;
use crate::txn::Txn;

fn put(txn: &mut Txn<'_>, entry: &AuditEntry) -> DbResult<()> {
    let sql = "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT (id) DO UPDATE SET over = excluded.over, body = excluded.body
               WHERE NOT audit.over";
    let mut write = txn.db.prepare_cached(sql)?;
    write.execute((
        &entry.id,
        entry.at.as_millis(),
        &entry.who,
        &entry.action,
        &entry.subject,
        entry.outcome != AuditOutcome::Begun,
        stored::encode(entry)?,
    ))?;
    Ok(())
}

/// The conditions of a list, and their values.
fn condition(filter: &AuditFilter, before: Option<&AuditPlace>) -> (String, Vec<Value>) {
    let mut tests = vec!["TRUE"];
    let mut values = Vec::new();
    let words = [
        ("who = ?", &filter.who),
        ("action = ?", &filter.action),
        ("subject = ?", &filter.subject),
    ];
    for (test, word) in words {
        if let Some(word) = word {
            tests.push(test);
            values.push(word.clone().into());
        }
    }
    for (test, at) in [("at >= ?", filter.since), ("at < ?", filter.until)] {
        if let Some(at) = at {
            tests.push(test);
            values.push(at.as_millis().into());
        }
    }
    if let Some(place) = before {
        tests.push("(at, id) < (?, ?)");
        values.push(place.at.as_millis().into());
        values.push(place.id.clone().into());
    }
    (tests.join(" AND "), values)
}

fn list(
    db: &Connection,
    filter: &AuditFilter,
    before: Option<&AuditPlace>,
    limit: u32,
) -> DbResult<Page<AuditEntry>> {
    let (condition, mut values) = condition(filter, before);
    // One more than asked for tells whether there is a next page.
    values.push((i64::from(limit) + 1).into());
    let sql = format!(
        "SELECT at, id, body FROM audit WHERE {condition} ORDER BY at DESC, id DESC LIMIT ?"
    );
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(values))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut items, mut last, mut seen) = (Vec::new(), None, 0);
    while let Some(row) = rows.next()? {
        if seen == limit {
            return Ok(Page { items, next: last });
        }
        seen += 1;
        let place = AuditPlace {
            at: Timestamp::from_millis(row.get(0)?),
            id: row.get(1)?,
        };
        last = Some(place.token());
        let body: Vec<u8> = row.get(2)?;
        // One that cannot be read hides no other.
        items.extend(stored::decode::<AuditEntry>(&body).ok());
    }
    Ok(Page { items, next: None })
}

fn prune(txn: &mut Txn<'_>, before: Timestamp, max: u32) -> DbResult<u32> {
    let sql = "DELETE FROM audit WHERE id IN
               (SELECT id FROM audit WHERE at < ?1 ORDER BY at, id LIMIT ?2)";
    let mut delete = txn.db.prepare_cached(sql)?;
    let gone = delete.execute((before.as_millis(), max))?;
    Ok(u32::try_from(gone).unwrap_or(max))
}

#[async_trait]
impl AuditLog for Store {
    async fn put(&self, entry: &AuditEntry) -> Result<()> {
        entry.check()?;
        let entry = entry.clone();
        let work = move |txn: &mut Txn<'_>| put(txn, &entry);
        self.writer.write("audit.put", work).await
    }

    async fn list(
        &self,
        filter: &AuditFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<AuditEntry>> {
        let before = page.map(AuditPlace::read).transpose()?;
        let filter = filter.clone();
        let read = move |db: &Connection| list(db, &filter, before.as_ref(), limit.max(1));
        self.readers.read("audit.list", read).await
    }

    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32> {
        let work = move |txn: &mut Txn<'_>| prune(txn, before, max);
        self.writer.write("audit.prune", work).await
    }
}
