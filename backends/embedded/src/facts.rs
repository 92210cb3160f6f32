//! What the protocol's steps read and write in a transaction. The steps themselves are core's.

use rusqlite::types::FromSql;
use rusqlite::{OptionalExtension, Params};
use sandclock_core::BackendError;
use sandclock_core::backend::protocol::{Change as Write, Facts, Step};
use sandclock_core::backend::{
    DoneRecord, FireEvent, Kill, Mark, OpenRecord, RecordSeen, Result, SessionId, Version,
    Versioned, WaitRecord,
};
use sandclock_core::job::JobName;
use sandclock_core::policy::ConcurrencyPolicy;
use sandclock_core::run::{RunId, RunKey};
use sandclock_core::stored::{self, Stored};

use crate::changes::Change;
use crate::error::{DbError, DbResult};
use crate::expiry::kill_of;
use crate::jobs::JobRow;
use crate::txn::Txn;

/// The three kinds of record of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table {
    Open,
    Wait,
    Done,
}

impl Table {
    fn select(self) -> &'static str {
        match self {
            Self::Open => "SELECT version, body FROM open_runs WHERE job = ?1 AND key = ?2",
            Self::Wait => "SELECT version, body FROM wait_runs WHERE job = ?1 AND key = ?2",
            Self::Done => "SELECT version, body FROM done_runs WHERE job = ?1 AND key = ?2",
        }
    }

    fn replace(self) -> &'static str {
        match self {
            Self::Open => "REPLACE INTO open_runs VALUES (?1, ?2, ?3, ?4)",
            Self::Wait => "REPLACE INTO wait_runs VALUES (?1, ?2, ?3, ?4)",
            Self::Done => "REPLACE INTO done_runs VALUES (?1, ?2, ?3, ?4)",
        }
    }

    fn delete(self) -> &'static str {
        match self {
            Self::Open => "DELETE FROM open_runs WHERE job = ?1 AND key = ?2",
            Self::Wait => "DELETE FROM wait_runs WHERE job = ?1 AND key = ?2",
            Self::Done => "DELETE FROM done_runs WHERE job = ?1 AND key = ?2",
        }
    }
}

impl Txn<'_> {
    /// Runs a step of the protocol on what the store holds, and writes its changes at one new version.
    pub(crate) fn step<T>(
        &mut self,
        step: impl FnOnce(&dyn Facts, Version) -> Result<Step<T>>,
    ) -> DbResult<T> {
        let done = step(self, self.coming_version())?;
        if !done.changes.is_empty() {
            let version = self.next_version();
            for change in done.changes {
                self.write(change, version)?;
            }
        }
        Ok(done.answer)
    }

    fn write(&mut self, change: Write, version: Version) -> DbResult<()> {
        let event = match change {
            Write::Mark(job, value) => {
                let mark = Versioned { version, value };
                self.put_mark(&job, &mark)?;
                FireEvent::Mark(job, mark)
            }
            Write::Open(value) => {
                self.put(Table::Open, &value.job, &value.key, version, &value)?;
                FireEvent::Open(Versioned { version, value })
            }
            Write::OpenGone(job, key) => {
                FireEvent::OpenGone(self.delete(Table::Open, job, key, version)?)
            }
            Write::Wait(value) => {
                self.put(Table::Wait, &value.job, &value.key, version, &value)?;
                FireEvent::Wait(Versioned { version, value })
            }
            Write::WaitGone(job, key) => {
                FireEvent::WaitGone(self.delete(Table::Wait, job, key, version)?)
            }
            Write::Done(value) => {
                self.put(Table::Done, &value.job, &value.key, version, &*value)?;
                FireEvent::Done(Box::new(Versioned {
                    version,
                    value: *value,
                }))
            }
            Write::Request(job, id) => {
                let sql = "INSERT INTO requests VALUES (?1, ?2, unixepoch())";
                self.db.prepare_cached(sql)?.execute((job.as_str(), id))?;
                return Ok(());
            }
        };
        self.tell(Change::Fire(event));
        Ok(())
    }

    fn put_mark(&self, job: &JobName, mark: &Versioned<Mark>) -> DbResult<()> {
        let body = stored::encode(&mark.value)?;
        let sql = "INSERT INTO marks (job, version, body) VALUES (?1, ?2, ?3)
                   ON CONFLICT (job) DO UPDATE SET version = ?2, body = ?3";
        let mut put = self.db.prepare_cached(sql)?;
        put.execute((job.as_str(), mark.version.0, body))?;
        Ok(())
    }

    fn put<T: Stored>(
        &self,
        table: Table,
        job: &JobName,
        key: &RunKey,
        version: Version,
        record: &T,
    ) -> DbResult<()> {
        let body = stored::encode(record)?;
        let mut put = self.db.prepare_cached(table.replace())?;
        put.execute((job.as_str(), key.to_string(), version.0, body))?;
        Ok(())
    }

    /// Deletes a record; how streams name it then.
    pub(crate) fn delete(
        &self,
        table: Table,
        job: JobName,
        key: RunKey,
        version: Version,
    ) -> DbResult<RecordSeen> {
        let mut delete = self.db.prepare_cached(table.delete())?;
        delete.execute((job.as_str(), key.to_string()))?;
        Ok(RecordSeen { job, key, version })
    }

    fn record<T: Stored>(
        &self,
        table: Table,
        job: &JobName,
        key: &RunKey,
    ) -> Result<Option<Versioned<T>>> {
        let found = self.row(table.select(), (job.as_str(), key.to_string()));
        found.map_err(|error| error.at(self.op))
    }

    /// The record in the one row, if any, of `(version, body)`.
    fn row<T: Stored>(&self, sql: &str, params: impl Params) -> DbResult<Option<Versioned<T>>> {
        let mut select = self.db.prepare_cached(sql)?;
        let row = select.query_row(params, |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((version, body)) = row.optional()? else {
            return Ok(None);
        };
        let body: Vec<u8> = body;
        Ok(Some(Versioned {
            version: Version(version),
            value: stored::decode(&body)?,
        }))
    }

    /// The one value, if any.
    fn value<T: FromSql>(&self, sql: &str, params: impl Params) -> Result<Option<T>> {
        let found = || {
            let mut select = self.db.prepare_cached(sql)?;
            select.query_row(params, |row| row.get(0)).optional()
        };
        found().map_err(|error: rusqlite::Error| DbError::from(error).at(self.op))
    }
}

