//! The job store.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};
use sandclock_core::backend::{
    Cursor, Events, JobEvent, JobSnapshot, JobStore, Precondition, Result, StoredJob, Version,
    Versioned,
};
use sandclock_core::job::{Job, JobName};
use sandclock_core::{BackendError, ErrorKind, stored};

use crate::changes::{Change, cursor, progress};
use crate::error::DbResult;
use crate::store::Store;
use crate::txn::{Sequence, Txn};

/// The longest stored form of a job.
const JOB_BYTES: usize = 1 << 20;

/// A row of the table, its body not yet read.
struct JobRow {
    version: u64,
    created: u64,
    body: Vec<u8>,
}

impl JobRow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            version: row.get(0)?,
            created: row.get(1)?,
            body: row.get(2)?,
        })
    }

    fn find(db: &Connection, name: &JobName) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT version, created, body FROM jobs WHERE name = ?1";
        let mut select = db.prepare_cached(sql)?;
        select.query_row([name.as_str()], Self::from_row).optional()
    }

    fn stored(&self) -> DbResult<StoredJob> {
        Ok(StoredJob {
            job: Arc::new(stored::decode(&self.body)?),
            version: Version(self.version),
            created: Version(self.created),
        })
    }
}

fn holds(pre: Precondition, version: Option<u64>) -> bool {
    match pre {
        Precondition::Any => true,
        Precondition::Absent => version.is_none(),
        Precondition::Matches(expected) => version == Some(expected.0),
    }
}

fn put(txn: &mut Txn<'_>, job: &Arc<Job>, pre: Precondition) -> DbResult<Versioned<()>> {
    let old = JobRow::find(txn.db, &job.name)?;
    if !holds(pre, old.as_ref().map(|old| old.version)) {
        return Err(BackendError::new(txn.op, ErrorKind::Conflict)
            .context(&job.name)
            .into());
    }
    let body = match &old {
        Some(old) => stored::encode_over(&**job, &old.body)?,
        None => stored::encode(&**job)?,
    };
    if body.len() > JOB_BYTES {
        let refused = BackendError::new(txn.op, ErrorKind::InvalidConfig);
        let why = format!("{} has {} bytes, at most {JOB_BYTES}", job.name, body.len());
        return Err(refused.context(why).into());
    }
    let version = txn.next_version();
    let created = old.map_or(version, |old| Version(old.created));
    let mut replace = txn
        .db
        .prepare_cached("REPLACE INTO jobs VALUES (?1, ?2, ?3, ?4)")?;
    replace.execute((job.name.as_str(), version.0, created.0, body))?;
    let mut keep = txn
        .db
        .prepare_cached("UPDATE marks SET orphaned_at = NULL WHERE job = ?1")?;
    keep.execute([job.name.as_str()])?;
    txn.tell(Change::Job(JobEvent::Put(StoredJob {
        job: Arc::clone(job),
        version,
        created,
    })));
    Ok(Versioned { version, value: () })
}

fn delete(txn: &mut Txn<'_>, name: &JobName, pre: Precondition) -> DbResult<()> {
    let refuse = |kind| Err(BackendError::new("jobs.delete", kind).context(name).into());
    let Some(old) = JobRow::find(txn.db, name)? else {
        return refuse(ErrorKind::NotFound);
    };
    if !holds(pre, Some(old.version)) {
        return refuse(ErrorKind::Conflict);
    }
    let mut delete = txn.db.prepare_cached("DELETE FROM jobs WHERE name = ?1")?;
    delete.execute([name.as_str()])?;
    let sql = "UPDATE marks SET orphaned_at = unixepoch() WHERE job = ?1";
    txn.db.prepare_cached(sql)?.execute([name.as_str()])?;
    let version = txn.next_version();
    txn.tell(Change::Job(JobEvent::Deleted(name.clone(), version)));
    Ok(())
}

fn snapshot(db: &Connection) -> DbResult<JobSnapshot> {
    let mut select = db.prepare_cached("SELECT version, created, body FROM jobs ORDER BY name")?;
    let rows = select.query_map([], JobRow::from_row)?;
    let jobs = rows.map(|row| row?.stored()).collect::<DbResult<_>>()?;
    Ok(JobSnapshot {
        jobs,
        cursor: cursor(Sequence::read(db)?.position),
    })
}

#[async_trait]
impl JobStore for Store {
    async fn snapshot(&self) -> Result<JobSnapshot> {
        self.readers.read("jobs.snapshot", snapshot).await
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, JobEvent)>> {
        self.changes
            .watch("jobs.watch", &from, |at, change| match &*change {
                Change::Job(event) => Some((cursor(at), event.clone())),
                _ => progress(at, JobEvent::Progress),
            })
    }

    async fn get(&self, name: &JobName) -> Result<Option<StoredJob>> {
        let name = name.clone();
        let find = move |db: &Connection| {
            let row = JobRow::find(db, &name)?;
            row.map(|row| row.stored()).transpose()
        };
        self.readers.read("jobs.get", find).await
    }

    async fn put(&self, job: &Job, pre: Precondition) -> Result<Versioned<()>> {
        let job = Arc::new(job.clone());
        let work = move |txn: &mut Txn<'_>| put(txn, &job, pre);
        self.writer.write("jobs.put", work).await
    }

    async fn delete(&self, name: &JobName, pre: Precondition) -> Result<()> {
        let name = name.clone();
        let work = move |txn: &mut Txn<'_>| delete(txn, &name, pre);
        self.writer.write("jobs.delete", work).await
    }
}
