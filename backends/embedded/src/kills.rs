//! Kill marks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sandclock_core::backend::{Events, Kill, Kills, Result};
use sandclock_core::run::RunId;

use crate::changes::Change;
use crate::error::DbResult;
use crate::expiry::kill_of;
use crate::history::follow;
use crate::store::Store;
use crate::txn::Txn;

fn send(txn: &mut Txn<'_>, kill: &Kill, retain: Duration) -> DbResult<()> {
    let known = kill_of(txn.db, &kill.run)?.is_some();
    let retain_ms = u64::try_from(retain.as_millis()).unwrap_or(u64::MAX >> 1);
    // The first one's who and why stay; the longer time wins.
    let sql = "INSERT INTO kills VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (run) DO UPDATE SET retain_ms = max(retain_ms, ?4)";
    let mut put = txn.db.prepare_cached(sql)?;
    put.execute((kill.run.as_str(), &kill.by, &kill.why, retain_ms))?;
    txn.deadlines.keep_kill(&kill.run, retain);
    if !known {
        txn.tell(Change::Kill(kill.clone()));
    }
    Ok(())
}

/// All retained kills, and the position that they belong to.
fn retained(txn: &mut Txn<'_>) -> DbResult<(Vec<Kill>, u64)> {
    let mut select = txn
        .db
        .prepare_cached("SELECT run, by_whom, why FROM kills ORDER BY run")?;
    let mut rows = select.query([])?;
    let mut kills = Vec::new();
    while let Some(row) = rows.next()? {
        // A kill of no run concerns nobody.
        if let Some(run) = RunId::parse(&row.get::<_, String>(0)?) {
            kills.push(Kill {
                run,
                by: row.get(1)?,
                why: row.get(2)?,
            });
        }
    }
    Ok((kills, txn.position()))
}

#[async_trait]
impl Kills for Store {
    async fn send(&self, kill: &Kill, retain: Duration) -> Result<()> {
        let kill = kill.clone();
        let work = move |txn: &mut Txn<'_>| send(txn, &kill, retain);
        self.writer.write("kills.send", work).await
    }

    async fn watch(&self) -> Result<Events<Kill>> {
        // By the writer, so that what has expired is gone and the position is exact.
        let (first, position) = self.writer.write("kills.watch", retained).await?;
        let pick = |_, change: Arc<Change>| match &*change {
            Change::Kill(kill) => Some(kill.clone()),
            _ => None,
        };
        Ok(follow(&self.changes, "kills.watch", position, first, pick))
    }
}
