//! The run log of Sandclock on MongoDB, in the collection that a Go fleet logs to.
//!
//! - [`config`]: where it is, and how long a call may take.
//! - [`schema`]: the collections, their indexes, and where a Go master looks.
//! - [`store`]: opening: the checks at the start, and the deadline of every call.
//! - [`runs`] writes runs, [`document`] is a run's document; [`writer`] sends together what has queued.
//! - [`lists`] finds runs again and prunes them, [`foreign`] reads those that Go workers logged, and [`raw`]
//!   the bytes that they are made of. [`go_log`] shows a Go master's clients what its log would.
//! - [`output`]: chunks of output.
//! - [`outbox`] and [`alerts`]: the alert outbox, and an alert's document.
//! - [`audit`]: who changed what.
//! - [`recordings`]: what plugins were asked and what they said.
//! - [`plugins`]: the plugin store, and [`modules`] its modules in GridFS; [`kv`]: what plugins keep.
//! - [`mod@checkup`]: what the server says of itself and of our indexes.
//! - [`error`]: the one place where the driver's errors get their meaning.
//!
//! Every change of a run, an alert, a plugin or its values is one conditional step on one document. So nothing here needs a
//! transaction or a leader, and a single server will do as well as a replica set. The server must be 4.4 or
//! later. Nothing is acknowledged before a majority has it in the journal.

use std::sync::Arc;

use sandclock_core::backend::{GoLog, Records, Result};
use sandclock_core::time::Clock;

mod alerts;
mod audit;
mod checkup;
mod config;
mod document;
mod error;
mod foreign;
mod go_log;
mod guards;
mod kv;
mod lists;
mod modules;
#[cfg(feature = "test-util")]
mod mutant;
mod outbox;
mod output;
mod plugins;
mod raw;
mod recordings;
mod runs;
mod schema;
mod store;
mod writer;

pub use checkup::{Checkup, Flaw, FlawKind};
pub use config::MongoConfig;
#[cfg(feature = "test-util")]
pub use mutant::{Mutant, connect_with_mutant};
use store::Store;

/// A run log, and what it takes to open it. It is left once all contracts that it lends are dropped; what was
/// sent before is still written.
#[derive(Debug)]
pub struct RunLog {
    /// The contracts. Until it has been opened every call of theirs is `Unavailable`.
    pub records: Records,
    /// What a server in the place of a Go fleet's master needs besides; the same holds.
    pub go: Arc<dyn GoLog>,
    store: Arc<Store>,
}

impl RunLog {
    /// The run log, on a runtime on which it can go on working. Asks no server yet.
    ///
    /// # Errors
    /// `InvalidConfig` if the URI or a name cannot be, by name.
    pub async fn new(config: &MongoConfig) -> Result<Self> {
        let store = Store::lend(config, guards::Guards::default()).await?;
        let store = Arc::new(store);
        Ok(Self {
            records: records(Arc::clone(&store)),
            go: Arc::<Store>::clone(&store),
            store,
        })
    }

    /// Connects, and makes the indexes that are missing, which takes a while in a large log of a Go fleet: up to
    /// an hour. Can be tried again.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` if no server answers; `Denied` if it does not let us in or lets us do too
    /// little; `InvalidConfig` if it is too old, or no encrypted connection can be agreed on.
    pub async fn open(&self) -> Result<()> {
        self.store.open().await
    }

    /// Asks the server how it is, without opening the run log: nothing is changed. `clock` is what the server's is held
    /// against.
    ///
    /// # Errors
    /// As [`RunLog::open`].
    pub async fn checkup(&self, clock: &dyn Clock) -> Result<Checkup> {
        self.store.checkup(clock).await
    }
}

/// Makes a run log and opens it.
///
/// # Errors
/// As [`RunLog::new`] and [`RunLog::open`].
pub async fn connect(config: &MongoConfig) -> Result<Records> {
    let log = RunLog::new(config).await?;
    log.open().await?;
    Ok(log.records)
}

fn records(store: Arc<Store>) -> Records {
    Records {
        sink: Arc::<Store>::clone(&store),
        runs: Arc::<Store>::clone(&store),
        outbox: Arc::<Store>::clone(&store),
        plugins: Arc::<Store>::clone(&store),
        recordings: Arc::<Store>::clone(&store),
        kv: Arc::<Store>::clone(&store),
        audit: store,
    }
}
