//! Leadership: one key on the leader's lease, which says who leads.

use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse};
use sandclock_core::backend::{Candidate, Leadership, Result};
use sandclock_core::{BackendError, ErrorKind};

use crate::error::Nature;
use crate::facts::absent;
use crate::guard::Guard;
use crate::sessions::RENEWAL;
use crate::store::Store;

/// What stands under the key while `me` leads.
fn mark(me: &Candidate) -> String {
    format!("sandclock {:032x} {}", me.nonce.0, me.name)
}

/// The lease of `me`, if it is the one who leads.
fn lease_of(found: Option<&KeyValue>, me: &Candidate) -> Option<i64> {
    let kv = found.filter(|kv| kv.value() == mark(me).as_bytes())?;
    Some(kv.lease())
}

impl Store {
    async fn held_by(&self, op: &'static str, me: &Candidate) -> Result<Option<i64>> {
        let found = self.client.get(op, &self.keys.leader()).await?;
        Ok(lease_of(found.as_ref(), me))
    }
}

#[async_trait]
impl Leadership for Store {
    async fn campaign(&self, me: &Candidate, ttl: Duration) -> Result<Option<Duration>> {
        const OP: &str = "leadership.campaign";
        let key = self.keys.leader();
        // Most campaigns find another, and a look costs no write.
        let found = self.client.get(OP, &key).await?;
        if self.guards.keep(Guard::Leader)
            && found.is_some()
            && lease_of(found.as_ref(), me).is_none()
        {
            return Ok(None);
        }
        let (lease, ttl) = self.client.grant(OP, ttl).await?;
        let put = TxnOp::put(
            key.clone(),
            mark(me),
            Some(PutOptions::new().with_lease(lease)),
        );
        let guard = self.guards.only(Guard::Leader, absent(key.clone()));
        let txn = Txn::new()
            .when(guard.into_iter().collect::<Vec<_>>())
            .and_then([put])
            .or_else([TxnOp::get(key, None)]);
        let answer = self.client.txn(OP, Nature::Writes, txn).await?;
        if answer.succeeded() {
            return Ok(Some(ttl));
        }
        self.client.revoke(OP, lease).await?;
        let found = match answer.op_responses().pop() {
            Some(TxnOpResponse::Get(mut get)) => get.take_kvs().pop(),
            _ => None,
        };
        match lease_of(found.as_ref(), me) {
            // An earlier campaign's, granted as this one.
            Some(lease) => {
                self.client.keep_alive(OP, lease, RENEWAL).await?;
                Ok(Some(ttl))
            }
            None => Ok(None),
        }
    }

    async fn hold(&self, me: &Candidate) -> Result<()> {
        const OP: &str = "leadership.hold";
        let lost = || BackendError::new(OP, ErrorKind::SessionLost);
        let lease = self.held_by(OP, me).await?.ok_or_else(lost)?;
        match self.client.keep_alive(OP, lease, RENEWAL).await {
            Err(error) if error.kind == ErrorKind::NotFound => Err(lost()),
            answer => answer,
        }
    }

    async fn resign(&self, me: &Candidate) -> Result<()> {
        const OP: &str = "leadership.resign";
        match self.held_by(OP, me).await? {
            Some(lease) => self.client.revoke(OP, lease).await,
            None => Ok(()),
        }
    }
}
