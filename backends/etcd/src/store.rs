//! What all contracts share.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::{Txn, TxnOp};
use sandclock_core::ErrorKind;
use sandclock_core::backend::protocol::REQUEST_LIFE;
use sandclock_core::backend::{Result, SessionId};

use crate::beside::Beside;
use crate::cleans::Cleans;
use crate::client::Client;
use crate::config::EtcdConfig;
use crate::echoes::Echoes;
use crate::ends::Ends;
use crate::error::Nature;
use crate::facts::{absent, present};
use crate::guard::Guards;
use crate::keys::{Key, Keys};
use crate::leases::Leases;
use crate::locks::Locks;
use crate::places::Places;
use crate::recall::Recall;

/// How long a mark outlives its job, so that a job created again never repeats a tick (S2).
const MARK_OUTLIVES_JOB: Duration = Duration::from_secs(7 * 24 * 3600);

/// Everything behind the contracts; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Shared>);

/// What the contracts share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: EtcdConfig,
    pub(crate) client: Client,
    pub(crate) keys: Keys,
    /// The lease of each session that this process has opened.
    pub(crate) sessions: Mutex<BTreeMap<SessionId, i64>>,
    pub(crate) guards: Guards,
    pub(crate) recall: Recall,
    pub(crate) echoes: Echoes,
    pub(crate) ends: Ends,
    pub(crate) cleans: Cleans,
    pub(crate) locks: Locks,
    pub(crate) places: Places,
    pub(crate) beside: Beside,
    /// For remembered requests.
    pub(crate) requests: Leases,
    /// For the marks of deleted jobs.
    pub(crate) orphans: Leases,
}

impl Store {
    pub(crate) async fn connect(config: EtcdConfig, guards: Guards) -> Result<Self> {
        let keys = Keys::of(&config);
        let client = Client::connect(&config).await?;
        check_rights(&client, &keys).await?;
        Ok(Self(Arc::new(Shared {
            client,
            sessions: Mutex::default(),
            guards,
            recall: Recall::new(keys.clone()),
            echoes: Echoes::default(),
            ends: Ends::default(),
            cleans: Cleans::default(),
            locks: Locks::default(),
            places: Places::default(),
            beside: Beside::new(config.beside_go),
            requests: Leases::lasting(REQUEST_LIFE),
            orphans: Leases::lasting(MARK_OUTLIVES_JOB),
            keys,
            config,
        })))
    }
}

/// Refuses a user who may not do what the contracts will. etcd checks the rights to all that a transaction names, so
/// one that does nothing asks for all at once: its guards contradict each other.
pub(crate) async fn check_rights(client: &Client, keys: &Keys) -> Result<()> {
    let each = keys.one_of_each();
    let never = each.first().cloned().unwrap_or_default();
    let put = |key: &Key| TxnOp::put(key.clone(), "", None);
    let get = |key: &Key| TxnOp::get(key.clone(), None);
    let ask = Txn::new()
        .when([present(never.clone()), absent(never)])
        .and_then(each.iter().map(put).collect::<Vec<_>>())
        .or_else(each.iter().map(get).collect::<Vec<_>>());
    match client.txn("etcd.connect", Nature::Reads, ask).await {
        Err(error) if error.kind == ErrorKind::Denied => Err(error),
        // Whether it works, each call says for itself.
        _ => Ok(()),
    }
}

impl Deref for Store {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
