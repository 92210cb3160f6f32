//! The store as the conformance suite wants it: empty, and with powers.

use async_trait::async_trait;
use sandclock_backend_embedded::Embedded;
use sandclock_core::backend::SessionId;
use sandclock_testkit::conformance::{
    CoordinationBackend, CoordinationEnv, Powers, RecordsBackend, RecordsEnv,
};
use std::sync::Arc;

use crate::scene::Home;

/// Makes empty stores.
#[derive(Debug)]
pub(crate) struct Fresh;

/// A store and its folder. The folder goes after the store.
#[derive(Debug)]
struct Kept {
    store: Embedded,
    _home: Home,
}

fn fresh() -> Kept {
    let home = Home::new();
    Kept {
        store: home.open(),
        _home: home,
    }
}

#[async_trait]
impl Powers for Kept {
    async fn expire(&self, session: &SessionId) {
        self.store.expire(session);
    }

    async fn disturb(&self) {
        self.store.drop_watches();
    }

    async fn forget_history(&self) {
        self.store.compact().await.expect("compact");
    }
}

impl CoordinationBackend for Fresh {
    async fn fresh() -> CoordinationEnv {
        let kept = fresh();
        CoordinationEnv {
            store: kept.store.coordination(),
            powers: Arc::new(kept),
        }
    }
}

impl RecordsBackend for Fresh {
    async fn fresh() -> RecordsEnv {
        let kept = fresh();
        RecordsEnv {
            store: kept.store.records(),
            keep: Arc::new(kept),
        }
    }
}
