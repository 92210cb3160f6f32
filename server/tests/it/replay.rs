//! What plugins were asked in real runs, asked again: by a process that shares nothing with the one that recorded it, of a
//! version with one line changed, and of a shadow while the other one decides.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as a user does"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::author::{empty, new_and_built};
use crate::fleet::PATIENCE;
use crate::product::{PROGRAM, Product, told, wait_for};

/// What is hidden in the output of the job.
const HIDDEN: &str = "xyzzy-is-hidden";

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The built policy, and one with one line changed, as its next version.
fn two_policies() -> [PathBuf; 2] {
    let place = empty("replay");
    let folder = new_and_built(&place, "policy", "timeout");
    let file = folder.join("policy.wasm");
    let old = place.join("old.wasm");
    fs::copy(&file, &old).unwrap();
    let change = |name: &str, from: &str, to: &str| {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        fs::write(&path, text.replace(from, to)).unwrap();
    };
    change("plugin.toml", "version = \"0.1.0\"", "version = \"0.2.0\"");
    change(
        "src/lib.rs",
        "ENOUGH_RUNS: u32 = 20",
        "ENOUGH_RUNS: u32 = 50",
    );
    crate::author::build_again(&place, "policy");
    [old, file]
}

/// Runs the job so often, and waits until all its calls are recorded. Answers the runs.
async fn run(product: &Product, times: usize) -> Vec<String> {
    let mut runs = Vec::new();
    while runs.len() < times {
        let some = join_all((0..10).map(|_| product.start_run("reports"))).await;
        join_all(some.iter().map(|run| product.ended(run))).await;
        runs.extend(some);
    }
    for run in &runs {
        wait_for("the calls of a run are recorded", PATIENCE, async || {
            recorded(product, run).await.len() == 3
        })
        .await;
    }
    runs
}

async fn recorded(product: &Product, run: &str) -> Vec<Value> {
    let list = product.get(&format!("/runs/{run}/recordings")).await;
    list["items"].as_array().unwrap().clone()
}

/// The runs whose answers came out in this way.
fn with_outcome<'a>(report: &'a Value, outcome: &str) -> BTreeSet<&'a str> {
    let calls = report["calls"].as_array().unwrap().iter();
    let calls = calls.filter(|call| call["outcome"] == outcome);
    calls.map(|call| call["run"].as_str().unwrap()).collect()
}

