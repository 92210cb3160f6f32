//! The backend as the conformance suite wants it: below prefixes of its own, with powers, bare and behind the
//! layers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Client, GetOptions};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sandclock_backend_etcd::{EtcdConfig, GoKeys, Guard, connect, connect_without};
use sandclock_core::backend::SessionId;
use sandclock_core::backend::layer::{Observer, Retry};
use sandclock_core::job::JobName;
use sandclock_testkit::conformance::{CoordinationBackend, CoordinationEnv, Powers};
use sandclock_testkit::services::{Etcd, Proxy};
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};

/// What keys of ours write otherwise of a name.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// All cases share one server, and a compaction forgets everybody's history. So it waits until no other case
/// is under way.
static HISTORY: LazyLock<Arc<RwLock<()>>> = LazyLock::new(Arc::default);

/// Prefixes that no other case of this binary has.
pub(crate) fn config() -> EtcdConfig {
    static CASES: AtomicU64 = AtomicU64::new(0);
    let case = CASES.fetch_add(1, Ordering::Relaxed);
    let go = |kind: &str| format!("/{case}/cron/{kind}/");
    EtcdConfig {
        prefix: format!("/{case}/sandclock/"),
        go: GoKeys {
            jobs: go("jobs"),
            locks: go("lock"),
            kills: go("killer"),
            workers: go("workers"),
        },
        ..EtcdConfig::at([Etcd::shared().address])
    }
}

/// The same, where Go workers run the same jobs.
pub(crate) fn beside_go() -> EtcdConfig {
    EtcdConfig {
        beside_go: true,
        ..config()
    }
}

/// A client that shares nothing with the backend.
pub(crate) async fn raw() -> Client {
    let client = Client::connect([Etcd::shared().address], None).await;
    client.expect("connect")
}

/// What a test can do to the store behind its back.
#[derive(Debug)]
struct Server {
    prefix: String,
    /// Where the jobs of this case stand.
    jobs: String,
    proxy: Proxy,
    under_way: Mutex<Option<OwnedRwLockReadGuard<()>>>,
}

#[async_trait]
impl Powers for Server {
    async fn expire(&self, session: &SessionId) {
        let mut client = raw().await;
        let key = format!("{}session/{session}", self.prefix);
        let found = client.get(key, None).await.expect("get");
        if let Some(kv) = found.kvs().first() {
            client.lease_revoke(kv.lease()).await.expect("revoke");
        }
    }

    async fn disturb(&self) {
        self.proxy.cut();
    }

    async fn break_job(&self, name: &JobName, newer: bool) {
        let value = match newer {
            true => r#"{"name":"x","command":"true","cronExpr":"","sandclock":{"v":99}}"#,
            false => "{",
        };
        let key = match (self.jobs.starts_with(&self.prefix), name.as_str()) {
            (false, name) => format!("{}{name}", self.jobs),
            (true, "") => format!("{}%", self.jobs),
            (true, name) => {
                format!("{}{}", self.jobs, utf8_percent_encode(name, ESCAPED))
            }
        };
        raw().await.put(key, value, None).await.expect("put");
    }

    async fn forget_history(&self) {
        let mut under_way = self.under_way.lock().await;
        *under_way = None;
        let alone = Arc::clone(&HISTORY).write_owned().await;
        let mut client = raw().await;
        let nothing = GetOptions::new().with_count_only();
        let now = client.get("/", Some(nothing)).await.expect("get");
        let revision = now.header().expect("header").revision();
        client.compact(revision, None).await.expect("compact");
        *under_way = Some(alone.downgrade());
    }
}

/// Makes empty stores.
#[derive(Debug)]
pub(crate) struct Fresh;

/// An empty place for a store, behind a proxy of its own.
async fn place() -> (EtcdConfig, Arc<Server>) {
    place_of(config()).await
}

async fn place_of(config: EtcdConfig) -> (EtcdConfig, Arc<Server>) {
    let under_way = Arc::clone(&HISTORY).read_owned().await;
    let proxy = Proxy::to(Etcd::shared().address).await;
    let server = Server {
        prefix: config.prefix.clone(),
        jobs: match config.go_defaults.time_zone.as_str() {
            "UTC" => config.go.jobs.clone(),
            _ => format!("{}jobs/", config.prefix),
        },
        under_way: Mutex::new(Some(under_way)),
        proxy,
    };
    let config = EtcdConfig {
        endpoints: vec![server.proxy.address()],
        ..config
    };
    (config, Arc::new(server))
}

impl CoordinationBackend for Fresh {
    async fn fresh() -> CoordinationEnv {
        let (config, powers) = place().await;
        let store = connect(config).await.expect("connect");
        CoordinationEnv { store, powers }
    }
}

/// An empty store that lacks a guard.
pub(crate) async fn without(guard: Guard) -> CoordinationEnv {
    let (config, powers) = place().await;
    let store = connect_without(config, guard).await.expect("connect");
    CoordinationEnv { store, powers }
}

/// Makes empty stores beside a Go fleet in another zone than that of the suite's jobs, which so stand apart.
#[derive(Debug)]
pub(crate) struct Apart;

impl CoordinationBackend for Apart {
    async fn fresh() -> CoordinationEnv {
        let mut config = config();
        config.go_defaults.time_zone = "Asia/Tokyo".to_owned();
        let (config, powers) = place_of(config).await;
        let store = connect(config).await.expect("connect");
        CoordinationEnv { store, powers }
    }
}

/// Makes empty stores behind the layers that the product puts there.
#[derive(Debug)]
pub(crate) struct Layered;

const RETRY: Retry = Retry::within(Duration::from_secs(5));

impl CoordinationBackend for Layered {
    async fn fresh() -> CoordinationEnv {
        let env = Fresh::fresh().await;
        CoordinationEnv {
            store: env.store.behind(&RETRY).behind(&Observer::new()),
            ..env
        }
    }
}
