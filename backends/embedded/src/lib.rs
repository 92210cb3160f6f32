//! Every contract of Sandclock on one SQLite file, for one process.
//!
//! - [`lock`]: one process at a time; a second is refused and told who has the file.
//! - [`schema`]: the tables, their migrations, and the settings that durability rests on.
//! - [`writer`]: one thread that writes. What has queued is committed together, and nothing is
//!   acknowledged before its commit is on disk.
//! - [`txn`]: a write transaction as the requests see it.
//! - [`place`]: notices that the file, or its journal, was removed or replaced while it is open.
//! - [`readers`]: snapshots on connections of their own, beside the writer.
//! - [`history`] and [`changes`]: the feed of changes, in memory; its positions are in the file.
//! - [`facts`]: what the protocol's steps read and write; the steps themselves are core's.
//! - [`sessions`], [`leadership`]: in memory only, because every session ends with the process.
//! - [`jobs`], [`fires`], [`kills`], [`runs`] with [`output`], [`outbox`], [`plugins`], [`kv`], [`audit`]: the contracts.
//! - [`expiry`]: what ends by itself.
//! - [`mod@checkup`]: what is known of a file without taking it.
//! - [`spool`]: no part of the store: a file of what waits for a run log elsewhere.
//! - [`mend`]: what becomes of records of the protocol that cannot be read.
//!
//! After a crash at any moment the file holds every acknowledged write and no half of another.

use std::path::PathBuf;
use std::sync::Arc;

use sandclock_core::backend::{Coordination, Records, Result, Scope};

mod audit;
mod changes;
mod checkup;
mod docs;
mod error;
mod expiry;
mod facts;
mod fires;
mod history;
mod jobs;
mod kills;
mod kv;
mod leadership;
mod lock;
mod mend;
#[cfg(feature = "test-util")]
mod mutant;
mod outbox;
mod output;
mod place;
mod plugins;
mod readers;
mod recordings;
mod runs;
mod schema;
mod sessions;
pub mod spool;
mod store;
mod txn;
mod writer;

pub use checkup::{Checkup, checkup};
#[cfg(feature = "test-util")]
pub use mutant::Mutant;
use store::Store;

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// The SQLite file. It is made if it is missing; its folder must exist. Beside it SQLite keeps
    /// `-wal` and `-shm`, and this crate `.lock`.
    pub path: PathBuf,
}

/// An open store. It is closed once this and all contracts lent by it are dropped.
#[derive(Clone, Debug)]
pub struct Embedded {
    store: Arc<Store>,
}

impl Embedded {
    /// Opens the file, makes or upgrades its tables, and takes it for this process. Blocks.
    ///
    /// Sessions of an earlier process are gone; everything else that was acknowledged is there.
    ///
    /// # Errors
    /// `Unavailable` if another process has the file, with its pid, or if the file cannot be read or
    /// made; `Denied` if it may not be; `InvalidConfig` if it belongs to another or a newer program, if it is
    /// empty, or if the file system cannot give the durability that is asked for; `Corrupt` if it is damaged.
    pub fn open(config: EmbeddedConfig) -> Result<Self> {
        Ok(Self {
            store: Arc::new(Store::open(&config.path, &schema::Settings::default())?),
        })
    }

    /// The contracts of coordination.
    pub fn coordination(&self) -> Coordination {
        Coordination {
            jobs: Arc::<Store>::clone(&self.store),
            sessions: Arc::<Store>::clone(&self.store),
            fires: Arc::<Store>::clone(&self.store),
            feed: Arc::<Store>::clone(&self.store),
            kills: Arc::<Store>::clone(&self.store),
            leadership: Arc::<Store>::clone(&self.store),
            docs: Arc::<Store>::clone(&self.store),
            scope: Scope::SingleProcess,
        }
    }

    /// The contracts of records.
    pub fn records(&self) -> Records {
        Records {
            sink: Arc::<Store>::clone(&self.store),
            runs: Arc::<Store>::clone(&self.store),
            outbox: Arc::<Store>::clone(&self.store),
            plugins: Arc::<Store>::clone(&self.store),
            recordings: Arc::<Store>::clone(&self.store),
            kv: Arc::<Store>::clone(&self.store),
            audit: Arc::<Store>::clone(&self.store),
        }
    }
}
