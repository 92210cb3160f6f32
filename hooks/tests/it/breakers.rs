//! Plugins that fail again and again: they are not called for a while, and what follows from a failure follows from that.

use bytes::Bytes;
use sandclock_core::ports::Hooks as _;
use sandclock_core::run::RunState;
use sandclock_hooks::{BUILT_IN, Hook, KnownSecrets, PluginHost};
use serde_json::{Value, json};

use crate::fixture::{artifact, config, ended, host, install, limits, run, run_with};
use crate::guests::Guest;

/// The configurations with which the plugin is not called.
fn open(host: &PluginHost, hook: Hook) -> u64 {
    let counters = host.counters();
    let breakers = &counters[0].breakers;
    let of_hook = breakers.iter().find(|(of, _)| *of == hook);
    of_hook.map_or(0, |(_, open)| *open)
}

fn panics() -> Guest {
    Guest::doing("(unreachable)")
}

async fn decision(host: &PluginHost, config: &Value) -> String {
    let policy = limits(host, &run_with(&[("p", config.clone())])).await;
    policy.notes[0].decision.clone()
}

/// Asks until the plugin is not called, which is to be expected after five calls, and says what is noted.
async fn until_open(host: &PluginHost) -> String {
    let mut said = String::new();
    for _ in 0..50 {
        said = decision(host, &json!({})).await;
        if said.contains("breaker_open") {
            break;
        }
    }
    assert!(said.contains("breaker_open"), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_traps_is_left_alone_and_the_fallback_holds() {
    let host = host(&KnownSecrets::new());
    install(&host, "p", &panics()).await;
    for _ in 0..4 {
        decision(&host, &json!({})).await;
    }
    assert_eq!(open(&host, Hook::TimeoutPolicy), 0);
    let said = until_open(&host).await;
    assert!(said.starts_with("plugin_fallback: "), "{said}");
    assert!(said.ends_with("the limit stays 30s"), "{said}");
    assert_eq!(open(&host, Hook::TimeoutPolicy), 1);
    assert_eq!(
        host.list()[0].open_breakers,
        [(Hook::TimeoutPolicy, 1)],
        "of this version"
    );
    let other = decision(&host, &json!({ "other": true })).await;
    assert!(other.contains("panic"), "{other}");
    // The same, installed anew, is another one.
    let again = artifact("p", panics().build());
    host.install(again).await.expect("installs");
    assert_eq!(open(&host, Hook::TimeoutPolicy), 0);
    let said = decision(&host, &json!({})).await;
    assert!(said.contains("panic"), "{said}");
}

/// An error in its own words is an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_answers_with_errors_is_called() {
    let host = host(&KnownSecrets::new());
    install(&host, "p", &crate::guests::blabber()).await;
    for _ in 0..10 {
        let said = decision(&host, &json!({})).await;
        assert!(said.contains("plugin_error"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_plugin_that_traps_is_left_alone_and_the_plain_alert_goes_out() {
    let mut config = config(&KnownSecrets::new());
    config.breakers.default.failures = 2;
    let host = PluginHost::new(config).expect("a host");
    install(&host, "p", &panics()).await;
    let done = ended(&run(&["p"]), RunState::Failed);
    for _ in 0..50 {
        let drafts = host.after_run(&done, &Bytes::new()).await;
        assert_eq!((drafts.len(), drafts[0].plugin.as_str()), (1, BUILT_IN));
        let body = String::from_utf8_lossy(&drafts[0].body).into_owned();
        if body.contains("breaker_open: it failed 2 times") {
            assert_eq!(open(&host, Hook::RunEnd), 1);
            return;
        }
    }
    panic!("it is called again and again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_off_lets_every_call_be_made() {
    let mut config = config(&KnownSecrets::new());
    let mut off = config.breakers.default;
    off.enabled = false;
    config.breakers.by_name.insert("p".to_owned(), off);
    let host = PluginHost::new(config).expect("a host");
    install(&host, "p", &panics()).await;
    for _ in 0..20 {
        let said = decision(&host, &json!({})).await;
        assert!(said.contains("panic"), "{said}");
    }
}

/// It is broken for more configurations than are told apart: it is left alone for each of them, and stays so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_with_very_many_configurations_is_left_alone() {
    let mut config = config(&KnownSecrets::new());
    config.breakers.default.failures = 2;
    let host = PluginHost::new(config).expect("a host");
    install(&host, "p", &panics()).await;
    for number in (0..100).chain(0..100) {
        decision(&host, &json!({ "n": number })).await;
    }
    // The first 64 of them, and all others as one.
    assert_eq!(open(&host, Hook::TimeoutPolicy), 65);
}
