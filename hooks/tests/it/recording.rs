//! What is recorded of calls: questions and answers that can be asked again, of shadows too, and nothing that is secret.

use std::sync::{Arc, Mutex};

use sandclock_core::backend::Recording;
use sandclock_core::ports::Hooks as _;
use sandclock_core::run::RunState;
use sandclock_hooks::recording::Question;
use sandclock_hooks::{KnownSecrets, PluginHost, RecordedCall, Recorder};
use serde_json::json;
use tokio::sync::Notify;

use crate::fixture::{artifact, config, ended, install, limits, redacted, run, run_with};
use crate::guests::{Guest, decision};

/// Keeps what it is told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    calls: Mutex<Vec<Recording>>,
    news: Notify,
}

impl Recorder for Told {
    fn record(&self, recording: Recording) {
        self.calls.lock().expect("not poisoned").push(recording);
        self.news.notify_one();
    }
}

impl Told {
    pub(crate) fn all(&self) -> Vec<RecordedCall> {
        let calls = self.calls.lock().expect("not poisoned");
        let read = |call: &Recording| RecordedCall::read(&call.body).expect("readable");
        calls.iter().map(read).collect()
    }

    /// All of them, once there are so many.
    async fn once(&self, count: usize) -> Vec<RecordedCall> {
        loop {
            let all = self.all();
            if all.len() >= count {
                return all;
            }
            self.news.notified().await;
        }
    }
}

/// All calls, once there are so many; shadows are asked meanwhile.
pub(crate) async fn once(host: &PluginHost, told: &Told, count: usize) -> Vec<RecordedCall> {
    tokio::select! {
        biased;
        () = host.ask_shadows() => panic!("shadows are asked for ever"),
        all = told.once(count) => all,
    }
}

fn host(secrets: &KnownSecrets) -> (PluginHost, Arc<Told>) {
    let told = Arc::new(Told::default());
    let mut config = config(secrets);
    config.recorder = Some(Arc::clone(&told) as _);
    (PluginHost::new(config).expect("a host"), told)
}

