//! Sessions: one lease per worker process, and the key that hangs on it.
//!
//! The key is the session, for workers and for the guards of every transaction; the lease only times it. So a
//! renewal also looks at the key: a session whose key somebody deleted is gone, though its lease lives. The
//! same transaction repairs the registration for the Go fleet, which a second worker of the same address takes
//! along when it leaves (W13 of that fleet's faults).

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{PutOptions, Txn, TxnOp};
use sandclock_core::backend::{
    Events, Result, Session, SessionEvent, SessionId, Sessions, WorkerInfo,
};
use sandclock_core::run::hex;
use sandclock_core::{BackendError, ErrorKind, stored};

use crate::error::Nature;
use crate::facts::{absent, present};
use crate::feed::readable;
use crate::store::{Shared, Store};
use crate::watch::{self, Source, Watch};

/// A renewal that takes longer is given up, so that the next one comes in time.
pub(crate) const RENEWAL: Duration = Duration::from_secs(2);

impl Store {
    fn leases(&self) -> MutexGuard<'_, BTreeMap<SessionId, i64>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease of a session, whoever opened it; `None` if the session is gone.
    pub(crate) async fn lease_of(
        &self,
        op: &'static str,
        session: &SessionId,
    ) -> Result<Option<i64>> {
        let known = self.leases().get(session).copied();
        if known.is_some() {
            return Ok(known);
        }
        let found = self.client.get(op, &self.keys.session(session)).await?;
        Ok(found.map(|kv| kv.lease()).filter(|lease| *lease != 0))
    }

    /// The registration for the Go fleet, if one is wanted.
    fn register(&self, session: &SessionId, lease: i64) -> Option<TxnOp> {
        let address = self.config.register_as.as_ref()?;
        let options = PutOptions::new().with_lease(lease);
        let (key, value) = (self.keys.worker(address), registration(session));
        Some(TxnOp::put(key, value, Some(options)))
    }

    /// The registration, unless it is there.
    fn repair_registration(&self, session: &SessionId, lease: i64) -> Option<TxnOp> {
        let address = self.config.register_as.as_ref()?;
        let missing = absent(self.keys.worker(address));
        let register = self.register(session, lease)?;
        Some(TxnOp::txn(Txn::new().when([missing]).and_then([register])))
    }

    fn lost(&self, op: &'static str, session: &SessionId) -> BackendError {
        self.leases().remove(session);
        BackendError::new(op, ErrorKind::SessionLost).context(session)
    }
}

fn encode(op: &'static str, info: &WorkerInfo) -> Result<Vec<u8>> {
    let refused = |error| BackendError::new(op, ErrorKind::InvalidConfig).source(error);
    stored::encode(info).map_err(refused)
}

/// What the value of our registrations begins with; that of a Go worker is empty in most of that fleet's copies.
pub(crate) const REGISTERED: &str = "{\"sandclock\":";

/// The value of a session's registration. It is ours to choose: no Go program reads it.
pub(crate) fn registration(session: &SessionId) -> String {
    format!("{REGISTERED}{{\"session\":\"{session}\"}}}}")
}

/// 128 random bits.
fn new_id(op: &'static str) -> Result<SessionId> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| BackendError::new(op, ErrorKind::Unexpected).source(error))?;
    Ok(SessionId(hex(&bytes, bytes.len())))
}

/// The registry, as it changes, and beside it what tells of Go workers.
struct Registry {
    store: Store,
    watch: Watch,
    workers: Watch,
    locks: Watch,
}

impl Source for Registry {
    type Item = SessionEvent;

    async fn next(&mut self) -> Result<Vec<SessionEvent>> {
        let Shared { beside, keys, .. } = &*self.store;
        let news = tokio::select! {
            biased;
            news = self.workers.next() => {
                news?.changes.iter().for_each(|change| beside.registration(keys, change));
                return Ok(Vec::new());
            }
            news = self.locks.next() => {
                news?.changes.iter().for_each(|change| beside.lock(keys, change));
                return Ok(Vec::new());
            }
            news = self.watch.next() => news?,
        };
        let event = |change: watch::Change| {
            if let Some(id) = keys.drained_by(&change.key) {
                return change.value.map(|_| SessionEvent::DrainAsked(id));
            }
            let id = keys.session_of(&change.key)?;
            Some(match change.value {
                Some(value) => SessionEvent::Live(id, readable(&change.key, &value)?),
                None => SessionEvent::Gone(id),
            })
        };
        Ok(news.changes.into_iter().filter_map(event).collect())
    }
}

