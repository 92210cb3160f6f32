//! The recordings of plugin calls.

use async_trait::async_trait;
use rusqlite::{Connection, Row};
use sandclock_core::backend::recordings::RECORDINGS_KEPT;
use sandclock_core::backend::{Recording, Recordings, Result};
use sandclock_core::run::RunId;

use crate::error::{DbError, DbResult};
use crate::store::Store;
use crate::txn::Txn;

const COLUMNS: &str = "id, plugin, run, body";

/// A row in the order of `COLUMNS`.
fn recording(row: &Row<'_>) -> DbResult<Recording> {
    let run: String = row.get(2)?;
    Ok(Recording {
        id: row.get(0)?,
        plugin: row.get(1)?,
        run: RunId::parse(&run).ok_or(DbError::Column {
            column: "recordings.run",
            value: run,
        })?,
        body: row.get::<_, Vec<u8>>(3)?.into(),
    })
}

/// Adds it if it is new, and drops the oldest of its plugin if that has too many.
fn keep(db: &Connection, recording: &Recording) -> DbResult<()> {
    let sql = "INSERT INTO recordings (id, plugin, run, body) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (id) DO NOTHING";
    db.prepare_cached(sql)?.execute((
        &recording.id,
        &recording.plugin,
        recording.run.as_str(),
        &*recording.body,
    ))?;
    let sql = "DELETE FROM recordings WHERE plugin = ?1 AND place <=
               (SELECT place FROM recordings WHERE plugin = ?1
                ORDER BY place DESC LIMIT 1 OFFSET ?2)";
    let mut drop_oldest = db.prepare_cached(sql)?;
    drop_oldest.execute((&recording.plugin, RECORDINGS_KEPT))?;
    Ok(())
}

fn of_run(db: &Connection, run: &RunId) -> DbResult<Vec<Recording>> {
    let sql = format!("SELECT {COLUMNS} FROM recordings WHERE run = ?1 ORDER BY place");
    let mut select = db.prepare_cached(&sql)?;
    select.query_and_then([run.as_str()], recording)?.collect()
}

fn latest(db: &Connection, plugin: &str, limit: u32) -> DbResult<Vec<Recording>> {
    let sql =
        format!("SELECT {COLUMNS} FROM recordings WHERE plugin = ?1 ORDER BY place DESC LIMIT ?2");
    let mut select = db.prepare_cached(&sql)?;
    let rows = select.query_and_then((plugin, limit), recording)?;
    rows.collect()
}

#[async_trait]
impl Recordings for Store {
    async fn keep(&self, recordings: &[Recording]) -> Result<()> {
        recordings.iter().try_for_each(Recording::check)?;
        let recordings = recordings.to_vec();
        let work = move |txn: &mut Txn<'_>| recordings.iter().try_for_each(|new| keep(txn.db, new));
        self.writer.write("recordings.keep", work).await
    }

    async fn of_run(&self, run: &RunId) -> Result<Vec<Recording>> {
        let run = run.clone();
        let read = move |db: &Connection| of_run(db, &run);
        self.readers.read("recordings.of_run", read).await
    }

    async fn latest(&self, plugin: &str, limit: u32) -> Result<Vec<Recording>> {
        let plugin = plugin.to_owned();
        let read = move |db: &Connection| latest(db, &plugin, limit);
        self.readers.read("recordings.latest", read).await
    }
}
