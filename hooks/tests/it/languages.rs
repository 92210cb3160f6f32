//! The same plugins in Rust, C, JavaScript, Python and Go: built as their READMEs say, on this host.

use bytes::Bytes;
use sandclock_core::policy::Streak;
use sandclock_core::ports::{Channel, Hooks};
use sandclock_core::run::RunState;
use sandclock_hooks::{KnownSecrets, PluginHost, componentize};
use sandclock_testkit::languages::{Language, decided, recorded};
use serde_json::json;

use crate::fixture::{Dice, artifact, cut, ended, host, redacted, run_with};

/// A host with the plugin, installed under its language's name.
async fn built(language: Language) -> PluginHost {
    let module = language.build();
    let component = componentize(&module, Some("timeout-plugin")).expect("a component");
    let host = host(&KnownSecrets::new());
    let installed = host.install(artifact(language.name(), component)).await;
    installed.expect("installs");
    host
}

/// Each recorded invocation is decided as it was.
async fn decides_as_recorded(host: &PluginHost, language: Language) {
    let recorded = recorded(language.name());
    assert_eq!(recorded.len(), 50);
    for (number, one) in recorded.iter().enumerate() {
        let policy = host.before_run(&one.run, &one.past, None).await;
        assert_eq!(
            decided(&policy),
            one.decided,
            "invocation {number}: {one:?}"
        );
    }
}

/// The policy is no good example if the record shows one side of it only.
#[test]
fn the_record_has_every_kind_of_decision() {
    let all: String = recorded("p")
        .iter()
        .map(|one| one.decided["notes"][0]["decision"].to_string() + "\n")
        .collect();
    for kind in [
        "keeps what holds",
        ", doubled since most runs failed",
        ", raised to the floor: ",
        ", cut at what the job declares: ",
        ": 4294967295 ms",
        ", grace 30s: ",
        ", has to be a whole number from 1 to 4294967295; the limit stays",
        "config.factor: 2.5, has to be a whole number from 1 to 100",
        "; the run stays without a limit",
        "label timeout-factor: dreißig, ",
    ] {
        assert!(all.contains(kind), "{kind} in\n{all}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_decides_as_recorded() {
    let host = built(Language::Rust).await;
    decides_as_recorded(&host, Language::Rust).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_decides_as_recorded() {
    let host = built(Language::C).await;
    decides_as_recorded(&host, Language::C).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_decides_as_recorded() {
    let host = built(Language::Go).await;
    decides_as_recorded(&host, Language::Go).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javascript_decides_as_recorded_and_has_the_other_hooks() {
    let host = built(Language::JavaScript).await;
    decides_as_recorded(&host, Language::JavaScript).await;
    redacts(&host, "js").await;
    serves_many(&host, "js").await;
    tells(&host, "js").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_decides_as_recorded_and_has_the_other_hooks() {
    let host = built(Language::Python).await;
    decides_as_recorded(&host, Language::Python).await;
    redacts(&host, "python").await;
    serves_many(&host, "python").await;
    tells(&host, "python").await;
}

/// Tokens are hidden, however the output is cut.
async fn redacts(host: &PluginHost, plugin: &str) {
    let run = run_with(&[(plugin, json!({}))]);
    let github = format!("ghp_{}", "a1B2".repeat(9));
    let text = format!("é AKIAIOSFODNN7EXAMPLE, {github}AKIAIOSFODNN7EXAMPLE\nghp_short AKIA\n");
    let expected = "é [token], [token][token]\nghp_short AKIA\n";
    let (whole, notes) = redacted(host, &run, [text.as_bytes()]).await;
    assert_eq!(whole, expected, "{notes:?}");
    for seed in 0..5 {
        let pieces = cut(&mut Dice::new(seed), text.as_bytes(), 7);
        assert_eq!(
            redacted(host, &run, pieces).await.0,
            expected,
            "seed {seed}"
        );
    }
    let single = text.as_bytes().chunks(1);
    assert_eq!(redacted(host, &run, single).await.0, expected);
}

/// More streams at once than the host keeps instances for, each of which takes three memories in JavaScript, and dozens of core
/// instances in Python.
async fn serves_many(host: &PluginHost, plugin: &str) {
    let run = run_with(&[(plugin, json!({}))]);
    let mut streams = Vec::new();
    for _ in 0..70 {
        let mut stream = host.redactor(&run, Channel::Combined).await;
        let shown = stream.push(Bytes::from("x".repeat(50))).await;
        assert_eq!(shown.bytes().len(), 11, "{:?}", stream.notes());
        streams.push(stream);
    }
    for mut stream in streams {
        let rest = stream.finish().await;
        assert_eq!(rest.bytes().len(), 39, "{:?}", stream.notes());
    }
}

/// The first failure and the recovery are told, nothing else.
async fn tells(host: &PluginHost, plugin: &str) {
    let run = run_with(&[(plugin, json!({ "target": "ops" }))]);
    let failed = ended(&run, RunState::Failed);
    let drafts = host.after_run(&failed, &Bytes::new()).await;
    assert_eq!(drafts.len(), 1, "{drafts:?}");
    let body = String::from_utf8_lossy(&drafts[0].body);
    assert_eq!(drafts[0].target, "ops", "{body}");
    assert_eq!(body, r#"{"text":"nightly/backup failed: exit code 1"}"#);

    let mut again = ended(&run, RunState::Failed);
    again.streak = again.streak.after(RunState::Failed);
    assert_eq!(host.after_run(&again, &Bytes::new()).await, []);

    let mut recovered = ended(&run, RunState::Succeeded);
    recovered.streak_before = Streak {
        last: Some(RunState::Failed),
        failures: 2,
    };
    let drafts = host.after_run(&recovered, &Bytes::new()).await;
    let body = String::from_utf8_lossy(&drafts[0].body);
    assert_eq!(body, r#"{"text":"nightly/backup works again"}"#);
}