#[async_trait]
impl Sessions for Store {
    async fn open(&self, me: &WorkerInfo, ttl: Duration) -> Result<Session> {
        const OP: &str = "sessions.open";
        let id = new_id(OP)?;
        let value = encode(OP, me)?;
        let (lease, ttl) = self.client.grant(OP, ttl).await?;
        let options = PutOptions::new().with_lease(lease);
        let mut puts = vec![TxnOp::put(self.keys.session(&id), value, Some(options))];
        puts.extend(self.register(&id, lease));
        self.client
            .txn(OP, Nature::Writes, Txn::new().and_then(puts))
            .await?;
        self.leases().insert(id.clone(), lease);
        Ok(Session { id, ttl })
    }

    async fn renew(&self, session: &SessionId, info: Option<&WorkerInfo>) -> Result<()> {
        const OP: &str = "sessions.renew";
        let Some(lease) = self.lease_of(OP, session).await? else {
            return Err(self.lost(OP, session));
        };
        match self.client.keep_alive(OP, lease, RENEWAL).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Err(self.lost(OP, session)),
            renewed => renewed?,
        }
        let key = self.keys.session(session);
        let mut writes = Vec::new();
        if let Some(info) = info {
            let options = PutOptions::new().with_lease(lease);
            writes.push(TxnOp::put(key.clone(), encode(OP, info)?, Some(options)));
        }
        writes.extend(self.repair_registration(session, lease));
        self.release_locks(OP).await?;
        let txn = Txn::new().when([present(key)]).and_then(writes);
        match self.client.txn(OP, Nature::Writes, txn).await {
            Ok(answer) if answer.succeeded() => Ok(()),
            Ok(_) => Err(self.lost(OP, session)),
            Err(error) if error.kind == ErrorKind::NotFound => Err(self.lost(OP, session)),
            Err(error) => Err(error),
        }
    }

    async fn ask_to_drain(&self, session: &SessionId) -> Result<bool> {
        const OP: &str = "sessions.ask_to_drain";
        let Some(lease) = self.lease_of(OP, session).await? else {
            return Ok(false);
        };
        let options = PutOptions::new().with_lease(lease);
        let ask = TxnOp::put(self.keys.drain(session), "", Some(options));
        let lives = present(self.keys.session(session));
        let txn = Txn::new().when([lives]).and_then([ask]);
        match self.client.txn(OP, Nature::Writes, txn).await {
            Ok(answer) => Ok(answer.succeeded()),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn close(&self, session: &SessionId) -> Result<()> {
        const OP: &str = "sessions.close";
        let Some(lease) = self.lease_of(OP, session).await? else {
            return Ok(());
        };
        self.client.revoke(OP, lease).await?;
        self.leases().remove(session);
        Ok(())
    }

    async fn live(&self) -> Result<Events<SessionEvent>> {
        const OP: &str = "sessions.live";
        let range = self.keys.sessions();
        let (found, seen) = self.client.range(OP, &range, None).await?;
        let (registered, locks) = (self.keys.workers(), self.keys.locks());
        let (workers, _) = self.client.range(OP, &registered, Some(seen)).await?;
        self.beside.list(&self.keys, &workers);
        let registry = Registry {
            watch: Watch::open(&self.client, OP, &range, seen).await?,
            workers: Watch::open(&self.client, OP, &registered, seen).await?,
            locks: Watch::open(&self.client, OP, &locks, seen).await?,
            store: self.clone(),
        };
        let live = found.iter().filter_map(|kv| {
            let id = self.keys.session_of(kv.key())?;
            Some(SessionEvent::Live(id, readable(kv.key(), kv.value())?))
        });
        let asked = found.iter().filter_map(|kv| {
            let id = self.keys.drained_by(kv.key())?;
            Some(SessionEvent::DrainAsked(id))
        });
        let first = live.chain(asked).chain([SessionEvent::Synced]).collect();
        Ok(watch::events(first, registry))
    }
}
