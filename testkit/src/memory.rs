//! The reference model as a backend under test; the pattern for every other one.

use std::sync::Arc;

use async_trait::async_trait;
use sandclock_core::backend::SessionId;
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::job::JobName;

use crate::conformance::{
    CoordinationBackend, CoordinationEnv, Powers, RecordsBackend, RecordsEnv,
};

/// The reference model.
#[derive(Debug)]
pub struct Memory;

#[async_trait]
impl Powers for MemoryStore {
    async fn expire(&self, session: &SessionId) {
        Self::expire(self, session);
    }

    async fn disturb(&self) {
        self.drop_watches();
    }

    async fn forget_history(&self) {
        self.compact();
    }

    async fn break_job(&self, name: &JobName, newer: bool) {
        Self::break_job(self, name, newer);
    }
}

/// The contracts of coordination of this store.
pub fn coordination(store: &Arc<MemoryStore>) -> CoordinationEnv {
    CoordinationEnv {
        store: store.coordination(),
        powers: Arc::<MemoryStore>::clone(store),
    }
}

impl CoordinationBackend for Memory {
    async fn fresh() -> CoordinationEnv {
        coordination(&MemoryStore::new())
    }
}

impl RecordsBackend for Memory {
    async fn fresh() -> RecordsEnv {
        RecordsEnv {
            store: MemoryStore::new().records(),
            keep: Arc::new(()),
        }
    }
}