impl Facts for Txn<'_> {
    fn session_lives(&self, session: &SessionId) -> Result<bool> {
        Ok(self.sessions.lives(session))
    }

    fn job_version(&self, job: &JobName) -> Result<Option<Version>> {
        let sql = "SELECT version FROM jobs WHERE name = ?1";
        Ok(self.value(sql, [job.as_str()])?.map(Version))
    }

    fn job_policy(&self, job: &JobName) -> Result<Option<ConcurrencyPolicy>> {
        let found = JobRow::find(self.db, job);
        let found = found.map_err(|error| DbError::from(error).at(self.op))?;
        let stored = found.map(|row| row.record().readable(self.op));
        Ok(stored.transpose()?.map(|stored| stored.job.concurrency))
    }

    fn mark(&self, job: &JobName) -> Result<Option<Versioned<Mark>>> {
        let sql = "SELECT version, body FROM marks WHERE job = ?1";
        self.row(sql, [job.as_str()])
            .map_err(|error| error.at(self.op))
    }

    fn open(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<OpenRecord>>> {
        self.record(Table::Open, job, key)
    }

    fn any_open(&self, job: &JobName) -> Result<bool> {
        let sql = "SELECT 1 FROM open_runs WHERE job = ?1 LIMIT 1";
        Ok(self.value::<u8>(sql, [job.as_str()])?.is_some())
    }

    fn wait(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<WaitRecord>>> {
        self.record(Table::Wait, job, key)
    }

    fn tick_waits(&self, job: &JobName) -> Result<bool> {
        // Requests are keyed `r-…`; ticks by digits, perhaps with a sign, which come before.
        let sql = "SELECT 1 FROM wait_runs WHERE job = ?1 AND key < 'r' LIMIT 1";
        Ok(self.value::<u8>(sql, [job.as_str()])?.is_some())
    }

    fn done(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<DoneRecord>>> {
        self.record(Table::Done, job, key)
    }

    fn kill(&self, run: &RunId) -> Result<Option<Kill>> {
        let failed = |error| -> BackendError { DbError::from(error).at(self.op) };
        kill_of(self.db, run).map_err(failed)
    }

    fn requested(&self, job: &JobName, request: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM requests WHERE job = ?1 AND id = ?2";
        Ok(self.value::<u8>(sql, (job.as_str(), request))?.is_some())
    }
}
