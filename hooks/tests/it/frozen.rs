//! Plugins as they were built for contract 0.1.0, on the host of today. Also compiled into `tests/later`, whose host
//! speaks a contract that has grown.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::ports::{Hooks, HttpAnswer, HttpAsk, HttpTargets};
use sandclock_core::run::{RunKey, RunState};
use sandclock_hooks::{Artifact, Effects, Grant, Grants, KnownSecrets, Manifest, PluginHost};
use serde_json::json;
use tokio::runtime::Handle;

use crate::fixture::{NOW, artifact, config, ended, fifty_runs, redacted, run_with};

/// An artifact that will never be built again.
fn frozen(name: &str) -> Artifact {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/0.1.0");
    let bytes = std::fs::read(folder.join(format!("{name}.wasm"))).expect("it is kept");
    artifact(name, bytes)
}

/// None of these plugins asks for targets.
#[derive(Debug)]
struct NoTargets;

#[async_trait]
impl HttpTargets for NoTargets {
    async fn send(&self, _: &HttpAsk) -> Result<HttpAnswer, String> {
        Err("denied: there are none".to_owned())
    }
}

async fn host_of(name: &str) -> PluginHost {
    let mut config = config(&KnownSecrets::new());
    let kv = Grant {
        kv: true,
        ..Grant::default()
    };
    config.grants = Grants::ByName([(name.to_owned(), kv)].into());
    config.effects = Some(Effects {
        kv: MemoryStore::new().records().kv,
        http: Arc::new(NoTargets),
        runtime: Handle::current(),
    });
    let host = PluginHost::new(config).expect("a host");
    host.install(frozen(name)).await.expect("installs");
    host
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_decided() {
    let host = host_of("timeout-ladder").await;
    let run = run_with(&[("timeout-ladder", json!({ "floor_ms": 1000, "factor": 2.0 }))]);
    let policy = host.before_run(&run, &fifty_runs(), None).await;
    assert_eq!(policy.limit, Some(Duration::from_secs(12)), "{policy:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_is_redacted_and_a_wrong_configuration_refused() {
    let host = host_of("redact-secrets").await;
    let run = run_with(&[("redact-secrets", json!({ "words": ["open sesame"] }))]);
    let pieces = [
        b"say open".as_slice(),
        b" sesame, AKIA",
        b"IOSFODNN7EXAMPLE\n",
    ];
    let (shown, _) = redacted(&host, &run, pieces).await;
    assert_eq!(shown, "say [redacted:word], [redacted:aws-key]\n");
    let wrong = json!({ "words": 7 });
    let checked = host.check_binding("redact-secrets", &wrong).await;
    let told = checked.expect_err("refused").to_string();
    assert!(told.contains("config.words: invalid type"), "{told}");
}

/// It keeps what it counts, so that it has an import more than most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_written_with_what_was_kept() {
    let host = host_of("storm-alert").await;
    let asks = Manifest::of(&frozen("storm-alert").bytes).expect("readable");
    assert!(asks.is_some_and(|manifest| manifest.capabilities.kv));
    let run = run_with(&[("storm-alert", json!({ "failures": 2, "target": "ops" }))]);
    let first = ended(&run, RunState::Failed);
    assert_eq!(host.after_run(&first, &Bytes::new()).await, []);
    let mut second = first;
    second.key = RunKey::Tick(NOW.plus(Duration::from_secs(60)));
    let drafts = host.after_run(&second, &Bytes::new()).await;
    let [draft] = &drafts[..] else {
        panic!("{drafts:?}");
    };
    assert_eq!(draft.target, "ops");
    let body = String::from_utf8_lossy(&draft.body);
    assert!(body.starts_with("2 runs have failed"), "{body}");
}
