//! The alert outbox.
//!
//! Claims and waits are on the monotonic clock, in memory: after a restart every pending alert is due,
//! since whoever had claimed it is gone. Claims are numbered from the file's sequence, so that a claim
//! of an earlier life is never taken for one of this.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};
use sandclock_core::backend::{
    Alert, AlertId, AlertOutbox, AlertState, ClaimedAlert, Page, PageToken, Result,
};
use sandclock_core::job::JobName;
use sandclock_core::ports::AlertDraft;
use sandclock_core::run::RunId;
use sandclock_core::time::Timestamp;
use sandclock_core::{BackendError, ErrorKind};
use tokio::time::Instant;

use crate::error::{DbError, DbResult};
use crate::expiry::from_now;
use crate::runs::place_of;
use crate::store::Store;
use crate::txn::Txn;

const COLUMNS: &str = "place, id, run, job, plugin, number, target, dedupe_key, content_type, \
                       headers, body, state, tries, last_error, created_at, folded";

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
    let sql = "UPDATE alerts SET folded = folded + 1 WHERE place =
               (SELECT place FROM alerts WHERE state = 'pending' AND target = ?1 AND dedupe_key = ?2
                ORDER BY place LIMIT 1)";
    let mut fold = txn.db.prepare_cached(sql)?;
    // Without a key nothing matches: NULL equals nothing.
    let folded = fold.execute((&draft.target, &draft.dedupe_key))? > 0;
    let state = if folded {
        "folded"
    } else {
        alert.state.as_str()
    };
    let headers = serde_json::to_string(&draft.headers)
        .map_err(|error| wrong("alerts.headers", error.to_string()))?;
    let place = txn.next_version().0;
    let sql = "INSERT INTO alerts VALUES
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, NULL)";
    let mut insert = txn.db.prepare_cached(sql)?;
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
    ])?;
    Ok(())
}

fn claim(txn: &mut Txn<'_>, max: u32, lease: Duration) -> DbResult<Vec<ClaimedAlert>> {
    let now = Instant::now();
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let sql = format!("SELECT {COLUMNS} FROM alerts WHERE state = 'pending' ORDER BY place");
    let mut select = txn.db.prepare_cached(&sql)?;
    let mut rows = select.query([])?;
    let mut due = Vec::new();
    while due.len() < max
        && let Some(row) = rows.next()?
    {
        let place: u64 = row.get(0)?;
        if txn.deadlines.alerts.get(&place).is_none_or(|at| *at <= now) {
            due.extend(readable(alert(row))?);
        }
    }
    drop(rows);
    let mut claimed = Vec::with_capacity(due.len());
    for (place, alert) in due {
        let claim = txn.next_version().0;
        let mut update = txn
            .db
            .prepare_cached("UPDATE alerts SET claim = ?2 WHERE place = ?1")?;
        update.execute((place, claim))?;
        txn.deadlines.alerts.insert(place, from_now(lease));
        claimed.push(ClaimedAlert { alert, claim });
    }
    Ok(claimed)
}

/// The place of the alert, if it is pending under this claim.
fn claimed(txn: &Txn<'_>, id: &AlertId, claim: u64) -> DbResult<Option<u64>> {
    let sql = "SELECT place FROM alerts WHERE id = ?1 AND claim = ?2 AND state = 'pending'";
    let mut select = txn.db.prepare_cached(sql)?;
    Ok(select
        .query_row((&id.0, claim), |row| row.get(0))
        .optional()?)
}

fn delivered(txn: &mut Txn<'_>, id: &AlertId, claim: u64) -> DbResult<()> {
    let Some(place) = claimed(txn, id, claim)? else {
        return Ok(());
    };
    let sql = "UPDATE alerts SET state = 'delivered', tries = tries + 1, claim = NULL
               WHERE place = ?1";
    txn.db.prepare_cached(sql)?.execute([place])?;
    txn.deadlines.alerts.remove(&place);
    Ok(())
}

fn failed(
    txn: &mut Txn<'_>,
    id: &AlertId,
    claim: u64,
    error: &str,
    again: Option<Duration>,
) -> DbResult<()> {
    let Some(place) = claimed(txn, id, claim)? else {
        return Ok(());
    };
    let state = match again {
        Some(_) => AlertState::Pending,
        None => AlertState::Failed,
    };
    let sql = "UPDATE alerts SET state = ?2, tries = tries + 1, last_error = ?3, claim = NULL
               WHERE place = ?1";
    txn.db
        .prepare_cached(sql)?
        .execute((place, state.as_str(), error))?;
    txn.deadlines.alerts.remove(&place);
    if let Some(wait) = again {
        txn.deadlines.alerts.insert(place, from_now(wait));
    }
    Ok(())
}

fn set(txn: &mut Txn<'_>, id: &AlertId, state: AlertState) -> DbResult<()> {
    let sql = "UPDATE alerts SET state = ?2, claim = NULL WHERE id = ?1 AND state <> 'folded'
               RETURNING place";
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
    let mut rows = select.query((before, state, i64::from(limit) + 1))?;
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
        page.items
            .extend(readable(alert(row))?.map(|(_, alert)| alert));
    }
    Ok(page)
}

#[async_trait]
impl AlertOutbox for Store {
    async fn put(&self, alerts: &[Alert]) -> Result<()> {
        let alerts = alerts.to_vec();
        let work = move |txn: &mut Txn<'_>| alerts.iter().try_for_each(|alert| put(txn, alert));
        self.writer.write("outbox.put", work).await
    }

    async fn claim(&self, max: u32, lease: Duration) -> Result<Vec<ClaimedAlert>> {
        let work = move |txn: &mut Txn<'_>| claim(txn, max, lease);
        self.writer.write("outbox.claim", work).await
    }

    async fn delivered(&self, id: &AlertId, claim: u64) -> Result<()> {
        let id = id.clone();
        let work = move |txn: &mut Txn<'_>| delivered(txn, &id, claim);
        self.writer.write("outbox.delivered", work).await
    }

    async fn failed(
        &self,
        id: &AlertId,
        claim: u64,
        error: &str,
        again: Option<Duration>,
    ) -> Result<()> {
        let (id, error) = (id.clone(), error.to_owned());
        let work = move |txn: &mut Txn<'_>| failed(txn, &id, claim, &error, again);
        self.writer.write("outbox.failed", work).await
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
}
