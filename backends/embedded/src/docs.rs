//! Documents of the fleet beside its jobs.

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};
use sandclock_core::backend::docs::check;
use sandclock_core::backend::{Doc, DocKind, Docs, Precondition, Result, Version, Versioned};
use sandclock_core::{BackendError, ErrorKind};

use crate::error::DbResult;
use crate::store::Store;
use crate::txn::Txn;

fn list(db: &Connection, kind: DocKind) -> DbResult<Vec<Doc>> {
    let sql = "SELECT name, version, body FROM docs WHERE kind = ?1 ORDER BY name";
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map([kind.as_str()], |row| {
        Ok(Doc {
            name: row.get(0)?,
            version: Version(row.get(1)?),
            body: row.get::<_, Vec<u8>>(2)?.into(),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The version of a document, if it is there.
fn found(db: &Connection, kind: DocKind, name: &str) -> rusqlite::Result<Option<Version>> {
    let sql = "SELECT version FROM docs WHERE kind = ?1 AND name = ?2";
    let mut select = db.prepare_cached(sql)?;
    let version = select.query_row((kind.as_str(), name), |row| row.get(0));
    Ok(version.optional()?.map(Version))
}

fn put(
    txn: &mut Txn<'_>,
    kind: DocKind,
    name: &str,
    body: &[u8],
    pre: Precondition,
) -> DbResult<Versioned<()>> {
    if !pre.holds(found(txn.db, kind, name)?) {
        let conflict = BackendError::new(txn.op, ErrorKind::Conflict);
        return Err(conflict.context(name).into());
    }
    let version = txn.next_version();
    let sql = "REPLACE INTO docs VALUES (?1, ?2, ?3, ?4)";
    let mut replace = txn.db.prepare_cached(sql)?;
    replace.execute((kind.as_str(), name, version.0, body))?;
    Ok(Versioned { version, value: () })
}

fn delete(txn: &mut Txn<'_>, kind: DocKind, name: &str, pre: Precondition) -> DbResult<()> {
    let there = found(txn.db, kind, name)?;
    if there.is_none() || !pre.holds(there) {
        let kind = match there {
            None => ErrorKind::NotFound,
            Some(_) => ErrorKind::Conflict,
        };
        return Err(BackendError::new(txn.op, kind).context(name).into());
    }
    let sql = "DELETE FROM docs WHERE kind = ?1 AND name = ?2";
    txn.db.prepare_cached(sql)?.execute((kind.as_str(), name))?;
    Ok(())
}

#[async_trait]
impl Docs for Store {
    async fn list(&self, kind: DocKind) -> Result<Vec<Doc>> {
        let list = move |db: &Connection| list(db, kind);
        self.readers.read("docs.list", list).await
    }

    async fn put(
        &self,
        kind: DocKind,
        name: &str,
        body: &Bytes,
        pre: Precondition,
    ) -> Result<Versioned<()>> {
        check(name, body)?;
        let (name, body) = (name.to_owned(), body.clone());
        let work = move |txn: &mut Txn<'_>| put(txn, kind, &name, &body, pre);
        self.writer.write("docs.put", work).await
    }

    async fn delete(&self, kind: DocKind, name: &str, pre: Precondition) -> Result<()> {
        let name = name.to_owned();
        let work = move |txn: &mut Txn<'_>| delete(txn, kind, &name, pre);
        self.writer.write("docs.delete", work).await
    }
}
