//! The run log: runs and their output.

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Rows, params_from_iter};
use sandclock_core::backend::{
    DoneRecord, Fence, OutputChunk, Page, PageToken, Result, RunFilter, RunHeader, RunQuery,
    RunRecord, RunSink,
};
use sandclock_core::job::JobName;
use sandclock_core::ports::History;
use sandclock_core::run::{RunId, RunState};
use sandclock_core::time::Timestamp;
use sandclock_core::{BackendError, ErrorKind, stored};

use crate::error::{DbError, DbResult};
use crate::output;
use crate::store::Store;
use crate::txn::Txn;

/// A run's row, as far as a write looks at it: the columns, so that a body that cannot be read stops no end.
struct Known {
    place: u64,
    fence: u64,
    over: bool,
    /// When it ended, else when its last attempt began.
    at: Option<Timestamp>,
}

fn known(db: &Connection, run: &RunId) -> DbResult<Option<Known>> {
    let sql = "SELECT place, fence, state, at FROM runs WHERE id = ?1";
    let mut select = db.prepare_cached(sql)?;
    let row = select.query_row([run.as_str()], |row| {
        let state = RunState::parse(&row.get::<_, String>(2)?);
        let at: Option<i64> = row.get(3)?;
        Ok(Known {
            place: row.get(0)?,
            fence: row.get(1)?,
            over: state.is_some_and(RunState::is_terminal),
            at: at.map(Timestamp::from_millis),
        })
    });
    Ok(row.optional()?)
}

fn get(db: &Connection, run: &RunId) -> DbResult<Option<RunRecord>> {
    let mut select = db.prepare_cached("SELECT body FROM runs WHERE id = ?1")?;
    let body = select.query_row([run.as_str()], |row| row.get(0));
    let body: Option<Vec<u8>> = body.optional()?;
    Ok(body.map(|body| stored::decode(&body)).transpose()?)
}

/// Stores a run; one that is known keeps its place in the order.
fn store(txn: &mut Txn<'_>, place: Option<u64>, record: &RunRecord, fence: u64) -> DbResult<()> {
    let place = place.unwrap_or_else(|| txn.next_version().0);
    let sql = "REPLACE INTO runs (place, id, job, state, fence, at, ended_at, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let mut put = txn.db.prepare_cached(sql)?;
    put.execute((
        place,
        record.id.as_str(),
        record.job.as_str(),
        record.state.as_str(),
        fence,
        record
            .ended_at
            .or(record.started_at)
            .map(Timestamp::as_millis),
        record.ended_at.map(Timestamp::as_millis),
        stored::encode(record)?,
    ))?;
    Ok(())
}

fn begin(txn: &mut Txn<'_>, header: &RunHeader, fence: Fence) -> DbResult<()> {
    let old = known(txn.db, &header.id)?;
    if let Some(old) = &old
        && (old.over || old.fence > fence.get())
    {
        let fenced = BackendError::new(txn.op, ErrorKind::Fenced);
        let why = format!("run {} has fence {}", header.id, old.fence);
        return Err(fenced.context(why).into());
    }
    let record = RunRecord::begun(header);
    store(txn, old.map(|old| old.place), &record, fence.get())
}

fn finish(txn: &mut Txn<'_>, done: &DoneRecord) -> DbResult<()> {
    let old = known(txn.db, &done.run())?;
    if old.as_ref().is_some_and(|old| old.over) {
        return Ok(());
    }
    let began = old.as_ref().and_then(|old| old.at);
    let record = RunRecord::ended(done, began);
    store(txn, old.map(|old| old.place), &record, done.fence)
}

/// The filter as SQL, after `WHERE place < ?1`.
fn condition(filter: &RunFilter, before: u64) -> DbResult<(String, Vec<Value>)> {
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let mut values = vec![Value::from(before)];
    let mut sql = String::from("place < ?");
    if let Some(job) = &filter.job {
        sql.push_str(" AND job = ?");
        values.push(job.as_str().to_owned().into());
    }
    if !filter.prefixes.is_empty() {
        // Not a range of names: runs are walked in order of place, and stay so.
        let begins = vec!["substr(job, 1, length(?)) = ?"; filter.prefixes.len()];
        sql.push_str(&format!(" AND ({})", begins.join(" OR ")));
        let twice = |prefix: &String| [Value::from(prefix.clone()), Value::from(prefix.clone())];
        values.extend(filter.prefixes.iter().flat_map(twice));
    }
    match filter.states.as_slice() {
        [] => {}
        [state] if filter.job.is_none() => {
            sql.push_str(" AND state = ?");
            values.push(state.as_str().to_owned().into());
        }
        states => {
            // The plus keeps the index on states away: another one has the runs in order of place.
            let marks = vec!["?"; states.len()].join(", ");
            sql.push_str(&format!(" AND +state IN ({marks})"));
            values.extend(
                states
                    .iter()
                    .map(|state| Value::from(state.as_str().to_owned())),
            );
        }
    }
    for (bound, test) in [
        (filter.since, " AND at >= ?"),
        (filter.until, " AND at < ?"),
    ] {
        if let Some(at) = bound {
            sql.push_str(test);
            values.push(at.as_millis().into());
        }
    }
    Ok((sql, values))
}

