//! Kills, each on a lease of its own, and the Go fleet's kill marks.
//!
//! A Go master kills by putting a mark with the job's name, for a second or two; whoever watches at that
//! moment acts. Ours are facts about one run that stay. So everyone who watches kills turns a Go mark into
//! kills of the job's open runs: the first to write one wins, the others change nothing, and from there on it
//! is a kill like any other, seen by claims, ends and later watches.
//!
//! That a kill's key is there is the wish; its value only says whose it is and why. So one that cannot be read,
//! because a later program or a person wrote it, ends its run like any other.

use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{PutOptions, Txn, TxnOp, TxnOpResponse};
use sandclock_core::backend::kills::RETAIN;
use sandclock_core::backend::{Events, Kill, Kills, Result};
use sandclock_core::job::JobName;
use sandclock_core::run::RunId;
use sandclock_core::{BackendError, ErrorKind, stored};

use crate::error::Nature;
use crate::facts::Seen;
use crate::guard::Guard;
use crate::keys::{Keys, Record};
use crate::store::Store;
use crate::watch::{self, Source, Watch};

/// The kill of a run as its key has it.
pub(crate) fn read(run: RunId, value: &[u8]) -> Kill {
    let illegible = |error: stored::StoredError| Kill {
        run: run.clone(),
        by: "somebody".to_owned(),
        why: format!("the kill's record cannot be read: {}", error.reason()),
    };
    stored::decode(value).unwrap_or_else(illegible)
}

/// The kill at a key; `None` for keys of no run.
fn read_at(keys: &Keys, key: &[u8], value: &[u8]) -> Option<Kill> {
    Some(read(keys.run_killed_at(key)?, value))
}

impl Store {
    /// Kills every open run of a job, as its Go kill mark asks.
    async fn kill_open_runs(&self, op: &'static str, job: &JobName) -> Result<()> {
        for kv in self.client.present(op, &self.keys.open_of(job)).await? {
            if let Some(Record::Open(job, run)) = self.keys.record_of(kv.key()) {
                let kill = Kill {
                    run: RunId::of(&job, &run),
                    by: "go master".to_owned(),
                    why: format!("kill mark of job {job}"),
                };
                self.send(&kill, RETAIN).await?;
            }
        }
        Ok(())
    }
}

/// Kills as they come, ours and the Go fleet's.
struct Wishes {
    store: Store,
    ours: Watch,
    go: Watch,
}

impl Source for Wishes {
    type Item = Kill;

    async fn next(&mut self) -> Result<Vec<Kill>> {
        const OP: &str = "kills.watch";
        let go = tokio::select! {
            biased;
            news = self.ours.next() => {
                // What is put again under a longer lease has been told before.
                let new = news?.changes.into_iter().filter(|change| change.created == change.version);
                let keys = &self.store.keys;
                let kill = |change: watch::Change| read_at(keys, &change.key, &change.value?);
                return Ok(new.filter_map(kill).collect());
            }
            news = self.go.next() => news?,
        };
        for change in go.changes.iter().filter(|change| change.value.is_some()) {
            let job = self.store.keys.killed_by(&change.key);
            self.store.kill_open_runs(OP, &job).await?;
        }
        Ok(Vec::new())
    }
}

#[async_trait]
impl Kills for Store {
    async fn send(&self, kill: &Kill, retain: Duration) -> Result<()> {
        const OP: &str = "kills.send";
        let key = self.keys.kill(&kill.run);
        let refused = |error| BackendError::new(OP, ErrorKind::InvalidConfig).source(error);
        let mut value = stored::encode(kill).map_err(refused)?;
        let mut seen = Seen::Absent;
        loop {
            let (lease, _) = self.client.grant(OP, retain).await?;
            let options = PutOptions::new().with_lease(lease);
            let guard = self.guards.only(Guard::FirstKill, seen.guard(key.clone()));
            let txn = Txn::new()
                .when(guard.into_iter().collect::<Vec<_>>())
                .and_then([TxnOp::put(key.clone(), value.clone(), Some(options))])
                .or_else([TxnOp::get(key.clone(), None)]);
            let answer = self.client.txn(OP, Nature::Writes, txn).await?;
            if answer.succeeded() {
                return Ok(());
            }
            self.client.revoke(OP, lease).await?;
            let found = match answer.op_responses().pop() {
                Some(TxnOpResponse::Get(mut get)) => get.take_kvs().pop(),
                _ => None,
            };
            if let Some(kv) = &found {
                // Whole seconds, and many who send the same kill at once: nearly as long is long enough.
                let left = self.client.remaining(OP, kv.lease()).await?;
                if left + retain / 10 >= retain {
                    return Ok(());
                }
                // The first one's words stay; the longer time wins.
                value = kv.value().to_vec();
            }
            seen = Seen::read(found.as_ref());
        }
    }

    async fn watch(&self) -> Result<Events<Kill>> {
        const OP: &str = "kills.watch";
        let (ours, go) = (self.keys.all("kill"), self.keys.go_kills());
        let (found, seen) = self.client.range(OP, &ours, None).await?;
        let (marks, _) = self.client.range(OP, &go, Some(seen)).await?;
        let wishes = Wishes {
            ours: Watch::open(&self.client, OP, &ours, seen).await?,
            go: Watch::open(&self.client, OP, &go, seen).await?,
            store: self.clone(),
        };
        // A mark that came while nobody watched is as good as one that comes now.
        for kv in &marks {
            self.kill_open_runs(OP, &self.keys.killed_by(kv.key()))
                .await?;
        }
        let first = found
            .iter()
            .filter_map(|kv| read_at(&self.keys, kv.key(), kv.value()));
        Ok(watch::events(first.collect(), wishes))
    }
}