/// The same command as somebody else, elsewhere, in another zone and language, with nothing in any cache.
fn as_a_stranger(bundle: &Path) -> Output {
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("sandclock");
    let copy = home.path().join("bundle.json");
    fs::copy(PROGRAM, &program).unwrap();
    fs::copy(bundle, &copy).unwrap();
    let stranger = if nix::unistd::geteuid().is_root() {
        for path in [home.path(), &copy] {
            nix::unistd::chown(path, Some(64_123.into()), None).unwrap();
        }
        vec!["setpriv", "--reuid=64123", "--clear-groups"]
    } else {
        vec!["unshare", "--user"]
    };
    Command::new(stranger[0])
        .args(&stranger[1..])
        .arg(&program)
        .args(["plugin", "replay", "--output", "json", "--bundle"])
        .arg(&copy)
        .current_dir("/")
        .env_clear()
        .env("HOME", home.path())
        .env("TZ", "Pacific/Kiritimati")
        .env("LC_ALL", "tr_TR.UTF-8")
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_recorded_runs_are_decided_again() {
    let product = Product::start(&["--no-examples"]);
    let [old, new] = two_policies();
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let pushed = told(&product.cli(&["plugin", "push", old]));
    assert_eq!(pushed, "serving policy 0.1.0\n");
    let job = json!({
        "command": format!("echo it says {HIDDEN}; exit 3"),
        "concurrency": "allow",
        "labels": { "team": "data" },
        "hooks": [
            { "plugin": "policy", "config": { "factor": 7 } },
            { "plugin": "redact-secrets", "config": { "words": [HIDDEN] } },
            { "plugin": "webhook-alert", "config": { "target": "log", "every": 3 } },
        ],
    });
    product.put_job("reports", &job).await;
    let runs = run(&product, 100).await;

    same_here_and_elsewhere(&product);
    a_changed_line_shows_where_it_matters(&product, new, &runs);
    nothing_of_the_output_is_kept(&product, &runs[0]).await;
    // The server does the same with what it has.
    let again = product
        .send(
            Method::POST,
            "/plugins/policy/replay?limit=50",
            &Value::Null,
        )
        .await;
    assert_eq!(again.status(), StatusCode::OK);
    let again: Value = again.json().await.unwrap();
    assert_eq!(
        (&again["same"], &again["different"]),
        (&json!(50), &json!(0))
    );

    a_shadow_decides_nothing(&product, new).await;
}

/// The same machine and another one come to the same, to the last byte.
fn same_here_and_elsewhere(product: &Product) {
    for plugin in ["policy", "webhook-alert"] {
        let bundle = product.home().join(format!("{plugin}.json"));
        let path = bundle.to_str().unwrap();
        let export = ["plugin", "replay", "--plugin", plugin, "--export", path];
        let said = told(&product.cli(&export));
        assert!(said.starts_with("wrote 100 calls"), "{said}");
        let here = ["plugin", "replay", "--output", "json", "--bundle", path];
        let here = product.cli(&here);
        let report = json_of(&here);
        let counts = ["same", "different", "skipped"].map(|count| report[count].as_u64().unwrap());
        assert_eq!(counts, [100, 0, 0], "{plugin}");
        let elsewhere = as_a_stranger(&bundle);
        assert!(elsewhere.status.success(), "{}", told(&elsewhere));
        assert!(elsewhere.stdout == here.stdout, "{plugin}");
    }
}

/// A version with one line changed decides otherwise where that line matters, and nowhere else.
fn a_changed_line_shows_where_it_matters(product: &Product, new: &str, runs: &[String]) {
    let bundle = product.home().join("policy.json");
    let exported: Value = serde_json::from_slice(&fs::read(&bundle).unwrap()).unwrap();
    let changed = exported["calls"].as_array().unwrap().iter();
    let matters = |call: &&Value| (20..50).contains(&call["history"]["runs"].as_u64().unwrap());
    let changed = changed.filter(matters);
    let changed: BTreeSet<_> = changed
        .map(|call| call["run"]["id"].as_str().unwrap())
        .collect();
    assert!(!changed.is_empty());
    let bundle = bundle.to_str().unwrap();
    let with = ["plugin", "replay", "--bundle", bundle, "--with", new];
    let compared = product.cli(&[&with[..], &["--output", "json"]].concat());
    assert_eq!(compared.status.code(), Some(1), "answers are different");
    let report = json_of(&compared);
    assert_eq!(with_outcome(&report, "different"), changed);
    let same: BTreeSet<_> = runs.iter().map(String::as_str).collect();
    assert_eq!(with_outcome(&report, "same"), &same - &changed);
    let shown = told(&product.cli(&with));
    let summary = format!(
        "{} the same, {} different, 0 skipped",
        100 - changed.len(),
        changed.len()
    );
    assert!(shown.contains(&summary), "{shown}");
}

/// Of output nothing is kept but where something was hidden, and why.
async fn nothing_of_the_output_is_kept(product: &Product, run: &str) {
    let of_run = recorded(product, run).await;
    let redacted = of_run
        .iter()
        .find(|call| call["hook"] == "output-redaction");
    let answer = &redacted.unwrap()["answer"];
    assert_eq!(answer["hidden"], json!([[8, HIDDEN.len(), "word"]]));
    let told_of = redacted.unwrap().as_object().unwrap();
    let members: BTreeSet<_> = told_of.keys().map(String::as_str).collect();
    let no_output = [
        "answer", "bytes", "channel", "config", "hook", "plugin", "run", "sha256", "v", "version",
    ];
    assert_eq!(members, BTreeSet::from(no_output));
    let shown = told(&product.cli(&["plugin", "replay", run]));
    assert!(
        shown.contains("2 the same, 0 different, 1 skipped"),
        "{shown}"
    );
}

/// A release that is only asked: its answers are beside those that decide, and there alone.
async fn a_shadow_decides_nothing(product: &Product, new: &str) {
    let nobody = told(&product.cli(&["plugin", "diff", "policy"]));
    assert!(nobody.contains("sandclock plugin shadow"), "{nobody}");
    let unknown = told(&product.cli(&["plugin", "shadow", "policy", "0.2.0"]));
    assert!(
        unknown.contains("no release 0.2.0: it has 0.1.0"),
        "{unknown}"
    );
    let kept = told(&product.cli(&["plugin", "push", new, "--no-serve"]));
    assert_eq!(kept, "kept policy 0.2.0\n");
    let begun = told(&product.cli(&["plugin", "shadow", "policy", "0.2.0"]));
    assert_eq!(begun, "shadowing policy 0.2.0\n");
    let serves = told(&product.cli(&["plugin", "shadow", "policy", "0.1.0"]));
    assert!(serves.contains("serves"), "{serves}");
    let listed = told(&product.cli(&["plugin", "ls", "policy"]));
    assert!(listed.contains("is asked, decides nothing"), "{listed}");

    what_it_says_is_beside_what_decides(product).await;

    let ended = told(&product.cli(&["plugin", "shadow", "policy", "--off"]));
    assert_eq!(ended, "no shadow of policy\n");
    let run = product.run_job("young").await;
    let id = run["id"].as_str().unwrap();
    wait_for("the call is recorded", PATIENCE, async || {
        recorded(product, id).await.len() == 1
    })
    .await;
    assert_eq!(recorded(product, id).await[0].get("shadow"), None);
}

/// Runs of a job of its own, whose history begins anew: the old release decides from 20 runs on, the shadow would not yet.
async fn what_it_says_is_beside_what_decides(product: &Product) {
    let job = json!({
        "command": "true",
        "concurrency": "allow",
        "hooks": [{ "plugin": "policy" }],
    });
    product.put_job("young", &job).await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        let some = join_all((0..10).map(|_| product.start_run("young"))).await;
        join_all(some.iter().map(|run| product.ended(run))).await;
        runs.extend(some);
    }
    for run in &runs {
        wait_for("the call of a run is recorded", PATIENCE, async || {
            recorded(product, run).await.len() == 1
        })
        .await;
        let call = recorded(product, run).await.remove(0);
        assert_eq!(
            (&call["version"], &call["shadow"]["version"]),
            (&json!("0.1.0"), &json!("0.2.0"))
        );
        let notes = product.get(&format!("/runs/{run}/hooks")).await;
        assert_eq!(notes["items"].as_array().unwrap().len(), 1);
        assert_eq!(notes["items"][0]["version"], "0.1.0");
    }
    let diff = [
        "plugin", "diff", "policy", "--last", "30", "--output", "json",
    ];
    let diff = json_of(&product.cli(&diff));
    let compared = diff["calls"].as_array().unwrap();
    assert_eq!(compared.len(), 30);
    for call in compared {
        let decided = call["recorded"]["keeps"] == false;
        let outcome = if decided { "different" } else { "same" };
        assert_eq!(call["outcome"], outcome, "{call}");
        assert_eq!(
            call["found"]["keeps"], true,
            "below 50 runs the new one keeps: {call}"
        );
    }
    assert!(!with_outcome(&diff, "different").is_empty());
}
