//! Leases that time many small keys at once.
//!
//! One lease per key would burden etcd, and one lease for all would end them together: 3.4 collapses when a
//! lease with tens of thousands of keys ends. So a lease is shared by at most [`KEYS`] keys that were written
//! within [`SHARED_FOR`]; each lives for the time asked for, and at most that much longer.

use std::time::Duration;

use sandclock_core::ErrorKind;
use sandclock_core::backend::Result;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client::Client;

/// The most keys of one lease.
const KEYS: u32 = 500;

/// How long a lease takes on further keys.
const SHARED_FOR: Duration = Duration::from_secs(3600);

/// Lends leases of one duration.
#[derive(Debug)]
pub(crate) struct Leases {
    life: Duration,
    current: Mutex<Option<Shared>>,
}

#[derive(Debug)]
struct Shared {
    id: i64,
    keys: u32,
    since: Instant,
}

impl Leases {
    /// Leases that last at least `life`.
    pub(crate) fn lasting(life: Duration) -> Self {
        Self {
            life,
            current: Mutex::default(),
        }
    }

    /// A lease for one more key.
    pub(crate) async fn take(&self, client: &Client, op: &'static str) -> Result<i64> {
        let mut current = self.current.lock().await;
        if let Some(shared) = current.as_mut()
            && shared.keys < KEYS
            && shared.since.elapsed() < SHARED_FOR
        {
            shared.keys += 1;
            return Ok(shared.id);
        }
        let (id, _) = client.grant(op, self.life + SHARED_FOR).await?;
        *current = Some(Shared {
            id,
            keys: 1,
            since: Instant::now(),
        });
        Ok(id)
    }

    /// The answer to a call that used a lease. A lease that turns out to be gone is lent no more, and the call can
    /// be repeated: etcd has refused it.
    pub(crate) async fn checked<T>(&self, lease: i64, answer: Result<T>) -> Result<T> {
        let mut error = match answer {
            Err(error) if error.kind == ErrorKind::NotFound => error,
            answer => return answer,
        };
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|shared| shared.id == lease) {
            *current = None;
        }
        error.kind = ErrorKind::Unavailable;
        Err(error)
    }
}
