//! The job store.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};
use sandclock_core::backend::{
    BrokenJob, Cursor, Events, JobEvent, JobRecord, JobSnapshot, JobStore, Precondition, Result,
    StoredJob, Version, Versioned,
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
pub(crate) struct JobRow {
    name: JobName,
    version: Version,
    created: Version,
    body: Vec<u8>,
}

impl JobRow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: JobName::existing(row.get::<_, String>(0)?),
            version: Version(row.get(1)?),
            created: Version(row.get(2)?),
            body: row.get(3)?,
        })
    }

    pub(crate) fn find(db: &Connection, name: &JobName) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT name, version, created, body FROM jobs WHERE name = ?1";
        let mut select = db.prepare_cached(sql)?;
        select.query_row([name.as_str()], Self::from_row).optional()
    }

    fn replace(&self, db: &Connection) -> rusqlite::Result<()> {
        let mut replace = db.prepare_cached("REPLACE INTO jobs VALUES (?1, ?2, ?3, ?4)")?;
        let (name, version, created) = (self.name.as_str(), self.version.0, self.created.0);
        replace.execute((name, version, created, &self.body))?;
        Ok(())
    }

    /// What the row holds.
    pub(crate) fn record(self) -> JobRecord {
        match stored::decode_job(&self.name, &self.body) {
            Ok(job) => JobRecord::Job(StoredJob {
                job: Arc::new(job),
                version: self.version,
                created: self.created,
            }),
            Err(why) => {
                JobRecord::Broken(BrokenJob::new(self.name, self.version, self.created, &why))
            }
        }
    }
}

fn put(txn: &mut Txn<'_>, job: &Arc<Job>, pre: Precondition) -> DbResult<Versioned<()>> {
    let old = JobRow::find(txn.db, &job.name)?;
    if !pre.holds(old.as_ref().map(|old| old.version)) {
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
    let created = old.map_or(version, |old| old.created);
    let row = JobRow {
        name: job.name.clone(),
        version,
        created,
        body,
    };
    row.replace(txn.db)?;
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
    if !pre.holds(Some(old.version)) {
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
    let sql = "SELECT name, version, created, body FROM jobs ORDER BY name";
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map([], |row| JobRow::from_row(row).map(JobRow::record))?;
    let records = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let at = cursor(Sequence::read(db)?.position);
    Ok(JobSnapshot::of(records, at))
}

/// Puts bytes that are no job under the name, and says so, as another program that writes the store might.
#[cfg(feature = "test-util")]
pub(crate) fn damage(txn: &mut Txn<'_>, name: &JobName, body: &[u8]) -> DbResult<()> {
    let old = JobRow::find(txn.db, name)?;
    let version = txn.next_version();
    let row = JobRow {
        name: name.clone(),
        version,
        created: old.map_or(version, |old| old.created),
        body: body.to_vec(),
    };
    row.replace(txn.db)?;
    txn.tell(Change::Job(row.record().into()));
    Ok(())
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
            let stored = row.map(|row| row.record().readable("jobs.get"));
            Ok(stored.transpose()?)
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
