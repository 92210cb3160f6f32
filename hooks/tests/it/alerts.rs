//! Messages after a run: masked, and never lost with the plugin that should have made them.

use bytes::Bytes;
use sandclock_core::policy::Streak;
use sandclock_core::ports::Hooks;
use sandclock_core::run::RunState;
use sandclock_hooks::{BUILT_IN, KnownSecrets};
use serde_json::json;

use crate::fixture::{ended, host, install, run, run_with};
use crate::guests::{DATA, Guest, blabber, deliveries};

fn telling(data: Vec<u8>) -> Guest {
    Guest {
        on_end: format!("(i32.const {DATA})"),
        data,
        ..Guest::harmless()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_keep_their_order_and_lose_their_secrets() {
    let secrets = KnownSecrets::new();
    secrets.learn("KEY", b"hunter22").expect("can be masked");
    let host = host(&secrets);
    let data = deliveries(2, b"ops", b"the key is hunter22", b"X-Key-hunter22");
    install(&host, "tells", &telling(data)).await;
    let done = ended(&run(&["tells"]), RunState::Failed);
    let drafts = host.after_run(&done, &Bytes::new()).await;
    let indices: Vec<u32> = drafts.iter().map(|draft| draft.index).collect();
    assert_eq!(indices, [0, 1]);
    assert_eq!(drafts[0].body, "the key is [secret:KEY]");
    assert!(!format!("{drafts:?}").contains("hunter22"));
}

/// Job, run, plugin and index are what an alert is recognised by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_bound_twice_tells_twice() {
    let host = host(&KnownSecrets::new());
    let data = deliveries(2, b"ops", b"it failed", b"X-Key-1");
    install(&host, "tells", &telling(data)).await;
    let done = ended(&run(&["tells", "tells"]), RunState::Failed);
    let drafts = host.after_run(&done, &Bytes::new()).await;
    let mut indices: Vec<u32> = drafts.iter().map(|draft| draft.index).collect();
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), 4, "{indices:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plain_alert_is_masked_too() {
    let secrets = KnownSecrets::new();
    secrets.learn("KEY", b"hunter22").expect("can be masked");
    let host = host(&secrets);
    install(&host, "blabber", &blabber()).await;
    let bound = run_with(&[("blabber", json!({ "key": "hunter22" }))]);
    let mut done = ended(&bound, RunState::TimedOut);
    done.outcome.cause = "ended by its limit, hunter22".to_owned();
    let drafts = host.after_run(&done, &Bytes::new()).await;
    let body = String::from_utf8_lossy(&drafts[0].body);
    assert!(
        body.contains("timed_out") && body.contains("plugin_error"),
        "{body}"
    );
    assert!(!format!("{drafts:?}").contains("hunter22"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_that_a_plugin_cannot_tell_is_told_plainly() {
    let host = host(&KnownSecrets::new());
    install(&host, "panics", &Guest::doing("(unreachable)")).await;
    let mut done = ended(&run(&["panics"]), RunState::Succeeded);
    done.streak_before = Streak {
        last: Some(RunState::Failed),
        failures: 2,
    };
    let drafts = host.after_run(&done, &Bytes::new()).await;
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].plugin, BUILT_IN);
}

#[tokio::test]
async fn nobody_asks_plugins_about_a_run_without_a_definition() {
    let host = host(&KnownSecrets::new());
    let mut done = ended(&run(&["gone"]), RunState::Missed);
    done.pinned = None;
    assert_eq!(host.after_run(&done, &Bytes::new()).await, []);
}
