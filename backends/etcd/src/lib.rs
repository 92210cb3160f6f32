//! Coordination of a fleet through etcd, beside or instead of the older Go fleet.
//!
//! - [`config`]: where the cluster is, and under which prefixes things stand.
//! - [`client`], [`error`]: the connection; every call has a deadline, every failure one meaning.
//! - [`keys`]: every key, in one table.
//! - [`mod@checkup`]: what a cluster says of itself.
//! - [`watch`]: watches that never end silently.
//! - [`jobs`]: the job store over the Go fleet's keys; [`places`]: under which of its two keys a job stands;
//!   [`orphans`]: the marks of deleted jobs.
//! - [`sessions`], [`leases`]: leases, registration; [`kills`]: kill marks, ours and the Go fleet's.
//! - [`leadership`]: which server does the chores. [`docs`]: documents beside the jobs, such as bindings.
//! - [`fires`]: the claim protocol's writes. [`facts`] is what a step of core is told, [`plan`] and [`tree`] make a
//!   transaction of it, [`carry`] sends that until there is an answer, [`recall`] spares a read,
//!   [`ends`] lets ends that come together share a request.
//! - [`go`]: what a Go fleet's master does.
//! - [`locks`]: the Go fleet's lock, while its workers share the jobs; [`beside`]: whether they do.
//! - [`feed`]: the claim protocol's reads; [`echoes`]: those that we have written ourselves.
//! - [`guard`]: the guards by name, so that tests can take one out.
//!
//! Guards. Every transaction compares the number of the last change of each key that its step rests on, and
//! that the caller's session lives. Such a guard is stable: once false, it stays false. A decide compares the
//! mark's whole *value* with the one that the planner saw, because it knows no number. The value also carries
//! the job's streak, which an end changes without moving the mark; so a decide whose planner saw an older
//! streak fails its guard, learns the mark as it is, and is tried again with the new streak, in the same call
//! and with the same nonce. No answer rests on that guard: a caller hears `Stale` only when the fire time, the
//! generation or the job's version is another, which is for ever. The price is one more request for a decide
//! that meets an end within the time of a watch event; the alternative, a key of its own for the streak, would
//! be read and compared in every decide and every end.
//!
//! Cost. A run takes one transaction to decide and one to end; ticks that are due together share their decide, and
//! what is cleaned goes along with either. Reads do not raise the revision.

use std::sync::Arc;

use sandclock_core::backend::{Coordination, GoFleet, Result, Scope};

mod beside;
mod carry;
mod checkup;
mod cleans;
mod client;
mod config;
mod docs;
mod echoes;
mod ends;
mod error;
mod facts;
mod feed;
mod fires;
mod go;
mod guard;
mod jobs;
mod keys;
mod kills;
mod leadership;
mod leases;
mod locks;
mod orphans;
mod places;
mod plan;
mod recall;
mod sessions;
mod store;
mod tree;
mod watch;

pub use checkup::{Alarm, Checkup, checkup};
pub use config::{EtcdConfig, GoKeys, Login, Tls};
#[cfg(feature = "test-util")]
pub use guard::Guard;
use guard::Guards;
use store::Store;

/// Connects to a cluster and offers its contracts of coordination. Nothing is written.
///
/// # Errors
/// `InvalidConfig` if the configuration can never work, or the server is older than etcd 3.4; `Denied` if the
/// login is refused or gives too few rights; `Unavailable` or `Timeout` if no endpoint answers.
pub async fn connect(config: EtcdConfig) -> Result<Coordination> {
    Ok(connect_as_master(config).await?.0)
}

/// The same, with what a server in the place of a Go fleet's master needs besides, and what renews the connection.
///
/// # Errors
/// As [`connect`].
pub async fn connect_as_master(
    config: EtcdConfig,
) -> Result<(Coordination, Arc<dyn GoFleet>, Renewal)> {
    let store = Store::connect(config.clone(), Guards::default()).await?;
    let client = store.client.clone();
    let renewal = Renewal { client, config };
    Ok((coordination(store.clone()), Arc::new(store), renewal))
}

/// What puts a connection with other certificates in the place of the one that is there.
#[derive(Clone, Debug)]
pub struct Renewal {
    client: client::Client,
    config: EtcdConfig,
}

impl Renewal {
    /// Connects with these certificates, and then uses that connection for every new call and watch.
    ///
    /// # Errors
    /// As [`connect`]; the connection that is there is used on.
    pub async fn renew(&self, tls: Tls) -> Result<()> {
        let tls = Some(tls);
        let config = self.config.clone();
        self.client.renew(&EtcdConfig { tls, ..config }).await
    }
}

/// The same without one guard, for showing that tests would miss it.
///
/// # Errors
/// As [`connect`].
#[cfg(feature = "test-util")]
pub async fn connect_without(config: EtcdConfig, guard: Guard) -> Result<Coordination> {
    let guards = Guards {
        without: Some(guard),
    };
    Ok(coordination(Store::connect(config, guards).await?))
}

fn coordination(store: Store) -> Coordination {
    let store = Arc::new(store);
    Coordination {
        jobs: Arc::<Store>::clone(&store),
        sessions: Arc::<Store>::clone(&store),
        fires: Arc::<Store>::clone(&store),
        feed: Arc::<Store>::clone(&store),
        kills: Arc::<Store>::clone(&store),
        leadership: Arc::<Store>::clone(&store),
        docs: store,
        scope: Scope::Fleet,
    }
}
