//! Plugins that are only monitored: asked, noted and recorded, and nothing follows from what they say.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sandclock_core::job::Job;
use sandclock_core::ports::{Channel, History, Hooks as _};
use sandclock_core::run::RunState;
use sandclock_hooks::mutants::Mutant;
use sandclock_hooks::{FailurePolicy, Hook, KnownSecrets, OnTimeoutFailure, PluginHost};
use serde_json::json;

use crate::fixture::{artifact, config, ended, install, install_with, limits, redacted, run};
use crate::guests::{DATA, Guest, decision, deliveries, picky};
use crate::recording::{Told, once};

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

/// The job declares nothing, and the fleet's default is not declared: a limit that is only monitored is not either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_monitored_limit_is_asked_without_it() {
    let (host, told) = monitoring(&["nine"], None);
    install(&host, "nine", &deciding(9_000)).await;
    install(&host, "five", &deciding(5_000)).await;
    let mut run = run(&["nine", "five"]);
    run.job = Arc::new(Job {
        timeout: None,
        ..Job::clone(&run.job)
    });
    let default_limit = Some(Duration::from_secs(60));
    let asked_with = async || {
        host.before_run(&run, &History::default(), default_limit)
            .await;
        let asked = told.all().pop().expect("a call");
        assert_eq!(asked.plugin, "five");
        let asked = serde_json::to_value(asked).expect("JSON");
        asked["declared_ms"].clone()
    };
    assert_eq!(asked_with().await, json!(null));
    host.monitor(BTreeSet::new());
    assert_eq!(asked_with().await, 9_000);
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

/// Never answers, and says in its log when it begins to.
fn spinning() -> Guest {
    let spins =
        "(call $log (i32.const 1) (i32.const 0) (i32.const 4)) (loop $on (br $on)) (unreachable)";
    Guest::doing(spins)
}

/// Says in its log when a stream begins for an instance.
fn beginning() -> Guest {
    Guest {
        begin: "(call $log (i32.const 1) (i32.const 0) (i32.const 4)) (call $ok_empty)".to_owned(),
        ..Guest::harmless()
    }
}

/// How many lines the plugin has logged.
fn logged(host: &PluginHost, plugin: &str) -> usize {
    let all = host.list();
    let of_name = all.iter().find(|info| info.name == plugin);
    of_name.expect("it is installed").log.len()
}

/// How many calls of the plugin about runs have ended.
fn called(host: &PluginHost, plugin: &str) -> u64 {
    let all = host.counters();
    let of_name = all.iter().find(|counted| counted.plugin == plugin);
    let calls = &of_name.expect("it is installed").calls;
    let of_runs = calls.iter().filter(|call| call.hook != Hook::Lifecycle);
    of_runs.map(|call| call.count).sum()
}

/// As many threads as a host has at least, and many streams on which a monitored plugin never answers: the output of
/// another is shown while its first calls go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitored_redactor_takes_no_thread_from_those_that_count() {
    let mut config = config(&KnownSecrets::new());
    config.threads = 2;
    config.limits.redaction_scan.cpu = Duration::from_secs(5);
    let host = PluginHost::new(config).expect("a host");
    host.monitor(BTreeSet::from(["spins".to_owned()]));
    install(&host, "spins", &spinning()).await;
    install(&host, "counts", &picky()).await;
    let mut beside = Vec::new();
    for _ in 0..8 {
        let mut redactor = host.redactor(&run(&["spins"]), Channel::Combined).await;
        redactor.push(Bytes::from_static(b"some output\n")).await;
        beside.push(redactor);
    }
    while logged(&host, "spins") == 0 {
        tokio::task::yield_now().await;
    }
    let (text, _) = redacted(&host, &run(&["counts"]), [b"one X two\n".as_slice()]).await;
    assert_eq!(text, "one  two\n");
    assert_eq!(called(&host, "spins"), 0, "it waited for one of them");
}

