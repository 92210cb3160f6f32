//! The store as the conformance suite wants it: empty, bare and behind the layers, in a database of its own
//! that is dropped afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mongodb::Client;
use sandclock_backend_mongo::{MongoConfig, connect};
use sandclock_core::backend::Records;
use sandclock_core::backend::layer::{Observer, Retry};
use sandclock_testkit::conformance::{RecordsBackend, RecordsEnv};
use sandclock_testkit::services::Mongo;

/// A database that nobody else uses.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) config: MongoConfig,
}

impl Own {
    pub(crate) fn new() -> Self {
        Self::at(Mongo::replica_set().uri)
    }

    fn at(uri: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut config = MongoConfig::new(uri);
        config.database = format!("case_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        // Much waits for two processors while all cases run at once.
        config.call_timeout = Duration::from_secs(60);
        config.connect_timeout = Duration::from_secs(60);
        Self { config }
    }

    pub(crate) async fn open(&self) -> Records {
        connect(&self.config).await.expect("connect")
    }

    /// A driver's own view.
    pub(crate) async fn raw(&self) -> mongodb::Database {
        let client = Client::with_uri_str(&self.config.uri)
            .await
            .expect("a client");
        client.database(&self.config.database)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let (uri, name) = (self.config.uri.clone(), self.config.database.clone());
        // The runtime of the case is about to end.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let client = Client::with_uri_str(uri).await.expect("a client");
                client.database(&name).drop().await.expect("drop");
            });
        });
        // What it panicked with has been printed.
        let _ended = dropping.join();
    }
}

async fn env(own: Own) -> RecordsEnv {
    RecordsEnv {
        store: own.open().await,
        keep: Arc::new(own),
    }
}

/// Makes empty stores on a replica set.
#[derive(Debug)]
pub(crate) struct Fresh;

impl RecordsBackend for Fresh {
    async fn fresh() -> RecordsEnv {
        env(Own::new()).await
    }
}

/// Makes empty stores on a single server that refuses to look at every document.
#[derive(Debug)]
pub(crate) struct Single;

impl RecordsBackend for Single {
    async fn fresh() -> RecordsEnv {
        env(Own::at(Mongo::single().uri)).await
    }
}

/// Makes empty stores behind the layers that the product puts there.
#[derive(Debug)]
pub(crate) struct Layered;

impl RecordsBackend for Layered {
    async fn fresh() -> RecordsEnv {
        const RETRY: Retry = Retry::within(Duration::from_secs(1));
        let env = Fresh::fresh().await;
        RecordsEnv {
            store: env.store.behind(&RETRY).behind(&Observer::new()),
            ..env
        }
    }
}
