//! What plugins keep. Each change is one transaction, so that nobody comes between a look and a write.
//!
//! Times to live are compared with the wall clock of the file's host, like the other long times: they last over restarts.
//! What has run out is not there, whether its row is still or not; rows go with the next change of their plugin.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};
use sandclock_core::backend::kv::{ENTRY_BYTES, check_key};
use sandclock_core::backend::{PluginKv, Result, Swap};

use crate::error::DbResult;
use crate::store::Store;
use crate::txn::Txn;

/// Longer times are cut: numbers end somewhere.
const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

/// Now, in Unix milliseconds.
const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// The value, if its time has not run out.
fn find(db: &Connection, plugin: &str, key: &str) -> DbResult<Option<Bytes>> {
    let sql = format!(
        "SELECT value FROM plugin_values WHERE plugin = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > {NOW})"
    );
    let mut select = db.prepare_cached(&sql)?;
    let value = select.query_row((plugin, key), |row| row.get::<_, Vec<u8>>(0));
    Ok(value.optional()?.map(Bytes::from))
}

/// What the plugin's values but this one take.
fn others(db: &Connection, plugin: &str, key: &str) -> DbResult<usize> {
    let sql = "SELECT coalesce(sum(octet_length(key) + octet_length(value) + ?3), 0)
               FROM plugin_values WHERE plugin = ?1 AND key <> ?2";
    let mut select = db.prepare_cached(sql)?;
    Ok(select.query_row((plugin, key, ENTRY_BYTES), |row| row.get(0))?)
}

fn swap(db: &Connection, plugin: &str, swap: &Swap) -> DbResult<bool> {
    let key = swap.key.as_str();
    let gone = format!("DELETE FROM plugin_values WHERE plugin = ?1 AND expires_at <= {NOW}");
    db.prepare_cached(&gone)?.execute([plugin])?;
    if find(db, plugin, key)? != swap.expect {
        return Ok(false);
    }
    swap.check_room(others(db, plugin, key)?)?;
    let Some(value) = &swap.value else {
        let delete = "DELETE FROM plugin_values WHERE plugin = ?1 AND key = ?2";
        db.prepare_cached(delete)?.execute((plugin, key))?;
        return Ok(true);
    };
    let ttl = swap.ttl.map(|ttl| ttl.min(LONGEST).as_millis());
    let ttl = ttl.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
    let keep = format!("REPLACE INTO plugin_values VALUES (?1, ?2, ?3, {NOW} + ?4)");
    let mut keep = db.prepare_cached(&keep)?;
    keep.execute((plugin, key, value.as_ref(), ttl))?;
    Ok(true)
}

#[async_trait]
impl PluginKv for Store {
    async fn get(&self, plugin: &str, key: &str) -> Result<Option<Bytes>> {
        const OP: &str = "kv.get";
        check_key(OP, key)?;
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        let read = move |db: &Connection| find(db, &plugin, &key);
        self.readers.read(OP, read).await
    }

    async fn swap(&self, plugin: &str, change: &Swap) -> Result<bool> {
        change.check()?;
        let (plugin, change) = (plugin.to_owned(), change.clone());
        let work = move |txn: &mut Txn<'_>| swap(txn.db, &plugin, &change);
        self.writer.write("kv.swap", work).await
    }

    async fn clear(&self, plugin: &str) -> Result<()> {
        let plugin = plugin.to_owned();
        let work = move |txn: &mut Txn<'_>| {
            let mut delete =
                (txn.db).prepare_cached("DELETE FROM plugin_values WHERE plugin = ?1")?;
            delete.execute([&plugin])?;
            Ok(())
        };
        self.writer.write("kv.clear", work).await
    }
}
