//! The Go fleet's lock, which a claim takes along while Go workers share the jobs.
//!
//! A Go worker that finds a job due takes the lock `/cron/lock/<name>` after a random wait of up to a second,
//! and runs the job if it got it. It knows no mark. So while the two fleets share jobs, a claim takes the lock in
//! its own transaction, and keeps it for [`HOLD`] from then on even if the run ends sooner: until every Go worker
//! has tried. Our own next claim takes a lock over that is merely held on; one of a Go worker makes a tick
//! skipped, and a take wait. A lock hangs on the session's lease and is deleted only at the version at which we
//! put it, so a successor's lock never is.
//!
//! A Go worker that wins, runs and unlocks before our first try is seen by the watch on its locks
//! ([`crate::beside`]), if that is faster than we are: what this cannot prevent is the rest.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::{Txn, TxnOp};
use sandclock_core::backend::protocol::{self, Change, MAX_BATCH, Step};
use sandclock_core::backend::{
    Decide, DecideFate, Decided, Fence, OpenState, Result, SessionId, Take, TakeFrom, Taken,
    Version,
};
use sandclock_core::job::JobName;
use sandclock_core::policy::ConcurrencyPolicy;
use sandclock_core::run::{Outcome, RunKey, RunState};
use sandclock_core::time::Timestamp;
use tokio::time::Instant;

use crate::beside::Beside;
use crate::error::Nature;
use crate::facts::{Lens, unchanged};
use crate::keys::{Keys, Record};
use crate::store::Store;
use crate::tree::Write;

/// The longest wait of a Go worker before it tries, and half a second for its clock and its way.
const HOLD: Duration = Duration::from_millis(1500);

/// What the value of our locks begins with; that of a Go worker is empty.
pub(crate) const OURS: &str = "sandclock ";

/// Why a tick is skipped, for people.
const THEIRS: &str = "a worker of the Go fleet holds the job's lock";

/// Why a tick is skipped whose lock is free again, for people.
const RAN: &str = "a worker of the Go fleet has taken the job's lock since";

/// The value of a session's lock.
pub(crate) fn value(session: &SessionId) -> Vec<u8> {
    format!("{OURS}{session}").into_bytes()
}

/// Whether a lock's value is that of one of ours.
pub(crate) fn is_ours(value: &[u8]) -> bool {
    value.starts_with(OURS.as_bytes())
}

/// Whether a step makes a run the caller's.
pub(crate) fn claims(changes: &[Change]) -> bool {
    changes.iter().any(|change| {
        matches!(change, Change::Open(open) if matches!(open.state, OpenState::Claimed { .. }))
    })
}

/// A decide beside Go workers: a tick of which one of them holds the lock is theirs.
pub(crate) fn decide(
    lens: &Lens<'_>,
    session: &SessionId,
    due: &Decide,
    at: Version,
) -> Result<Step<Decided>> {
    let step = protocol::decide(lens, session, due, at)?;
    if !lens.beside_go || !claims(&step.changes) || !lens.foreign_lock()? {
        return Ok(step);
    }
    protocol::decide(lens, session, &skipped(due, THEIRS), at)
}

/// The caller's time.
fn decided_at(due: &Decide) -> Timestamp {
    match &due.fate {
        DecideFate::Run { busy, .. } => busy.ended_at,
        DecideFate::Record(outcome) => outcome.ended_at,
    }
}

/// The same tick, left to a Go worker.
fn skipped(due: &Decide, why: &str) -> Decide {
    let skipped = Outcome::without_process(RunState::Skipped, why, decided_at(due));
    Decide {
        fate: DecideFate::Record(skipped),
        ..due.clone()
    }
}

/// A take beside Go workers: it waits while one of them holds the lock.
pub(crate) fn take(
    lens: &Lens<'_>,
    session: &SessionId,
    take: &Take,
    at: Version,
) -> Result<Step<Taken>> {
    let step = protocol::take(lens, session, take, at)?;
    if lens.beside_go && claims(&step.changes) && lens.foreign_lock()? {
        return Ok(Step::unchanged(Taken::Busy));
    }
    Ok(step)
}

/// A rebind beside Go workers: the old lock went with the old session, so the run takes it again, unless a Go
/// worker was faster. The run goes on in either case.
pub(crate) fn rebind(
    lens: &Lens<'_>,
    session: &SessionId,
    job: &JobName,
    key: &RunKey,
    fence: Fence,
    at: Version,
) -> Result<Step<Option<Fence>>> {
    let step = protocol::rebind(lens, session, job, key, fence, at)?;
    if lens.beside_go && claims(&step.changes) {
        lens.foreign_lock()?;
    }
    Ok(step)
}

/// The same tick as it is decided beside Go workers: of a job that admits one run at a time, and left to them if one
/// has taken the job's lock since the tick was due.
pub(crate) fn shared(beside: &Beside, due: &Decide) -> Decide {
    let mut due = due.clone();
    let DecideFate::Run { policy, .. } = &mut due.fate else {
        return due;
    };
    if !policy.is_exclusive() {
        *policy = ConcurrencyPolicy::Forbid;
        if beside.tell_exclusive(due.job()) {
            tracing::warn!(job = %due.job(), "workers of a Go fleet share this job, so it has one run at a time");
        }
    }
    let since = decided_at(&due).as_millis() - due.fire.as_millis();
    let since = Duration::from_millis(u64::try_from(since).unwrap_or(0));
    match beside.locked_within(due.job(), since) {
        true => skipped(&due, RAN),
        false => due,
    }
}

