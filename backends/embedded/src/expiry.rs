//! What expires: kills, requests, the marks of deleted jobs, and claims of alerts.
//!
//! Short times run on the monotonic clock, in memory; they start anew with the process, which keeps a
//! kill longer and lets an alert go out earlier, both of which are safe. The two long ones, a day and a
//! week, are compared with the wall clock of the file's host.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::Connection;
use sandclock_core::backend::protocol::REQUEST_LIFE;
use sandclock_core::backend::{FireEvent, Kill};
use sandclock_core::job::JobName;
use sandclock_core::run::RunId;
use tokio::time::Instant;

use crate::changes::Change;
use crate::txn::Txn;

/// How long a mark outlives its job, so that a job created again never repeats a tick.
const MARK_OUTLIVES_JOB: Duration = Duration::from_secs(7 * 24 * 3600);

/// How often the long times are looked at.
const LONG_TIMES_EVERY: Duration = Duration::from_secs(3600);

/// How many records one look removes at most.
const SWEEP: u32 = 1_000;

/// As good as for ever, and far from what an [`Instant`] can hold.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The instant this long from now.
pub(crate) fn from_now(time: Duration) -> Instant {
    Instant::now() + time.min(LONGEST)
}

/// When short-lived things end.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    kills: BTreeMap<RunId, Instant>,
    /// Alerts, by place, that are not to be claimed before an instant.
    pub(crate) alerts: BTreeMap<u64, Instant>,
    /// The last sends of alerts to each target that has a pace.
    pub(crate) sends: BTreeMap<String, Vec<Instant>>,
    next_long_look: Option<Instant>,
}

impl Deadlines {
    /// The deadlines of what the file holds, as if all of it had been written just now.
    pub(crate) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let mut statement = db.prepare("SELECT run, retain_ms FROM kills")?;
        let kills = statement.query_map([], |row| {
            let run: String = row.get(0)?;
            let retain = Duration::from_millis(row.get(1)?);
            Ok(RunId::parse(&run).map(|run| (run, from_now(retain))))
        })?;
        Ok(Self {
            kills: kills
                .flat_map(Result::transpose)
                .collect::<Result<_, _>>()?,
            ..Self::default()
        })
    }

    /// Keeps a kill at least this long from now.
    pub(crate) fn keep_kill(&mut self, run: &RunId, retain: Duration) {
        let until = from_now(retain);
        let kept = self.kills.entry(run.clone()).or_insert(until);
        *kept = until.max(*kept);
    }
}

/// Removes what has expired. Part of every transaction, before its requests.
pub(crate) fn expire(txn: &mut Txn<'_>) -> rusqlite::Result<()> {
    let now = Instant::now();
    let over: Vec<RunId> = (txn.deadlines.kills.iter())
        .filter(|(_, until)| **until <= now)
        .map(|(run, _)| run.clone())
        .collect();
    for run in over {
        let mut delete = txn.db.prepare_cached("DELETE FROM kills WHERE run = ?1")?;
        // Forgotten only once it is certainly gone: this transaction may yet be undone.
        if delete.execute([run.as_str()])? == 0 {
            txn.deadlines.kills.remove(&run);
        }
    }
    txn.deadlines.alerts.retain(|_, until| *until > now);
    if txn.deadlines.next_long_look.is_none_or(|at| at <= now) {
        txn.deadlines.next_long_look = Some(now + LONG_TIMES_EVERY);
        expire_requests(txn.db)?;
        expire_marks(txn)?;
    }
    Ok(())
}

fn expire_requests(db: &Connection) -> rusqlite::Result<()> {
    let mut delete = db.prepare_cached("DELETE FROM requests WHERE made_at <= unixepoch() - ?1")?;
    delete.execute([REQUEST_LIFE.as_secs()])?;
    Ok(())
}

fn expire_marks(txn: &mut Txn<'_>) -> rusqlite::Result<()> {
    let over: Vec<String> = {
        let mut select = txn.db.prepare_cached(
            "SELECT job FROM marks WHERE orphaned_at <= unixepoch() - ?1 LIMIT ?2",
        )?;
        let rows = select.query_map((MARK_OUTLIVES_JOB.as_secs(), SWEEP), |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for job in over {
        let mut delete = txn.db.prepare_cached("DELETE FROM marks WHERE job = ?1")?;
        delete.execute([&job])?;
        let version = txn.next_version();
        txn.tell(Change::Fire(FireEvent::MarkGone(
            JobName::existing(job),
            version,
        )));
    }
    Ok(())
}

/// The kill of a run, if one is retained.
pub(crate) fn kill_of(db: &Connection, run: &RunId) -> rusqlite::Result<Option<Kill>> {
    use rusqlite::OptionalExtension;
    let mut select = db.prepare_cached("SELECT by_whom, why FROM kills WHERE run = ?1")?;
    let kill = select.query_row([run.as_str()], |row| {
        Ok(Kill {
            run: run.clone(),
            by: row.get(0)?,
            why: row.get(1)?,
        })
    });
    kill.optional()
}
