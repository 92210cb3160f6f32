//! The three standard plugins, as they are shipped, on this host.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use sandclock_core::policy::Streak;
use sandclock_core::ports::Hooks;
use sandclock_core::run::RunState;
use sandclock_hooks::{Hook, KnownSecrets, PluginHost};
use serde_json::json;

use crate::fixture::{Dice, artifact, cut, ended, fifty_runs, host, redacted, run_with};

const NAMES: [&str; 3] = ["timeout-ladder", "redact-secrets", "webhook-alert"];

async fn standard(secrets: &KnownSecrets) -> PluginHost {
    let host = host(secrets);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/artifacts");
    for name in NAMES {
        let bytes = std::fs::read(folder.join(format!("{name}.wasm"))).expect("the artifact");
        host.install(artifact(name, bytes)).await.expect("installs");
    }
    host
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_has_its_hook_and_checks_its_configuration() {
    let host = standard(&KnownSecrets::new()).await;
    let hooks: Vec<Vec<Hook>> = host.list().into_iter().map(|info| info.hooks).collect();
    let with_lifecycle = |hook| vec![hook, Hook::Lifecycle];
    let expected = [Hook::OutputRedaction, Hook::TimeoutPolicy, Hook::RunEnd];
    assert_eq!(hooks, expected.map(with_lifecycle));
    for name in NAMES {
        assert_eq!(host.check_binding(name, &json!({})).await, Ok(()), "{name}");
        let wrong = json!({ "no_such_key": 1 });
        let error = host.check_binding(name, &wrong).await.expect_err("refused");
        let told = format!("config of plugin {name:?}: config.no_such_key: unknown field ");
        assert!(error.to_string().starts_with(&told), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_follows_the_history() {
    let host = standard(&KnownSecrets::new()).await;
    let config = json!({ "floor_ms": 1000, "factor": 2.0, "quantile": "p95", "min_runs": 5 });
    let run = run_with(&[("timeout-ladder", config)]);
    let policy = host.before_run(&run, &fifty_runs(), None).await;
    assert_eq!(policy.limit, Some(Duration::from_secs(12)), "{policy:?}");
    assert!(
        policy
            .warn
            .is_some_and(|warn| warn < Duration::from_secs(12))
    );
    assert!(!policy.notes[0].failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_passes_by_plugins_that_do_not_redact() {
    let host = standard(&KnownSecrets::new()).await;
    let run = run_with(&[("timeout-ladder", json!({})), ("webhook-alert", json!({}))]);
    let (shown, notes) = redacted(&host, &run, [b"abc".as_slice()]).await;
    assert_eq!((shown.as_str(), notes), ("abc", Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_hidden_however_the_output_is_cut() {
    let secrets = KnownSecrets::new();
    secrets
        .learn("DB", b"correct horse battery")
        .expect("can be masked");
    let host = standard(&secrets).await;
    let run = run_with(&[("redact-secrets", json!({ "words": ["internal-name"] }))]);
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END RSA PRIVATE KEY-----";
    let text = format!(
        "aws AKIAIOSFODNN7EXAMPLE and internal-name\n{key}\nthe correct horse battery\nplain\n"
    );
    let (whole, notes) = redacted(&host, &run, [text.as_bytes()]).await;
    for hidden in ["AKIA", "internal-name", "MIIE", "horse"] {
        assert!(!whole.contains(hidden), "{hidden} in {whole}");
    }
    assert!(
        whole.contains("[secret:DB]") && whole.ends_with("plain\n"),
        "{whole}"
    );
    assert!(!notes[0].failed, "{notes:?}");
    for seed in 0..20 {
        let pieces = cut(&mut Dice::new(seed), text.as_bytes(), 9);
        assert_eq!(redacted(&host, &run, pieces).await.0, whole, "seed {seed}");
    }
    assert_eq!(
        redacted(&host, &run, text.as_bytes().chunks(1)).await.0,
        whole
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_and_a_recovery_are_told() {
    let host = standard(&KnownSecrets::new()).await;
    let run = run_with(&[("webhook-alert", json!({ "target": "ops" }))]);
    let failed = ended(&run, RunState::Failed);
    let drafts = host
        .after_run(&failed, &Bytes::from_static(b"last words"))
        .await;
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].target, "ops");
    let body = String::from_utf8_lossy(&drafts[0].body);
    assert!(
        body.contains("nightly/backup") && body.contains("last words"),
        "{body}"
    );

    let mut recovered = ended(&run, RunState::Succeeded);
    recovered.streak_before = Streak {
        last: Some(RunState::Failed),
        failures: 1,
    };
    assert_eq!(host.after_run(&recovered, &Bytes::new()).await.len(), 1);
    let fine = ended(&run, RunState::Succeeded);
    assert_eq!(host.after_run(&fine, &Bytes::new()).await, []);
}