/// Decides on a limit.
fn deciding(limit_ms: u32, reason: &[u8]) -> Guest {
    Guest {
        decide: format!("(i32.const {})", crate::guests::DATA),
        data: decision(limit_ms, reason),
        ..Guest::harmless()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_is_recorded_with_what_it_was_about() {
    let (host, told) = host(&KnownSecrets::new());
    install(&host, "five", &deciding(5_000, b"why")).await;
    let run = run_with(&[("five", json!({ "factor": 2 })), ("five", json!(null))]);
    limits(&host, &run).await;
    host.after_run(&ended(&run, RunState::Failed), &"the end".into())
        .await;
    redacted(&host, &run, [&b"some output"[..]]).await;
    let all = told.all();
    let hooks: Vec<_> = all
        .iter()
        .map(|call| call.question.hook().as_str())
        .collect();
    let twice = ["timeout-policy", "run-end", "output-redaction"].map(|hook| [hook; 2]);
    assert_eq!(hooks, twice.concat());
    let ids = told.calls.lock().expect("not poisoned").clone();
    let ids: std::collections::BTreeSet<_> = ids.into_iter().map(|call| call.id).collect();
    assert_eq!(ids.len(), 6, "{ids:?}");
    assert_eq!(all[0].config, json!({ "factor": 2 }));
    assert_eq!(all[0].answer["limit_ms"], 5_000);
    assert_eq!(
        (all[0].run.job.as_str(), all[0].run.worker.as_str()),
        ("nightly/backup", "w1")
    );
    // The second is asked about what the first has decided.
    let declared = |call: &RecordedCall| match &call.question {
        Question::TimeoutPolicy { declared_ms, .. } => *declared_ms,
        _ => None,
    };
    assert_eq!(
        (declared(&all[0]), declared(&all[1])),
        (Some(30_000), Some(5_000))
    );
    let Question::RunEnd { end } = &all[2].question else {
        panic!("{:?}", all[2])
    };
    assert_eq!(
        (end.state.as_str(), end.output_tail.as_str()),
        ("failed", "the end")
    );
    let streamed = serde_json::to_string(&all[4]).expect("JSON");
    assert!(!streamed.contains("some output"), "{streamed}");
    assert_eq!(all[4].answer, json!({ "edits": 0, "hidden": [] }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_holds_a_known_secret_is_not_recorded() {
    let secrets = KnownSecrets::new();
    secrets
        .learn("PASSWORD", b"hunter2-hunter2")
        .expect("long enough");
    let (host, told) = host(&secrets);
    install(&host, "five", &deciding(5_000, b"why")).await;
    install(&host, "tells", &deciding(5_000, b"hunter2-hunter2")).await;
    let config = json!({ "password": "hunter2-hunter2" });
    limits(&host, &run_with(&[("five", config)])).await;
    limits(&host, &run(&["tells"])).await;
    assert_eq!(told.all(), []);
    let unrecorded: u64 = host.counters().iter().map(|plugin| plugin.unrecorded).sum();
    assert_eq!(unrecorded, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_is_asked_the_same_and_decides_nothing() {
    let (host, told) = host(&KnownSecrets::new());
    install(&host, "five", &deciding(5_000, b"why")).await;
    let nine = artifact("five", deciding(9_000, b"why").build());
    host.shadow(nine).await.expect("a shadow");
    let run = run(&["five"]);
    let policy = limits(&host, &run).await;
    assert_eq!(policy.limit, Some(std::time::Duration::from_secs(5)));
    assert_eq!(policy.notes.len(), 1);
    let call = once(&host, &told, 1).await.remove(0);
    let apart = call.apart_from_shadow();
    assert_eq!(apart.len(), 1, "{apart:?}");
    assert_eq!(apart[0].member, "limit_ms");
    assert_eq!(
        (&apart[0].expected, &apart[0].found),
        (&json!(5_000), &json!(9_000))
    );

    // One that fails is in nobody's way.
    let mut broken = Guest::harmless();
    broken.decide = "(unreachable)".to_owned();
    broken.scan = "(unreachable)".to_owned();
    host.shadow(artifact("five", broken.build()))
        .await
        .expect("a shadow");
    assert_eq!(limits(&host, &run).await.notes.len(), 1);
    let (out, notes) = redacted(&host, &run, [&b"as it was\n"[..]]).await;
    assert_eq!((out.as_str(), notes[0].failed), ("as it was\n", false));
    let all = once(&host, &told, 3).await;
    assert_eq!(all.len(), 3);
    for call in &all[1..] {
        let shadow = call.shadow.as_ref().expect("a shadow");
        let error = shadow.answer["error"].as_str().unwrap_or_default();
        assert!(error.starts_with("panic"), "{call:?}");
    }
    host.end_shadow("five");
    limits(&host, &run).await;
    assert_eq!(once(&host, &told, 4).await[3].shadow, None);
}

/// A process that ends waits for what shadows still have to say; what was never handed to one is not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_shadows_were_handed_can_be_waited_for() {
    let (host, told) = host(&KnownSecrets::new());
    install(&host, "five", &deciding(5_000, b"why")).await;
    host.shadows_settled().await;
    let nine = artifact("five", deciding(9_000, b"why").build());
    host.shadow(nine).await.expect("a shadow");
    let run = run(&["five"]);
    for _ in 0..20 {
        limits(&host, &run).await;
    }
    redacted(&host, &run, [&b"some output"[..]]).await;
    assert_eq!(told.all(), [], "nobody asks them yet");
    tokio::select! {
        biased;
        () = host.ask_shadows() => panic!("shadows are asked for ever"),
        () = host.shadows_settled() => {}
    }
    let all = told.all();
    assert_eq!(all.len(), 21);
    assert!(all.iter().all(|call| call.shadow.is_some()), "{all:?}");
}
