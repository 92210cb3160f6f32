//! The claim protocol: each call is a step of core's, in a transaction of its own.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use sandclock_core::backend::protocol;
use sandclock_core::backend::{
    Adopt, Adopted, Cursor, Decide, Decided, End, Ended, Events, Fence, FireEvent, FireFeed,
    FireView, Fires, RecordSeen, Request, Result, SessionId, Settle, Settled, Take, Taken,
    Triggered, Version, Versioned,
};
use sandclock_core::job::JobName;
use sandclock_core::run::RunKey;
use sandclock_core::stored::{self, Stored};

use crate::changes::{Change, cursor, progress};
use crate::error::DbResult;
use crate::store::Store;
use crate::txn::{Sequence, Txn};

#[async_trait]
impl Fires for Store {
    async fn decide(&self, session: &SessionId, due: &[Decide]) -> Result<Vec<Decided>> {
        protocol::check_batch(due)?;
        let (session, due) = (session.clone(), due.to_vec());
        // One savepoint for all: a session that ends in between undoes what came before.
        let work = move |txn: &mut Txn<'_>| {
            due.iter()
                .map(|due| txn.step(|facts, at| protocol::decide(facts, &session, due, at)))
                .collect()
        };
        self.writer.write("fires.decide", work).await
    }

    async fn adopt(&self, adopt: &Adopt) -> Result<Adopted> {
        let adopt = adopt.clone();
        let work =
            move |txn: &mut Txn<'_>| txn.step(|facts, at| protocol::adopt(facts, &adopt, at));
        self.writer.write("fires.adopt", work).await
    }

    async fn take(&self, session: &SessionId, take: &Take) -> Result<Taken> {
        let (session, take) = (session.clone(), take.clone());
        let work = move |txn: &mut Txn<'_>| {
            txn.step(|facts, at| protocol::take(facts, &session, &take, at))
        };
        self.writer.write("fires.take", work).await
    }

    async fn end(&self, end: &End) -> Result<Ended> {
        let end = end.clone();
        let work = move |txn: &mut Txn<'_>| txn.step(|facts, at| protocol::end(facts, &end, at));
        self.writer.write("fires.end", work).await
    }

    async fn rebind(
        &self,
        session: &SessionId,
        job: &JobName,
        key: &RunKey,
        fence: Fence,
    ) -> Result<Option<Fence>> {
        let (session, job, key) = (session.clone(), job.clone(), key.clone());
        let work = move |txn: &mut Txn<'_>| {
            txn.step(|facts, at| protocol::rebind(facts, &session, &job, &key, fence, at))
        };
        self.writer.write("fires.rebind", work).await
    }

    async fn settle(&self, settle: &Settle) -> Result<Settled> {
        let settle = settle.clone();
        let work =
            move |txn: &mut Txn<'_>| txn.step(|facts, at| protocol::settle(facts, &settle, at));
        self.writer.write("fires.settle", work).await
    }

    async fn trigger(&self, job: &JobName, request: &Request) -> Result<Triggered> {
        let (job, request) = (job.clone(), request.clone());
        let work =
            move |txn: &mut Txn<'_>| txn.step(|facts, _| protocol::trigger(facts, &job, &request));
        self.writer.write("fires.trigger", work).await
    }
}

/// All records of `(job, version, body)` rows with their jobs. What cannot be read is left out; see `mend`.
fn all<T: Stored>(db: &Connection, sql: &str) -> DbResult<Vec<(JobName, Versioned<T>)>> {
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        if let Ok(value) = stored::decode(body) {
            let version = Version(row.get(1)?);
            let job = JobName::existing(row.get::<_, String>(0)?);
            records.push((job, Versioned { version, value }));
        }
    }
    Ok(records)
}

fn without_jobs<T>(records: Vec<(JobName, Versioned<T>)>) -> Vec<Versioned<T>> {
    records.into_iter().map(|(_, record)| record).collect()
}

fn snapshot(db: &Connection) -> DbResult<(FireView, Cursor)> {
    let open = "SELECT job, version, body FROM open_runs ORDER BY job, key";
    // A wait record never changes, so that its version tells its age.
    let wait = "SELECT job, version, body FROM wait_runs ORDER BY version, job, key";
    let done = "SELECT job, version, body FROM done_runs ORDER BY job, key";
    let view = FireView {
        marks: all(db, "SELECT job, version, body FROM marks ORDER BY job")?,
        open: without_jobs(all(db, open)?),
        wait: without_jobs(all(db, wait)?),
        done: without_jobs(all(db, done)?),
    };
    Ok((view, cursor(Sequence::read(db)?.position)))
}

fn clean(txn: &mut Txn<'_>, done: &[RecordSeen]) -> DbResult<u32> {
    let mut deleted = 0;
    for seen in done {
        let sql = "DELETE FROM done_runs WHERE job = ?1 AND key = ?2 AND version = ?3";
        let mut delete = txn.db.prepare_cached(sql)?;
        let key = seen.key.to_string();
        if delete.execute((seen.job.as_str(), key, seen.version.0))? == 0 {
            continue;
        }
        drop(delete);
        let gone = RecordSeen {
            version: txn.next_version(),
            ..seen.clone()
        };
        txn.tell(Change::Fire(FireEvent::DoneGone(gone)));
        deleted += 1;
    }
    Ok(deleted)
}

#[async_trait]
impl FireFeed for Store {
    async fn snapshot(&self) -> Result<(FireView, Cursor)> {
        self.readers.read("feed.snapshot", snapshot).await
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, FireEvent)>> {
        self.changes
            .watch("feed.watch", &from, |at, change| match &*change {
                Change::Fire(event) => Some((cursor(at), event.clone())),
                _ => progress(at, FireEvent::Progress),
            })
    }

    async fn clean(&self, done: &[RecordSeen], _patience: Duration) -> Result<u32> {
        let done = done.to_vec();
        let work = move |txn: &mut Txn<'_>| clean(txn, &done);
        self.writer.write("feed.clean", work).await
    }
}
