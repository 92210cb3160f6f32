//! What all contracts share.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandclock_core::backend::protocol::REQUEST_LIFE;
use sandclock_core::backend::{Result, SessionId};

use crate::beside::Beside;
use crate::cleans::Cleans;
use crate::client::Client;
use crate::config::EtcdConfig;
use crate::ends::Ends;
use crate::guard::Guards;
use crate::keys::Keys;
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
        Ok(Self(Arc::new(Shared {
            client: Client::connect(&config).await?,
            sessions: Mutex::default(),
            guards,
            recall: Recall::new(keys.clone()),
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

impl Deref for Store {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
