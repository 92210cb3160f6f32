//! The Go fleet's lock, which a claim takes along while Go workers share the jobs.
//!
//! A Go worker that finds a job due takes the lock `/cron/lock/<name>` after a random wait of up to a second,
//! and runs the job if it got it. It knows no mark. So while the two fleets share jobs, a claim takes the lock in
//! its own transaction, and keeps it for [`HOLD`] from then on even if the run ends sooner: until every Go worker
//! has tried. Our own next claim takes a lock over that is merely held on; one of a Go worker makes a tick
//! skipped, and a take wait. A lock hangs on the session's lease and is deleted only at the version at which we
//! put it, so a successor's lock never is.
//!
//! What this cannot prevent: a Go worker that wins, runs and unlocks before our first try.

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
use tokio::time::Instant;

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

/// The value of a session's lock.
pub(crate) fn value(session: &SessionId) -> Vec<u8> {
    format!("{OURS}{session}").into_bytes()
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
    let decided_at = match &due.fate {
        DecideFate::Run { busy, .. } => busy.ended_at,
        DecideFate::Record(outcome) => outcome.ended_at,
    };
    let skipped = Outcome::without_process(RunState::Skipped, THEIRS, decided_at);
    let theirs = Decide {
        fate: DecideFate::Record(skipped),
        ..due.clone()
    };
    protocol::decide(lens, session, &theirs, at)
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

/// The same tick for a job that admits one run at a time, as all do that Go workers share.
pub(crate) fn exclusive(due: &Decide) -> Decide {
    let mut due = due.clone();
    if let DecideFate::Run { policy, .. } = &mut due.fate
        && !policy.is_exclusive()
    {
        *policy = ConcurrencyPolicy::Forbid;
    }
    due
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
        let lets_go = |write: &Write| matches!(keys.record_of(&write.key), Some(Record::Open(..)));
        if writes.iter().any(lets_go)
            && let Some(lock) = self.held().get_mut(job)
        {
            lock.running = false;
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