/// More streams than instances are kept have a monitored plugin: one that counts has its instance kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitored_redactor_takes_no_kept_instance() {
    let (host, _) = monitoring(&["picky"], None);
    install(&host, "picky", &picky()).await;
    install(&host, "begins", &beginning()).await;
    let mut beside = Vec::new();
    for _ in 0..100 {
        beside.push(host.redactor(&run(&["picky"]), Channel::Combined).await);
    }
    let lines = [b"one\n".as_slice(), b"two\n", b"three\n"];
    let (text, _) = redacted(&host, &run(&["begins"]), lines).await;
    assert_eq!(text, "one\ntwo\nthree\n");
    assert_eq!(logged(&host, "begins"), 1);
}

/// Those that count have decided about all of the output while the monitored one is at its first call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_stream_does_not_wait_for_a_monitored_redactor_that_is_behind() {
    let mut config = config(&KnownSecrets::new());
    config.limits.redaction_scan.cpu = Duration::from_millis(250);
    let host = PluginHost::new(config).expect("a host");
    host.monitor(BTreeSet::from(["spins".to_owned()]));
    install(&host, "spins", &spinning()).await;
    install(&host, "counts", &picky()).await;
    let mut redactor = host
        .redactor(&run(&["spins", "counts"]), Channel::Combined)
        .await;
    for _ in 0..30 {
        redactor.push(Bytes::from_static(b"one X two\n")).await;
    }
    let finished = redactor.finish().await;
    assert!(finished.bytes().ends_with(b"\n"));
    assert_eq!(called(&host, "spins"), 0);
}

/// An alert plugin that never answers does not hold up the alerts of another: they are there before any of its calls ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_do_not_wait_for_a_monitored_plugin() {
    let told = Arc::new(Told::default());
    let mut config = config(&KnownSecrets::new());
    config.recorder = Some(Arc::clone(&told) as _);
    let host = PluginHost::new(config).expect("a host");
    host.monitor(BTreeSet::from(["spins".to_owned()]));
    install(&host, "spins", &spinning()).await;
    install(&host, "tells", &telling()).await;
    let done = ended(&run(&["spins", "tells"]), RunState::Failed);
    let drafts = host.after_run(&done, &Bytes::new()).await;
    assert_eq!((drafts.len(), drafts[0].plugin.as_str()), (1, "tells"));
    assert_eq!(called(&host, "spins"), 0);
    let all = once(&host, &told, 2).await;
    let late = all.iter().find(|call| call.monitored).expect("recorded");
    assert_eq!(late.plugin, "spins");
    let failure = late.answer["error"].as_str().expect("a failure");
    assert!(failure.contains("deadline"), "{failure}");
}

/// The version beside a monitored plugin is asked what that was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_of_a_monitored_alert_plugin_is_asked() {
    let (host, told) = monitoring(&["tells"], None);
    install(&host, "tells", &telling()).await;
    let shadow = artifact("tells", Guest::harmless().build());
    host.shadow(shadow).await.expect("a shadow");
    let done = ended(&run(&["tells"]), RunState::Failed);
    assert_eq!(host.after_run(&done, &Bytes::new()).await, []);
    let all = once(&host, &told, 1).await;
    assert!(all[0].monitored);
    assert_eq!(all[0].answer["deliveries"][0]["target"], "ops");
    let beside = all[0].shadow.as_ref().expect("it was asked");
    assert_eq!(beside.answer["deliveries"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitored_alert_plugin_tells_nobody() {
    let (host, told) = monitoring(&["tells", "panics", "gone"], None);
    install(&host, "tells", &telling()).await;
    install(&host, "panics", &Guest::doing("(unreachable)")).await;
    let done = ended(&run(&["tells", "panics", "gone"]), RunState::Failed);
    assert_eq!(host.after_run(&done, &Bytes::new()).await, []);
    let mut all = once(&host, &told, 2).await;
    all.sort_by(|one, other| other.plugin.cmp(&one.plugin));
    assert!(all.iter().all(|call| call.monitored));
    assert_eq!(all[0].answer["deliveries"][0]["target"], "ops");
    let failure = all[1].answer["error"].as_str().expect("a failure");
    assert!(failure.starts_with("panic"), "{failure}");
    // From its next call on it counts again.
    host.monitor(BTreeSet::new());
    assert_eq!(host.after_run(&done, &Bytes::new()).await.len(), 3);
}
