//! What a Go fleet's master does in etcd: its jobs as they stand there, kill marks, and the list of its workers.

use std::collections::BTreeMap;

use async_trait::async_trait;
use etcd_client::{PutOptions, Txn, TxnOp};
use sandclock_core::backend::{GoFleet, GoStored, Precondition, Result};
use sandclock_core::go::GoJob;
use sandclock_core::job::JobName;
use sandclock_core::{BackendError, ErrorKind};

use crate::beside;
use crate::error::Nature;
use crate::keys::APART;
use crate::store::Store;

#[async_trait]
impl GoFleet for Store {
    async fn jobs(&self) -> Result<Vec<GoJob>> {
        const OP: &str = "go.jobs";
        let (found, at) = self.client.range(OP, &self.keys.jobs(), None).await?;
        let apart = self.keys.all(APART);
        let (apart, _) = self.client.range(OP, &apart, Some(at)).await?;
        let apart = apart
            .iter()
            .filter_map(|kv| Some((self.keys.job_of(APART, kv.key())?, kv)));
        let theirs = found.iter().map(|kv| (self.keys.job_at(kv.key()), kv));
        let all: BTreeMap<_, _> = apart.chain(theirs).collect();
        let job = |(name, kv): (&JobName, &&etcd_client::KeyValue)| {
            Some(GoJob::parse(kv.value()).ok()?.named(name))
        };
        Ok(all.iter().filter_map(job).collect())
    }

    async fn job(&self, name: &JobName) -> Result<Option<GoStored>> {
        let found = self.find("go.job", name).await?;
        let stored = |version| GoStored {
            version,
            value: found.go(),
        };
        Ok(found.version().map(stored))
    }

    async fn save(&self, name: &JobName, value: &GoJob, pre: Precondition) -> Result<()> {
        const OP: &str = "go.save";
        let mut found = self.find(OP, name).await?;
        while pre.holds(found.version()) {
            match self.try_put(OP, name, value, &found).await? {
                Ok(_) => return Ok(()),
                Err(instead) => found = instead,
            }
        }
        Err(BackendError::new(OP, ErrorKind::Conflict).context(name))
    }

    async fn kill(&self, name: &JobName) -> Result<()> {
        const OP: &str = "go.kill";
        let (lease, _) = self.client.grant(OP, self.config.kill_mark_life).await?;
        let options = PutOptions::new().with_lease(lease);
        let put = TxnOp::put(self.keys.kill_mark(name), "", Some(options));
        let txn = Txn::new().and_then([put]);
        self.client.txn(OP, Nature::Writes, txn).await.map(drop)
    }

    async fn workers(&self) -> Result<Vec<String>> {
        const OP: &str = "go.workers";
        let found = self.client.present(OP, &self.keys.workers()).await?;
        let address = |kv: &etcd_client::KeyValue| self.keys.worker_at(kv.key());
        Ok(found.iter().map(address).collect())
    }

    async fn go_workers(&self) -> Result<Vec<String>> {
        const OP: &str = "go.go_workers";
        let (found, _) = self.client.range(OP, &self.keys.workers(), None).await?;
        let theirs = found.iter().filter(|kv| !beside::is_ours(kv.value()));
        Ok(theirs.map(|kv| self.keys.worker_at(kv.key())).collect())
    }
}
