//! What whoever delivers does: claims alerts, says what came of them, and closes what a message holds.

use std::time::Duration;

use rusqlite::OptionalExtension;
use sandclock_core::backend::{Alert, AlertId, AlertState, ClaimEnd, ClaimedAlert, Later};
use tokio::time::Instant;

use super::{COLUMNS, alert, alerts, readable};
use crate::error::DbResult;
use crate::expiry::from_now;
use crate::txn::Txn;

pub(super) fn claim(txn: &mut Txn<'_>, max: u32, lease: Duration) -> DbResult<Vec<ClaimedAlert>> {
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

/// The row's members once its claim has ended so.
struct Ended<'a> {
    state: AlertState,
    tried: bool,
    error: Option<&'a str>,
    waits: Option<&'a str>,
    until: Option<Later>,
    part_of: Option<&'a str>,
}

impl<'a> Ended<'a> {
    fn of(end: &'a ClaimEnd) -> Self {
        let ended = Self {
            state: AlertState::Pending,
            tried: false,
            error: None,
            waits: None,
            until: None,
            part_of: None,
        };
        match end {
            ClaimEnd::Delivered | ClaimEnd::Unwanted => Self {
                state: AlertState::Delivered,
                tried: true,
                ..ended
            },
            ClaimEnd::Failed { error, again } => Self {
                state: match again {
                    Some(_) => AlertState::Pending,
                    None => AlertState::Failed,
                },
                tried: true,
                error: Some(error),
                until: *again,
                ..ended
            },
            ClaimEnd::Waits { why, until } => Self {
                waits: Some(why),
                until: Some(*until),
                ..ended
            },
            ClaimEnd::Moved { into, why } => Self {
                state: AlertState::Moved,
                waits: Some(why),
                part_of: Some(&into.0),
                ..ended
            },
        }
    }
}

pub(super) fn end(txn: &mut Txn<'_>, id: &AlertId, claim: u64, end: &ClaimEnd) -> DbResult<bool> {
    let Some(place) = claimed(txn, id, claim)? else {
        return Ok(false);
    };
    txn.deadlines.alerts.remove(&place);
    if *end == ClaimEnd::Unwanted {
        let mut delete = txn
            .db
            .prepare_cached("DELETE FROM alerts WHERE place = ?1")?;
        delete.execute([place])?;
        return Ok(true);
    }
    let ended = Ended::of(end);
    let sql =
        "UPDATE alerts SET state = ?2, tries = tries + ?3, last_error = coalesce(?4, last_error),
               waits = ?5, next_try = ?6, part_of = ?7, claim = NULL WHERE place = ?1";
    txn.db.prepare_cached(sql)?.execute((
        place,
        ended.state.as_str(),
        ended.tried,
        ended.error,
        ended.waits,
        ended.until.map(|until| until.at.as_millis()),
        ended.part_of,
    ))?;
    if let Some(until) = ended.until {
        txn.deadlines.alerts.insert(place, from_now(until.wait));
    }
    Ok(true)
}

pub(super) fn gather(
    txn: &mut Txn<'_>,
    id: &AlertId,
    claim: u64,
    most: u32,
) -> DbResult<Option<Vec<Alert>>> {
    let Some(place) = claimed(txn, id, claim)? else {
        return Ok(None);
    };
    let sql = "UPDATE alerts SET parts = 0 WHERE place = ?1 AND parts IS NULL RETURNING target";
    let target: Option<String> = txn
        .db
        .prepare_cached(sql)?
        .query_row([place], |row| row.get(0))
        .optional()?;
    if let Some(target) = target {
        let now = Instant::now();
        let sql = "SELECT place, claim FROM alerts WHERE state = 'pending' AND target = ?1 AND place <> ?2
                   AND tries = 0 AND parts IS NULL ORDER BY place";
        let mut select = txn.db.prepare_cached(sql)?;
        let mut rows = select.query((&target, place))?;
        let mut free: Vec<u64> = Vec::new();
        while let Some(row) = rows.next()? {
            let (other, claim): (u64, Option<u64>) = (row.get(0)?, row.get(1)?);
            let waits = txn.deadlines.alerts.get(&other).is_some_and(|at| *at > now);
            if claim.is_none() || !waits {
                free.push(other);
            }
        }
        drop(rows);
        for other in free
            .iter()
            .take(usize::try_from(most).unwrap_or(usize::MAX))
        {
            let sql =
                "UPDATE alerts SET state = 'grouped', part_of = ?2, waits = NULL, next_try = NULL,
                       claim = NULL WHERE place = ?1";
            txn.db.prepare_cached(sql)?.execute((other, &id.0))?;
            txn.deadlines.alerts.remove(other);
        }
        let sql = "UPDATE alerts SET parts =
                   (SELECT count(*) FROM alerts WHERE part_of = ?2 AND state = 'grouped')
                   WHERE place = ?1";
        txn.db.prepare_cached(sql)?.execute((place, &id.0))?;
    }
    let condition = "state = 'grouped' AND part_of = ?1 ORDER BY place";
    alerts(txn.db, condition, [&id.0]).map(Some)
}

/// The pace is kept on the monotonic clock, in memory, as claims are.
pub(super) fn pace(
    txn: &mut Txn<'_>,
    target: &str,
    most: u32,
    window: Duration,
) -> Option<Duration> {
    let now = Instant::now();
    let sends = txn.deadlines.sends.entry(target.to_owned()).or_default();
    sends.retain(|sent| now < *sent + window);
    let most = usize::try_from(most.max(1)).unwrap_or(usize::MAX);
    if sends.len() < most {
        sends.push(now);
        return None;
    }
    // More may have been allowed before: enough of them have to be past.
    let free = sends.get(sends.len().saturating_sub(most));
    free.map(|sent| (*sent + window).saturating_duration_since(now))
}