fn list(db: &Connection, filter: &RunFilter, before: u64, limit: u32) -> DbResult<Page<RunRecord>> {
    let (condition, mut values) = condition(filter, before)?;
    // One more than asked for tells whether there is a next page.
    values.push((i64::from(limit) + 1).into());
    let sql = format!("SELECT place, body FROM runs WHERE {condition} ORDER BY place DESC LIMIT ?");
    let mut select = db.prepare_cached(&sql)?;
    page_of(select.query(params_from_iter(values))?, limit, |row| {
        let body = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        // One that cannot be read stops no list.
        Ok(stored::decode(body).ok())
    })
}

/// Up to `limit` rows, whose first columns are their places; one more than that tells that there is a next page. Rows of which
/// `read` makes nothing are passed over.
pub(crate) fn page_of<T>(
    mut rows: Rows<'_>,
    limit: u32,
    read: impl Fn(&Row<'_>) -> DbResult<Option<T>>,
) -> DbResult<Page<T>> {
    let mut page = Page {
        items: Vec::new(),
        next: None,
    };
    let mut seen = 0;
    let mut last: u64 = 0;
    while let Some(row) = rows.next()? {
        if seen == limit {
            page.next = Some(PageToken(last.to_string()));
            break;
        }
        seen += 1;
        last = row.get(0)?;
        page.items.extend(read(row)?);
    }
    Ok(page)
}

/// The place before which a page begins.
pub(crate) fn place_of(page: Option<&PageToken>, op: &'static str) -> Result<u64> {
    let Some(PageToken(text)) = page else {
        return Ok(u64::MAX);
    };
    text.parse().map_err(|_| {
        let refused = BackendError::new(op, ErrorKind::InvalidConfig);
        refused.context(format!("page token {text:?} is not one of this store's"))
    })
}

fn history(db: &Connection, job: &JobName, last: u32) -> DbResult<History> {
    let counted = RunState::ALL
        .into_iter()
        .filter(|state| History::counts(*state));
    let filter = RunFilter {
        job: Some(job.clone()),
        states: counted.collect(),
        ..RunFilter::default()
    };
    let runs = list(db, &filter, u64::MAX, last)?.items;
    Ok(History::of(
        runs.iter().map(|run| (run.state, run.duration())),
    ))
}

/// Deletes ended runs with their output, and with their alerts that are not on their way any more: the
/// outbox has no other end.
fn prune(txn: &mut Txn<'_>, before: Timestamp, max: u32) -> DbResult<u32> {
    let sql = "DELETE FROM runs WHERE place IN
               (SELECT place FROM runs WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2) RETURNING id";
    let mut delete = txn.db.prepare_cached(sql)?;
    let runs = delete.query_map((before.as_millis(), max), |row| row.get(0))?;
    let runs: Vec<String> = runs.collect::<rusqlite::Result<_>>()?;
    for run in &runs {
        txn.db
            .prepare_cached("DELETE FROM chunks WHERE run = ?1")?
            .execute([run])?;
        for sql in [
            "DELETE FROM alerts WHERE run = ?1 AND state <> 'pending'",
            "DELETE FROM recordings WHERE run = ?1",
        ] {
            txn.db.prepare_cached(sql)?.execute([run])?;
        }
    }
    u32::try_from(runs.len()).map_err(|_| DbError::Column {
        column: "runs",
        value: runs.len().to_string(),
    })
}

#[async_trait]
impl RunSink for Store {
    async fn begin(&self, header: &RunHeader, fence: Fence) -> Result<()> {
        let header = header.clone();
        let work = move |txn: &mut Txn<'_>| begin(txn, &header, fence);
        self.writer.write("sink.begin", work).await
    }

    async fn append(
        &self,
        run: &RunId,
        attempt: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) -> Result<()> {
        let (run, chunks) = (run.clone(), chunks.to_vec());
        let work = move |txn: &mut Txn<'_>| output::append(txn.db, &run, attempt, &chunks, cut);
        self.writer.write("sink.append", work).await
    }

    async fn finish(&self, done: &DoneRecord) -> Result<()> {
        let done = done.clone();
        let work = move |txn: &mut Txn<'_>| finish(txn, &done);
        self.writer.write("sink.finish", work).await
    }
}

#[async_trait]
impl RunQuery for Store {
    async fn get(&self, run: &RunId) -> Result<Option<RunRecord>> {
        let run = run.clone();
        let read = move |db: &Connection| get(db, &run);
        self.readers.read("runs.get", read).await
    }

    async fn list(
        &self,
        filter: &RunFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<RunRecord>> {
        let before = place_of(page, "runs.list")?;
        let filter = filter.clone();
        let read = move |db: &Connection| list(db, &filter, before, limit.max(1));
        self.readers.read("runs.list", read).await
    }

    async fn read_log(
        &self,
        run: &RunId,
        after: Option<(u32, u64)>,
        max_bytes: u32,
    ) -> Result<sandclock_core::backend::LogPage> {
        let run = run.clone();
        let read = move |db: &Connection| output::read(db, &run, after, max_bytes);
        self.readers.read("runs.read_log", read).await
    }

    async fn history(&self, job: &JobName, last: u32) -> Result<History> {
        let job = job.clone();
        let read = move |db: &Connection| history(db, &job, last);
        self.readers.read("runs.history", read).await
    }

    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32> {
        let work = move |txn: &mut Txn<'_>| prune(txn, before, max);
        self.writer.write("runs.prune", work).await
    }
}
