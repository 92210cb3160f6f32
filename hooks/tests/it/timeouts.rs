//! Limits of a run: what plugins decide, in order and within the operator's bounds.

use std::time::Duration;

use sandclock_hooks::{KnownSecrets, PluginHost};

use crate::fixture::{config, host, install, limits, run};
use crate::guests::{Guest, decision};

fn deciding(limit_ms: u32) -> Guest {
    let decide = format!("(i32.const {})", crate::guests::DATA);
    Guest {
        decide,
        data: decision(limit_ms, b"why"),
        ..Guest::harmless()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_plugin_has_the_last_word_and_each_is_noted() {
    let host = host(&KnownSecrets::new());
    install(&host, "keeps", &Guest::harmless()).await;
    install(&host, "five", &deciding(5_000)).await;
    install(&host, "nine", &deciding(9_000)).await;
    let policy = limits(&host, &run(&["five", "nine", "keeps"])).await;
    assert_eq!(policy.limit, Some(Duration::from_secs(9)));
    assert_eq!(policy.reason, "why (plugin nine)");
    let notes: Vec<&str> = policy
        .notes
        .iter()
        .map(|note| note.decision.as_str())
        .collect();
    assert_eq!(
        notes,
        ["limit 5s: why", "limit 9s: why", "keeps what holds"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_are_brought_within_the_bounds() {
    let mut config = config(&KnownSecrets::new());
    config.bounds.min = Duration::from_secs(2);
    config.bounds.max = Some(Duration::from_secs(20));
    let host = PluginHost::new(config).expect("a host");
    install(&host, "none", &deciding(0)).await;
    install(&host, "long", &deciding(u32::MAX)).await;
    assert_eq!(
        limits(&host, &run(&["none"])).await.limit,
        Some(Duration::from_secs(2))
    );
    assert_eq!(
        limits(&host, &run(&["long"])).await.limit,
        Some(Duration::from_secs(20))
    );
    let declared = limits(&host, &run(&[])).await;
    assert_eq!(declared.limit, Some(Duration::from_secs(20)));
    assert_eq!(declared.reason, "the longest limit allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_not_there_changes_nothing_and_is_noted() {
    let host = host(&KnownSecrets::new());
    let policy = limits(&host, &run(&["gone"])).await;
    assert_eq!(policy.limit, Some(Duration::from_secs(30)));
    assert!(policy.notes[0].failed);
    assert!(
        policy.notes[0].decision.contains("not installed"),
        "{policy:?}"
    );
}
