//! What a worker knows by name: secrets of its own configuration, and those of the fleet, which it opens with its key.
//!
//! The fleet's lie sealed beside its jobs, because a run may start on any worker: what is set once is there for all of
//! them. Neither store nor server has the key, so neither can read a value. A worker reads the list again when it is
//! older than [`FRESH`]; while the store is away the last list counts, as with tokens.

mod seal;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sandclock_core::backend::Docs;
use sandclock_core::job::SecretSource;
use sandclock_core::vault::{self, SealedSecret};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

pub use self::seal::{Keys, new_key};

/// How old the list of the fleet's secrets may be.
const FRESH: Duration = Duration::from_secs(1);

/// How long the store may take for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The list: sealed secrets, or why one cannot be read, by name.
type Sealed = BTreeMap<String, Result<SealedSecret, String>>;

/// What a worker knows by name.
#[derive(Debug)]
pub struct Vault {
    own: BTreeMap<String, SecretSource>,
    /// The file of the keys; it is read for each value, so that a key can be replaced without a restart.
    keys: Option<PathBuf>,
    docs: Arc<dyn Docs>,
    list: Mutex<Option<(Instant, Arc<Sealed>)>>,
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
        let list = Mutex::default();
        Ok(Self {
            own,
            keys,
            docs,
            list,
        })
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
        let list = self.list().await?;
        let found = list.get(name);
        let sealed = found.ok_or_else(|| {
            format!(
                "nobody knows {name:?}: set it for the fleet with sandclock secret set {name}, or for this worker in \
                 [worker.secrets.{name}]"
            )
        })?;
        let sealed = sealed.clone()?;
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

    /// The fleet's secrets, as they were at most [`FRESH`] ago, or when the store was there last.
    async fn list(&self) -> Result<Arc<Sealed>, String> {
        let mut known = self.list.lock().await;
        if let Some((at, list)) = &*known
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(list));
        }
        let asked = Instant::now();
        let why = match timeout(PATIENCE, vault::secrets(&*self.docs)).await {
            Ok(Ok(all)) => {
                let read = all.into_iter().map(|stored| {
                    let broken = |error: Arc<sandclock_core::stored::StoredError>| {
                        format!(
                            "the fleet's {:?} cannot be read: {}",
                            stored.name,
                            error.reason()
                        )
                    };
                    (stored.name.clone(), stored.secret.map_err(broken))
                });
                let list = Arc::new(read.collect());
                *known = Some((asked, Arc::clone(&list)));
                return Ok(list);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the coordination store does not answer".to_owned(),
        };
        match &mut *known {
            Some((at, list)) => {
                // The next run does not wait as long.
                *at = Instant::now();
                tracing::warn!(
                    why,
                    "the fleet's secrets cannot be read again; those read last count"
                );
                Ok(Arc::clone(list))
            }
            None => Err(format!("the fleet's secrets cannot be read: {why}")),
        }
    }
}
