//! Plugins that are only monitored: asked, noted and recorded, and nothing follows from what they say.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sandclock_core::ports::Hooks as _;
use sandclock_core::run::RunState;
use sandclock_hooks::mutants::Mutant;
use sandclock_hooks::{FailurePolicy, KnownSecrets, OnTimeoutFailure, PluginHost};
use serde_json::json;

use crate::fixture::{config, ended, install, install_with, limits, redacted, run};
use crate::guests::{DATA, Guest, decision, deliveries, picky};
use crate::recording::Told;

/// A host that monitors these, whom calls are told to, and perhaps a mistake in it.
fn monitoring(names: &[&str], mutant: Option<Mutant>) -> (PluginHost, Arc<Told>) {
    let told = Arc::new(Told::default());
    let mut config = config(&KnownSecrets::new());
    config.recorder = Some(Arc::clone(&told) as _);
    config.mutant = mutant;
    let host = PluginHost::new(config).expect("a host");
    let names = names.iter().map(|name| (*name).to_owned());
    host.monitor(names.collect::<BTreeSet<_>>());
    (host, told)
}

fn deciding(limit_ms: u32) -> Guest {
    Guest {
        decide: format!("(i32.const {DATA})"),
        data: decision(limit_ms, b"why"),
        ..Guest::harmless()
    }
}

fn telling() -> Guest {
    Guest {
        on_end: format!("(i32.const {DATA})"),
        data: deliveries(1, b"ops", b"it failed", b"X-Key-1"),
        ..Guest::harmless()
    }
}

/// The decisions that are noted, and whether each is of a monitored plugin.
fn noted(notes: &[sandclock_core::run::HookNote]) -> Vec<(&str, bool)> {
    let notes = notes.iter();
    notes
        .map(|note| (note.decision.as_str(), note.monitored))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitored_limit_is_noted_and_does_not_hold() {
    let (host, told) = monitoring(&["nine", "gone", "panics"], None);
    install(&host, "five", &deciding(5_000)).await;
    install(&host, "nine", &deciding(9_000)).await;
    let refuses = FailurePolicy {
        timeout_policy: OnTimeoutFailure::FailRun,
        ..FailurePolicy::default()
    };
    install_with(&host, "panics", &Guest::doing("(unreachable)"), refuses).await;
    let policy = limits(&host, &run(&["five", "nine", "panics", "gone"])).await;
    assert_eq!(policy.limit, Some(Duration::from_secs(5)));
    assert_eq!(policy.reason, "why (plugin five)");
    assert_eq!(policy.refuse, None);
    let notes = noted(&policy.notes);
    assert_eq!(
        notes[..2],
        [
            ("limit 5s: why", false),
            ("not enforced: limit 9s: why", true)
        ]
    );
    for (note, says) in policy.notes[2..]
        .iter()
        .zip(["the run is refused", "missing"])
    {
        assert!(note.monitored && note.failed, "{note:?}");
        assert!(note.decision.starts_with("not enforced: "), "{note:?}");
        assert!(note.decision.contains(says), "{note:?}");
    }
    let recorded: Vec<_> = told.all().iter().map(|call| call.monitored).collect();
    assert_eq!(recorded, [false, true, true]);
}

/// Nothing is declared as long as only a monitored plugin has decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_monitored_limit_is_asked_without_it() {
    let (host, told) = monitoring(&["nine"], None);
    install(&host, "nine", &deciding(9_000)).await;
    install(&host, "five", &deciding(5_000)).await;
    limits(&host, &run(&["nine", "five"])).await;
    let asked = serde_json::to_value(&told.all()[1]).expect("JSON");
    assert_eq!(asked["declared_ms"], 30_000);
}

/// What is shown of an output that the plugin would hide, and what is noted.
async fn shown(host: &PluginHost) -> (String, Vec<(String, bool)>) {
    install(host, "picky", &picky()).await;
    let pieces = [b"one X two ".as_slice(), b"XX three\n"];
    let (text, notes) = redacted(host, &run(&["picky"]), pieces).await;
    let notes = noted(&notes).into_iter();
    let notes = notes.map(|(text, monitored)| (text.to_owned(), monitored));
    (text, notes.collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitored_redactor_hides_nothing_and_says_what_it_would() {
    let (host, told) = monitoring(&["picky"], None);
    let (text, notes) = shown(&host).await;
    assert_eq!(text, "one X two XX three\n");
    assert_eq!(notes.len(), 1, "{notes:?}");
    let (decision, monitored) = &notes[0];
    assert!(
        decision.starts_with("not enforced: hid 3 stretches, 3 bytes (") && *monitored,
        "{decision}"
    );
    let all = told.all();
    assert_eq!((all.len(), all[0].monitored), (1, true));
    assert_eq!(all[0].answer["edits"], json!(3));
    let counted = &host.counters()[0];
    assert_eq!((counted.edits, counted.hidden_bytes), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_notices_a_monitor_that_enforces() {
    let (host, _) = monitoring(&["picky"], Some(Mutant::EnforceMonitored));
    let (text, _) = shown(&host).await;
    assert_eq!(text, "one  two  three\n");
}

/// It fails on its output, and what would have been withheld is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitored_redactor_that_fails_withholds_nothing() {
    let (host, _) = monitoring(&["picky", "gone"], None);
    install(&host, "picky", &picky()).await;
    let lines = [b"first X\n".as_slice(), b"card 4111 1111!\n", b"third\n"];
    let (text, notes) = redacted(&host, &run(&["picky", "gone"]), lines).await;
    assert_eq!(text, "first X\ncard 4111 1111!\nthird\n");
    for (decision, monitored) in noted(&notes) {
        assert!(monitored && decision.contains("withheld"), "{decision}");
    }
    assert_eq!(notes.len(), 2);
    assert_eq!(host.counters()[0].withheld_bytes, 0);
}

/// One that a stream is too fast for loses the rest of it, and says so: the stream does not wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitored_redactor_that_does_not_keep_up_says_so() {
    let (host, told) = monitoring(&["slow"], None);
    let spins = Guest {
        scan: "(loop $on (br $on)) (unreachable)".to_owned(),
        ..Guest::harmless()
    };
    install(&host, "slow", &spins).await;
    let pieces = vec![b"some output\n".as_slice(); 10_000];
    let (text, notes) = redacted(&host, &run(&["slow"]), pieces).await;
    assert_eq!(text, "some output\n".repeat(10_000));
    let (decision, monitored) = noted(&notes)[0];
    assert!(
        monitored && decision.contains("did not keep up"),
        "{decision}"
    );
    assert_eq!(told.all(), [], "not of a part of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitored_alert_plugin_tells_nobody() {
    let (host, told) = monitoring(&["tells", "panics", "gone"], None);
    install(&host, "tells", &telling()).await;
    install(&host, "panics", &Guest::doing("(unreachable)")).await;
    let done = ended(&run(&["tells", "panics", "gone"]), RunState::Failed);
    assert_eq!(host.after_run(&done, &Bytes::new()).await, []);
    let all = told.all();
    let wanted: Vec<_> = all.iter().filter(|call| call.monitored).collect();
    assert_eq!(wanted.len(), 2);
    assert_eq!(wanted[0].answer["deliveries"][0]["target"], "ops");
    let failure = wanted[1].answer["error"].as_str().expect("a failure");
    assert!(failure.starts_with("panic"), "{failure}");
    // From its next call on it counts again.
    host.monitor(BTreeSet::new());
    assert_eq!(host.after_run(&done, &Bytes::new()).await.len(), 3);
}
