//! The marks of deleted jobs: kept for a week, so that a job created again never repeats a tick (S2), then
//! removed.
//!
//! The mark itself must not change when its job goes, because its number is what callers have seen. So the
//! week is timed by a lease that the key `orphan/J` names without hanging on it. A save of the job deletes that
//! key. Whoever takes a snapshot looks after all this, which is as often as needed: a mark that stays longer
//! does no harm. A job that the Go fleet deleted has no such key; its week begins at the next snapshot.

use std::collections::BTreeMap;

use etcd_client::{Compare, KeyValue, Txn, TxnOp};
use sandclock_core::backend::{FireView, Result, Version};
use sandclock_core::job::JobName;

use crate::error::Nature;
use crate::facts::{absent, present, unchanged};
use crate::keys::{APART, Key};
use crate::places::Place;
use crate::store::Store;
use crate::watch::version;

impl Store {
    /// Begins the week of marks that have lost their job, and removes those whose week is over.
    pub(crate) async fn bury(&self, op: &'static str, view: &FireView) -> Result<()> {
        let live = self.named(op).await?;
        let (orphans, _) = self
            .client
            .range(op, &self.keys.all("orphan"), None)
            .await?;
        let mut timed = BTreeMap::new();
        for kv in &orphans {
            let Some(job) = self.keys.job_of("orphan", kv.key()) else {
                continue;
            };
            match live.get(&job) {
                Some(place) => {
                    self.forget_orphan(op, self.key_in(*place, &job), kv)
                        .await?
                }
                None => drop(timed.insert(job, kv)),
            }
        }
        let mut leases = BTreeMap::new();
        for (job, mark) in &view.marks {
            match timed.get(job) {
                _ if live.contains_key(job) => {}
                None => self.begin_week(op, job).await?,
                Some(kv) => {
                    let lease = lease_in(kv.value());
                    let lives = match leases.get(&lease) {
                        Some(lives) => *lives,
                        None => !self.client.remaining(op, lease).await?.is_zero(),
                    };
                    leases.insert(lease, lives);
                    if !lives {
                        self.remove_mark(op, job, mark.version, kv).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Every job that there is, and where it stands.
    async fn named(&self, op: &'static str) -> Result<BTreeMap<JobName, Place>> {
        let apart = self.client.present(op, &self.keys.all(APART)).await?;
        let jobs = self.client.present(op, &self.keys.jobs()).await?;
        let apart = apart
            .iter()
            .filter_map(|kv| Some((self.keys.job_of(APART, kv.key())?, Place::Apart)));
        let jobs = jobs
            .iter()
            .map(|kv| (self.keys.job_at(kv.key()), Place::Go));
        Ok(apart.chain(jobs).collect())
    }

    /// That the job is in neither of its places.
    fn nameless(&self, job: &JobName) -> [Compare; 2] {
        [Place::Go, Place::Apart].map(|place| absent(self.key_in(place, job)))
    }

    /// What a deletion of a job writes besides, to begin the week of its mark.
    pub(crate) fn orphaned(&self, job: &JobName, lease: i64) -> TxnOp {
        TxnOp::put(self.keys.orphan(job), format!("{lease:x}"), None)
    }

    async fn begin_week(&self, op: &'static str, job: &JobName) -> Result<()> {
        let lease = self.orphans.take(&self.client, op).await?;
        let txn = Txn::new()
            .when(and(self.nameless(job), [absent(self.keys.orphan(job))]))
            .and_then([self.orphaned(job, lease)]);
        self.client.txn(op, Nature::Writes, txn).await.map(drop)
    }

    async fn forget_orphan(&self, op: &'static str, job: Key, seen: &KeyValue) -> Result<()> {
        let txn = Txn::new()
            .when([present(job), as_seen(seen)])
            .and_then([TxnOp::delete(seen.key(), None)]);
        self.client.txn(op, Nature::Writes, txn).await.map(drop)
    }

    async fn remove_mark(
        &self,
        op: &'static str,
        job: &JobName,
        mark: Version,
        seen: &KeyValue,
    ) -> Result<()> {
        let key = self.keys.mark(job);
        let txn = Txn::new()
            .when(and(
                self.nameless(job),
                [unchanged(key.clone(), mark), as_seen(seen)],
            ))
            .and_then([TxnOp::delete(key, None), TxnOp::delete(seen.key(), None)]);
        self.client.txn(op, Nature::Writes, txn).await.map(drop)
    }
}

fn and<const N: usize>(both: [Compare; 2], others: [Compare; N]) -> Vec<Compare> {
    both.into_iter().chain(others).collect()
}

fn as_seen(kv: &KeyValue) -> Compare {
    unchanged(kv.key().to_vec(), version(kv.mod_revision()))
}

/// The lease that an orphan names; no lease has the number 0, so nonsense counts as run out.
fn lease_in(value: &[u8]) -> i64 {
    let text = std::str::from_utf8(value).ok();
    text.and_then(|text| i64::from_str_radix(text, 16).ok())
        .unwrap_or(0)
}
