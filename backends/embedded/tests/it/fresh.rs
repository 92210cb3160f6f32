//! The store as the conformance suite wants it: empty, with powers, bare and behind the layers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sandclock_backend_embedded::Embedded;
use sandclock_core::backend::SessionId;
use sandclock_core::backend::layer::{Observer, Retry};
use sandclock_core::job::JobName;
use sandclock_testkit::conformance::{
    CoordinationBackend, CoordinationEnv, Powers, RecordsBackend, RecordsEnv,
};

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

    async fn break_job(&self, name: &JobName, newer: bool) {
        let broken = self.store.break_job(name, newer);
        broken.await.expect("a record that is none");
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

/// Makes empty stores behind the layers that the product puts there.
#[derive(Debug)]
pub(crate) struct Layered;

const RETRY: Retry = Retry::within(Duration::from_secs(1));

impl CoordinationBackend for Layered {
    async fn fresh() -> CoordinationEnv {
        let env = <Fresh as CoordinationBackend>::fresh().await;
        CoordinationEnv {
            store: env.store.behind(&RETRY).behind(&Observer::new()),
            ..env
        }
    }
}

impl RecordsBackend for Layered {
    async fn fresh() -> RecordsEnv {
        let env = <Fresh as RecordsBackend>::fresh().await;
        RecordsEnv {
            store: env.store.behind(&RETRY).behind(&Observer::new()),
            ..env
        }
    }
}
