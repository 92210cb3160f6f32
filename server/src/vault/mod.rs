//! What a worker knows by name: secrets of its own configuration, and those of the fleet, which it opens with its key.
//!
//! The fleet's lie sealed beside its jobs, because a run may start on any worker: what is set once is there for all of
//! them. Neither store nor server has the key, so neither can read a value.

mod seal;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sandclock_core::BackendError;
use sandclock_core::backend::Docs;
use sandclock_core::job::SecretSource;
use sandclock_core::stored::StoredError;
use sandclock_core::vault::{self, SealedSecret, StoredSecret};

use crate::list::List;

pub use self::seal::{Keys, new_key};

/// A secret, or why it cannot be read.
type Sealed = Result<SealedSecret, String>;

/// What a worker knows by name.
#[derive(Debug)]
pub struct Vault {
    own: BTreeMap<String, SecretSource>,
    /// The file of the keys; it is read for each value, so that a key can be replaced without a restart.
    keys: Option<PathBuf>,
    list: List<Sealed>,
}

impl Vault {
    /// What is configured, and the fleet's that `keys` open.
    ///
    /// # Errors
    /// If the file of the keys is of no use.
    pub fn new(
        own: BTreeMap<String, SecretSource>,
        keys: Option<PathBuf>,
        docs: Arc<dyn Docs>,
    ) -> anyhow::Result<Self> {
        if let Some(path) = &keys {
            let read = Keys::read(path);
            read.map_err(|error| error.context("worker.secrets_key"))?;
        }
        let list = List::new("secrets", docs, sealed);
        Ok(Self { own, keys, list })
    }

    /// Where the worker's own configuration says that a value is.
    pub fn own(&self, name: &str) -> Option<&SecretSource> {
        self.own.get(name)
    }

    /// A value of the fleet's.
    ///
    /// # Errors
    /// In words what is missing and who can give it; never a value.
    pub async fn value(&self, name: &str) -> Result<String, String> {
        let found = self.list.find_fresh(name).await;
        let found =
            found.map_err(|error| format!("the fleet's secrets cannot be read: {error}"))?;
        let sealed = found.ok_or_else(|| {
            format!(
                "nobody knows {name:?}: set it for the fleet with sandclock secret set {name}, or for this worker in \
                 [worker.secrets.{name}]"
            )
        })?;
        let sealed = sealed?;
        let path = self.keys.clone().ok_or_else(|| {
            format!(
                "the fleet has {name:?} sealed, and this worker has no key: set worker.secrets_key"
            )
        })?;
        let opened = tokio::task::spawn_blocking(move || {
            Keys::read(&path)?.open(&sealed.name, &sealed.key, &sealed.sealed)
        });
        let opened = opened.await.map_err(|error| error.to_string())?;
        let value =
            opened.map_err(|error| format!("the fleet's {name:?} does not open: {error:#}"))?;
        String::from_utf8(value).map_err(|_| format!("the fleet's {name:?} is not UTF-8"))
    }
}

/// The fleet's secrets: sealed, or why one cannot be read, by name.
fn sealed(docs: &dyn Docs) -> BoxFuture<'_, Result<BTreeMap<String, Sealed>, BackendError>> {
    Box::pin(async move {
        let read = |stored: StoredSecret| {
            let broken = |error: Arc<StoredError>| {
                let name = &stored.name;
                format!("the fleet's {name:?} cannot be read: {}", error.reason())
            };
            (stored.name.clone(), stored.secret.map_err(broken))
        };
        let all = vault::secrets(docs).await?;
        Ok(all.into_iter().map(read).collect())
    })
}
