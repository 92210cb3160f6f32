//! The alert outbox.
//!
//! Claims and waits are on the monotonic clock, in memory: after a restart every pending alert is due,
//! since whoever had claimed it is gone, and the pace of sends begins anew. Claims are numbered from the
//! file's sequence, so that a claim of an earlier life is never taken for one of this.
//!
//! [`claims`] is what whoever delivers does; here is the rest.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};
use sandclock_core::backend::{
    Alert, AlertId, AlertKind, AlertOutbox, AlertState, ClaimEnd, ClaimedAlert, Page, PageToken,
    Result,
};
use sandclock_core::job::JobName;
use sandclock_core::ports::AlertDraft;
use sandclock_core::run::RunId;
use sandclock_core::time::Timestamp;
use sandclock_core::{BackendError, ErrorKind};

use crate::error::{DbError, DbResult};
use crate::runs::{page_of, place_of};
use crate::store::Store;
use crate::txn::Txn;

mod claims;

const COLUMNS: &str = "place, id, run, job, plugin, number, target, dedupe_key, content_type, \
                       headers, body, state, tries, last_error, created_at, folded, kind, failures, \
                       waits, next_try, part_of, parts";

fn wrong(column: &'static str, value: impl Into<String>) -> DbError {
    DbError::Column {
        column,
        value: value.into(),
    }
}

/// A row in the order of `COLUMNS`, with its place.
fn alert(row: &Row<'_>) -> DbResult<(u64, Alert)> {
    let run: String = row.get(2)?;
    let headers: String = row.get(9)?;
    let body: Vec<u8> = row.get(10)?;
    let state: String = row.get(11)?;
    let kind: String = row.get(16)?;
    let alert = Alert {
        id: AlertId(row.get(1)?),
        run: RunId::parse(&run).ok_or_else(|| wrong("alerts.run", run))?,
        job: JobName::existing(row.get::<_, String>(3)?),
        draft: AlertDraft {
            plugin: row.get(4)?,
            index: row.get(5)?,
            target: row.get(6)?,
            dedupe_key: row.get(7)?,
            content_type: row.get(8)?,
            headers: serde_json::from_str(&headers)
                .map_err(|_| wrong("alerts.headers", headers))?,
            body: body.into(),
        },
        state: AlertState::parse(&state).ok_or_else(|| wrong("alerts.state", state))?,
        tries: row.get(12)?,
        last_error: row.get(13)?,
        created_at: Timestamp::from_millis(row.get(14)?),
        folded: row.get(15)?,
        kind: AlertKind::parse(&kind).ok_or_else(|| wrong("alerts.kind", kind))?,
        failures: row.get(17)?,
        waits: row.get(18)?,
        next_try: row.get::<_, Option<i64>>(19)?.map(Timestamp::from_millis),
        part_of: row.get::<_, Option<String>>(20)?.map(AlertId),
        parts: row.get::<_, Option<u32>>(21)?.unwrap_or_default(),
    };
    Ok((row.get(0)?, alert))
}

/// Nothing for an alert that cannot be read: it keeps no other from its target, and is in no list.
fn readable<T>(alert: DbResult<T>) -> DbResult<Option<T>> {
    match alert {
        Err(DbError::Column { .. }) => Ok(None),
        alert => alert.map(Some),
    }
}

fn put(txn: &mut Txn<'_>, alert: &Alert) -> DbResult<()> {
    let mut seen = txn
        .db
        .prepare_cached("SELECT 1 FROM alerts WHERE id = ?1")?;
    if seen.exists([&alert.id.0])? {
        return Ok(());
    }
    let draft = &alert.draft;
    let sql = "UPDATE alerts SET folded = folded + 1, failures = max(failures, ?3) WHERE place =
               (SELECT place FROM alerts WHERE state = 'pending' AND target = ?1 AND dedupe_key = ?2
                ORDER BY place LIMIT 1)";
    let mut fold = txn.db.prepare_cached(sql)?;
    // Without a key nothing matches: NULL equals nothing.
    let folded = fold.execute((&draft.target, &draft.dedupe_key, alert.failures))? > 0;
    let state = if folded {
        "folded"
    } else {
        alert.state.as_str()
    };
    let headers = serde_json::to_string(&draft.headers)
        .map_err(|error| wrong("alerts.headers", error.to_string()))?;
    let place = txn.next_version().0;
    let sql = format!(
        "INSERT INTO alerts ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
         ?16, ?17, ?18, ?19, ?20, ?21, NULL)"
    );
    let mut insert = txn.db.prepare_cached(&sql)?;
    let body: &[u8] = if folded { &[] } else { &draft.body };
    insert.execute(rusqlite::params![
        place,
        alert.id.0,
        alert.run.as_str(),
        alert.job.as_str(),
        draft.plugin,
        draft.index,
        draft.target,
        draft.dedupe_key,
        draft.content_type,
        headers,
        body,
        state,
        alert.tries,
        alert.last_error,
        alert.created_at.as_millis(),
        alert.folded,
        alert.kind.as_str(),
        alert.failures,
        alert.waits,
        alert.next_try.map(Timestamp::as_millis),
        alert.part_of.as_ref().map(|id| &id.0),
    ])?;
    Ok(())
}

