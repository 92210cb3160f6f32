//! Cleaning goes along with what is sent anyhow.
//!
//! A transaction raises the revision once, however much it writes; a clean that travels alone costs as much as a
//! claim. So what is to be cleaned waits for the next request that writes, as long as its caller is patient, or until
//! there is enough for a request of its own. Nobody is spawned: whoever sends a request takes some along, and whoever
//! asked sends what nobody took. A request that fails leaves its passengers to those who asked for them.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::{Txn, TxnOp, TxnOpResponse};
use futures_util::future::join_all;
use sandclock_core::backend::protocol::MAX_BATCH;
use sandclock_core::backend::{RecordSeen, Result, Version};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::Nature;
use crate::facts::unchanged;
use crate::guard::Guard;
use crate::keys::Key;
use crate::store::Store;

/// How many go along with a full batch: etcd takes 128 operations, of which nesting takes some.
const ALONG: usize = 32;

/// How much they may add to a request; a job of the Go fleet may have a name of any length.
const BYTES: usize = 128 << 10;

/// A record to clean, and who asked.
#[derive(Debug)]
pub(crate) struct Clean {
    key: Key,
    seen: Version,
    /// Hears whether it was there as seen.
    tell: oneshot::Sender<bool>,
}

impl Clean {
    /// What it adds to a request: its key is compared and deleted.
    fn weight(&self) -> usize {
        2 * self.key.len()
    }
}

/// The cleans that wait, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Cleans(Mutex<Vec<Clean>>);

impl Cleans {
    fn waiting(&self) -> MutexGuard<'_, Vec<Clean>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, key: Key, seen: Version) -> oneshot::Receiver<bool> {
        let (tell, told) = oneshot::channel();
        self.waiting().push(Clean { key, seen, tell });
        told
    }

    /// Those that go along with a request that does this to keys: etcd refuses two writes of one key.
    pub(crate) fn along(&self, writes_to: impl Fn(&Key) -> bool) -> Vec<Clean> {
        let mut waiting = self.waiting();
        let (mut left, mut room) = (ALONG, BYTES);
        let fits = |clean: &mut Clean| {
            let fits = left > 0 && clean.weight() <= room && !writes_to(&clean.key);
            left -= usize::from(fits);
            room -= if fits { clean.weight() } else { 0 };
            fits
        };
        waiting.extract_if(.., fits).collect()
    }

    fn next(&self) -> Vec<Clean> {
        let mut waiting = self.waiting();
        let mut room = BYTES;
        let fits = |clean: &&Clean| {
            let left = room.checked_sub(clean.weight());
            room = left.unwrap_or_default();
            left.is_some()
        };
        let some = waiting.iter().take(MAX_BATCH).take_while(fits).count();
        let some = some.max(1).min(waiting.len());
        waiting.drain(..some).collect()
    }
}

/// Tells those who asked what became of their cleans, from etcd's answers to them.
pub(crate) fn tell(cleans: Vec<Clean>, answers: &[TxnOpResponse]) {
    for (clean, answer) in cleans.into_iter().zip(answers) {
        let applied = matches!(answer, TxnOpResponse::Txn(answer) if answer.succeeded());
        // Whoever asked may be gone.
        let _ = clean.tell.send(applied);
    }
}

impl Store {
    /// Deletes records at the versions seen, along with others' requests where there are some; how many it deleted.
    pub(crate) async fn clean_along(
        &self,
        done: &[RecordSeen],
        mut patience: Duration,
    ) -> Result<u32> {
        let mut deleted = 0;
        let mut left = done.to_vec();
        while !left.is_empty() {
            let ask = |seen: &RecordSeen| {
                let key = self.keys.done(&seen.job, &seen.key);
                self.cleans.push(key, seen.version)
            };
            let mut told = pin!(join_all(left.iter().map(ask)));
            if self.cleans.waiting().len() >= MAX_BATCH {
                patience = Duration::ZERO;
            }
            let answers = match timeout(patience, &mut told).await {
                Ok(answers) => answers,
                Err(_) => {
                    self.clean_alone().await?;
                    told.await
                }
            };
            let applied = answers.iter().filter(|answer| **answer == Ok(true));
            deleted += u32::try_from(applied.count()).unwrap_or(u32::MAX);
            // Those that a failed request had taken along.
            let mut failed = answers.iter().map(std::result::Result::is_err);
            left.retain(|_| failed.next().unwrap_or_default());
            patience = Duration::ZERO;
        }
        Ok(deleted)
    }

    async fn clean_alone(&self) -> Result<()> {
        loop {
            let cleans = self.cleans.next();
            if cleans.is_empty() {
                return Ok(());
            }
            let txn = Txn::new().and_then(self.clean_ops(&cleans));
            let answer = self.client.txn("feed.clean", Nature::Writes, txn).await?;
            tell(cleans, &answer.op_responses());
        }
    }

    /// The operations of cleans, each with an outcome of its own.
    pub(crate) fn clean_ops(&self, cleans: &[Clean]) -> Vec<TxnOp> {
        let delete = |Clean { key, seen, .. }: &Clean| {
            let as_seen = unchanged(key.clone(), *seen);
            let guard = self.guards.only(Guard::Cleaned, as_seen);
            let guard: Vec<_> = guard.into_iter().collect();
            let delete = TxnOp::delete(key.clone(), None);
            TxnOp::txn(Txn::new().when(guard).and_then([delete]))
        };
        cleans.iter().map(delete).collect()
    }
}