/// The same take for such a job.
pub(crate) fn exclusive_take(take: &Take) -> Take {
    let mut take = take.clone();
    if let TakeFrom::Wait { exclusive, .. } = &mut take.from {
        *exclusive = true;
    }
    take
}

/// A lock of ours.
#[derive(Clone, Copy, Debug)]
struct Lock {
    version: Version,
    /// Not released before this.
    until: Instant,
    /// Whether the run that it was taken for goes on.
    running: bool,
}

/// The locks that this process holds.
#[derive(Debug, Default)]
pub(crate) struct Locks(Mutex<BTreeMap<JobName, Lock>>);

impl Locks {
    fn held(&self) -> MutexGuard<'_, BTreeMap<JobName, Lock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows what one step of a job has written: a claim with its lock, or the end of a hold.
    pub(crate) fn follow(&self, keys: &Keys, job: &JobName, writes: &[Write], at: Version) {
        let lock = keys.lock(job);
        if writes.iter().any(|write| write.key == lock) {
            let taken = Lock {
                version: at,
                until: Instant::now() + HOLD,
                running: true,
            };
            self.held().insert(job.clone(), taken);
            return;
        }
        if let Some(lock) = self.held().get_mut(job) {
            let lets_go =
                |write: &Write| matches!(keys.record_of(&write.key), Some(Record::Open(..)));
            lock.running &= !writes.iter().any(lets_go);
        }
    }

    /// The locks that need not be held any more.
    fn due(&self) -> Vec<(JobName, Version)> {
        let now = Instant::now();
        let held = self.held();
        let due = held
            .iter()
            .filter(|(_, lock)| !lock.running && lock.until <= now);
        due.map(|(job, lock)| (job.clone(), lock.version)).collect()
    }

    fn released(&self, released: &[(JobName, Version)]) {
        let mut held = self.held();
        for (job, version) in released {
            if held.get(job).is_some_and(|lock| lock.version == *version) {
                held.remove(job);
            }
        }
    }
}

impl Store {
    /// Deletes the locks whose time is over; a renewal does this, so they stay a few seconds longer.
    pub(crate) async fn release_locks(&self, op: &'static str) -> Result<()> {
        for some in self.locks.due().chunks(MAX_BATCH) {
            let release = |(job, version): &(JobName, Version)| {
                let key = self.keys.lock(job);
                let still_ours = unchanged(key.clone(), *version);
                let delete = TxnOp::delete(key, None);
                TxnOp::txn(Txn::new().when([still_ours]).and_then([delete]))
            };
            let releases: Vec<_> = some.iter().map(release).collect();
            let txn = Txn::new().and_then(releases);
            self.client.txn(op, Nature::Writes, txn).await?;
            self.locks.released(some);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::EtcdConfig;
    use crate::watch::Change;
    use sandclock_core::backend::{Generation, Mark, Nonce, Pinned};
    use sandclock_core::job::Job;
    use sandclock_core::policy::Streak;

    /// A tick of second 60, decided at this time.
    fn due(decided_ms: i64) -> Decide {
        let at = Timestamp::from_millis;
        let mut job = Job::shell(JobName::existing("job"), "true");
        job.concurrency = ConcurrencyPolicy::Allow;
        Decide {
            pinned: Pinned {
                job: Arc::new(job),
                version: Version(1),
            },
            prev: Mark {
                at: at(0),
                generation: Generation(7),
                streak: Streak::default(),
            },
            fire: at(60_000),
            passed: None,
            fate: DecideFate::Run {
                policy: ConcurrencyPolicy::Allow,
                busy: Outcome::without_process(RunState::Skipped, "busy", at(decided_ms)),
                in_turn: false,
            },
            worker: "w".to_owned(),
            nonce: Nonce(1),
        }
    }

    /// Its lock is free again: only the watch has seen that the tick was run.
    #[tokio::test(start_paused = true)]
    async fn a_tick_that_a_go_worker_has_run_is_skipped() {
        let keys = Keys::of(&EtcdConfig::at(["localhost:2379"]));
        let beside = Beside::new(true);
        let lock = |value: Option<&[u8]>| Change {
            key: b"/cron/lock/job".to_vec(),
            value: value.map(<[u8]>::to_vec),
            version: Version(1),
            created: Version(1),
        };
        beside.lock(&keys, &lock(Some(b"")));
        beside.lock(&keys, &lock(None));
        tokio::time::advance(Duration::from_millis(200)).await;
        // It was taken at 60.1 s: after the tick.
        let DecideFate::Record(outcome) = shared(&beside, &due(60_300)).fate else {
            panic!("it is run");
        };
        assert_eq!(outcome.state, RunState::Skipped);
        assert!(outcome.cause.contains("Go fleet"), "{}", outcome.cause);
        // It was taken at 59.9 s: for an earlier tick.
        let DecideFate::Run { policy, .. } = shared(&beside, &due(60_100)).fate else {
            panic!("it is skipped");
        };
        assert_eq!(policy, ConcurrencyPolicy::Forbid, "one run at a time");
    }
}
