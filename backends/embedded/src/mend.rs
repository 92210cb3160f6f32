//! What is done, when the file is opened, about records of the protocol that cannot be read.
//!
//! No session outlives a process, so none of them has an owner: [`protocol::mend`] says what stands in
//! their place. Those of a newer program are left as they are for it.

use sandclock_core::backend::protocol::{self, Unreadable};
use sandclock_core::backend::{DoneRecord, Mark, OpenRecord, WaitRecord};
use sandclock_core::job::JobName;
use sandclock_core::run::RunKey;
use sandclock_core::stored::{self, Stored, StoredError};
use sandclock_core::time::Timestamp;

use crate::error::DbResult;
use crate::txn::Txn;

/// A record that cannot be read: its job, its place, and why.
type Damaged = (JobName, Unreadable, String);

/// Makes every record of the protocol readable.
pub(crate) fn mend(txn: &mut Txn<'_>) -> DbResult<()> {
    // Marks first: the ends of the runs go on with their streaks.
    let marks = "SELECT job, '', body FROM marks";
    let mut found = damaged::<Mark>(txn, marks, |_| Some(Unreadable::Mark))?;
    let of_run = |record: fn(RunKey) -> Unreadable| move |key: &str| RunKey::parse(key).map(record);
    let open = "SELECT job, key, body FROM open_runs";
    found.extend(damaged::<OpenRecord>(txn, open, of_run(Unreadable::Open))?);
    let wait = "SELECT job, key, body FROM wait_runs";
    found.extend(damaged::<WaitRecord>(txn, wait, of_run(Unreadable::Wait))?);
    let done = "SELECT job, key, body FROM done_runs";
    found.extend(damaged::<DoneRecord>(txn, done, of_run(Unreadable::Done))?);
    let now = now(txn)?;
    for (job, what, reason) in found {
        txn.step(|facts, _| protocol::mend(facts, &job, what, &reason, now))?;
    }
    Ok(())
}

/// The malformed ones of `(job, key, body)` rows whose place can be named.
fn damaged<T: Stored>(
    txn: &Txn<'_>,
    sql: &str,
    place: impl Fn(&str) -> Option<Unreadable>,
) -> DbResult<Vec<Damaged>> {
    let mut select = txn.db.prepare(sql)?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        let Err(why @ StoredError::Malformed { .. }) = stored::decode::<T>(body) else {
            continue;
        };
        if let Some(what) = place(&row.get::<_, String>(1)?) {
            let job = JobName::existing(row.get::<_, String>(0)?);
            found.push((job, what, why.reason()));
        }
    }
    Ok(found)
}

/// By the clock of the file's host.
fn now(txn: &Txn<'_>) -> DbResult<Timestamp> {
    let sql = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
    Ok(txn
        .db
        .query_row(sql, [], |row| row.get(0).map(Timestamp::from_millis))?)
}