/// The readable alerts of a condition.
fn alerts(db: &Connection, condition: &str, values: impl rusqlite::Params) -> DbResult<Vec<Alert>> {
    let sql = format!("SELECT {COLUMNS} FROM alerts WHERE {condition}");
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(readable(alert(row))?.map(|(_, alert)| alert));
    }
    Ok(found)
}

fn set(txn: &mut Txn<'_>, id: &AlertId, state: AlertState) -> DbResult<()> {
    let sql = "SELECT part_of FROM alerts WHERE id = ?1 AND part_of IS NOT NULL";
    let whole: Option<String> = txn
        .db
        .prepare_cached(sql)?
        .query_row([&id.0], |row| row.get(0))
        .optional()?;
    if let Some(whole) = whole {
        let refused = BackendError::new(txn.op, ErrorKind::Conflict);
        return Err(refused.context(whole).into());
    }
    let sql = "UPDATE alerts SET state = ?2, claim = NULL, waits = NULL, next_try = NULL
               WHERE id = ?1 AND state <> 'folded' RETURNING place";
    let mut update = txn.db.prepare_cached(sql)?;
    let place: Option<u64> = update
        .query_row((&id.0, state.as_str()), |row| row.get(0))
        .optional()?;
    let Some(place) = place else {
        return Err(BackendError::new(txn.op, ErrorKind::NotFound)
            .context(id)
            .into());
    };
    txn.deadlines.alerts.remove(&place);
    Ok(())
}

fn list(
    db: &Connection,
    state: Option<AlertState>,
    before: u64,
    limit: u32,
) -> DbResult<Page<Alert>> {
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    // Each form is answered by an index in the order of the places.
    let condition = match state {
        Some(_) => "state = ?2",
        None => "state <> 'folded' AND ?2 IS NULL",
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM alerts WHERE place < ?1 AND {condition} ORDER BY place DESC LIMIT ?3"
    );
    let mut select = db.prepare_cached(&sql)?;
    let state = state.map(AlertState::as_str);
    // One more than asked for tells whether there is a next page.
    let rows = select.query((before, state, i64::from(limit) + 1))?;
    page_of(rows, limit, |row| {
        Ok(readable(alert(row))?.map(|(_, alert)| alert))
    })
}

#[async_trait]
impl AlertOutbox for Store {
    async fn put(&self, alerts: &[Alert]) -> Result<()> {
        let alerts = alerts.to_vec();
        let work = move |txn: &mut Txn<'_>| alerts.iter().try_for_each(|alert| put(txn, alert));
        self.writer.write("outbox.put", work).await
    }

    async fn claim(&self, max: u32, lease: Duration) -> Result<Vec<ClaimedAlert>> {
        let work = move |txn: &mut Txn<'_>| claims::claim(txn, max, lease);
        self.writer.write("outbox.claim", work).await
    }

    async fn end(&self, id: &AlertId, claim: u64, end: &ClaimEnd) -> Result<bool> {
        let (id, how) = (id.clone(), end.clone());
        let work = move |txn: &mut Txn<'_>| claims::end(txn, &id, claim, &how);
        self.writer.write("outbox.end", work).await
    }

    async fn gather(&self, id: &AlertId, claim: u64, most: u32) -> Result<Option<Vec<Alert>>> {
        let id = id.clone();
        let work = move |txn: &mut Txn<'_>| claims::gather(txn, &id, claim, most);
        self.writer.write("outbox.gather", work).await
    }

    async fn pace(&self, target: &str, most: u32, window: Duration) -> Result<Option<Duration>> {
        let target = target.to_owned();
        let work = move |txn: &mut Txn<'_>| Ok(claims::pace(txn, &target, most, window));
        self.writer.write("outbox.pace", work).await
    }

    async fn set(&self, id: &AlertId, state: AlertState) -> Result<()> {
        if !matches!(state, AlertState::Pending | AlertState::Acknowledged) {
            let refused = BackendError::new("outbox.set", ErrorKind::InvalidConfig);
            return Err(refused.context(format!("state {} cannot be set", state.as_str())));
        }
        let id = id.clone();
        let work = move |txn: &mut Txn<'_>| set(txn, &id, state);
        self.writer.write("outbox.set", work).await
    }

    async fn get(&self, id: &AlertId) -> Result<Option<Alert>> {
        let id = id.0.clone();
        let read = move |db: &Connection| alerts(db, "id = ?1 AND state <> 'folded'", (&id,));
        Ok(self.readers.read("outbox.get", read).await?.pop())
    }

    async fn list(
        &self,
        state: Option<AlertState>,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<Alert>> {
        let before = place_of(page, "outbox.list")?;
        let read = move |db: &Connection| list(db, state, before, limit.max(1));
        self.readers.read("outbox.list", read).await
    }

    async fn of_run(&self, run: &RunId) -> Result<Vec<Alert>> {
        let run = run.as_str().to_owned();
        let read = move |db: &Connection| {
            alerts(db, "run = ?1 AND state <> 'folded' ORDER BY place", (&run,))
        };
        self.readers.read("outbox.of_run", read).await
    }

    async fn of_job(&self, job: &JobName, after: Timestamp, limit: u32) -> Result<Vec<Alert>> {
        let job = job.as_str().to_owned();
        let read = move |db: &Connection| {
            let condition =
                "job = ?1 AND created_at > ?2 AND state <> 'folded' ORDER BY place DESC LIMIT ?3";
            alerts(db, condition, (&job, after.as_millis(), limit))
        };
        self.readers.read("outbox.of_job", read).await
    }
}
