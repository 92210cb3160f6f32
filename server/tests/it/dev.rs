//! A newcomer's first minute: `sandclock dev`, and what its examples show.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::product::{Product, wait_for};

/// From listening until everything is visible.
const FIRST_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_examples_show_the_three_hooks_within_a_minute() {
    let product = Product::start(&[]);
    let mut seen = (Value::Null, Value::Null, Value::Null, Vec::new());
    wait_for(
        "the examples have shown everything",
        FIRST_MINUTE,
        async || {
            let first = async |job: &str, state: &str| {
                let runs = product.get(&format!("/runs?job={job}&state={state}")).await;
                runs["items"]
                    .as_array()
                    .unwrap()
                    .last()
                    .cloned()
                    .unwrap_or_default()
            };
            seen.0 = first("examples%2Fupload", "succeeded").await;
            seen.1 = first("examples%2Fstuck-report", "timed_out").await;
            seen.2 = first("examples%2Fflaky-import", "failed").await;
            seen.3 = product.get("/alerts").await["items"]
                .as_array()
                .unwrap()
                .clone();
            let bodies: Vec<_> = seen
                .3
                .iter()
                .map(|alert| alert["body"].to_string())
                .collect();
            let told = |what: &str| bodies.iter().any(|body| body.contains(what));
            !seen.0.is_null()
                && !seen.1.is_null()
                && !seen.2.is_null()
                && told("failed")
                && told("recover")
        },
    )
    .await;
    let (upload, stuck, flaky, alerts) = seen;

    nothing_leaked(&product, &upload, &alerts).await;
    let hooks = product
        .get(&format!("/runs/{}/hooks", upload["id"].as_str().unwrap()))
        .await;
    let redaction = hooks["items"].as_array().unwrap().iter();
    let mut redaction = redaction.filter(|hook| hook["hook"] == "output-redaction");
    assert!(redaction.any(|hook| hook["decision"] != ""), "{hooks}");
    ended_with_its_tree(&product, &stuck).await;
    assert_eq!(flaky["exit_code"], json!(3));
    the_command_line_shows(&product, &["succeeded", "timed_out", "failed"]);
}

/// The secret is nowhere; the rest of the output is there.
async fn nothing_leaked(product: &Product, upload: &Value, alerts: &[Value]) {
    let folder = product.home().join("config/sandclock");
    let secret = std::fs::read_to_string(folder.join("example-upload-token")).unwrap();
    let upload = upload["id"].as_str().unwrap();
    let output = product.text(&format!("/runs/{upload}/output")).await;
    assert!(
        output.contains("uploading with the token [") && output.contains("done"),
        "{output}"
    );
    let live = product.text(&format!("/runs/{upload}/stream")).await;
    assert!(live.contains("uploading with the token ["), "{live}");
    let alerts = serde_json::to_string(alerts).unwrap();
    let log = String::from_utf8_lossy(&product.log()).into_owned();
    assert!(log.contains("alert"), "the log target shows alerts: {log}");
    let encoded = {
        use base64::Engine as _;
        base64::prelude::BASE64_STANDARD_NO_PAD.encode(&secret)
    };
    // The last characters of an encoding depend on what follows, so they are not looked for.
    let encoded = &encoded[..encoded.len() - 3];
    for (place, text) in [
        ("output", &output),
        ("stream", &live),
        ("alert", &alerts),
        ("log", &log),
    ] {
        assert!(
            !text.contains(&secret),
            "the secret is in the {place}: {text}"
        );
        assert!(
            !text.contains(encoded),
            "the encoded secret is in the {place}: {text}"
        );
    }
    search(&product.data(), &|path, bytes| {
        for needle in [secret.as_bytes(), encoded.as_bytes()] {
            let found = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "the secret is in {}", path.display());
        }
    });
}

/// The run says who ended it, and nothing of its tree is left.
async fn ended_with_its_tree(product: &Product, stuck: &Value) {
    let cause = stuck["cause"].as_str().unwrap();
    assert!(cause.contains("limit"), "{cause}");
    let id = stuck["id"].as_str().unwrap();
    assert_eq!(processes_of(id), Vec::<u32>::new());
    let hooks = product.get(&format!("/runs/{id}/hooks")).await;
    assert!(
        hooks["items"].to_string().contains("timeout-ladder"),
        "{hooks}"
    );
}

/// The runs' states are in the table, which fits 80 columns.
fn the_command_line_shows(product: &Product, states: &[&str]) {
    let table = product.on_a_terminal(&["run", "ls", "-n", "200"]);
    for state in states {
        assert!(table.contains(state), "{table}");
    }
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );
}

#[tokio::test]
async fn jobs_and_runs_survive_a_kill_of_the_process() {
    let product = Product::start(&["--no-examples"]);
    product
        .put_job("keep", &json!({ "command": "echo kept" }))
        .await;
    let run = product.run_job("keep").await;
    let product = product.restart_after_kill(&["--no-examples"]);
    let id = run["id"].as_str().unwrap();
    assert_eq!(
        product.get(&format!("/runs/{id}")).await["state"],
        "succeeded"
    );
    assert_eq!(product.text(&format!("/runs/{id}/output")).await, "kept\n");
    assert_eq!(product.run_job("keep").await["state"], "succeeded");
}

#[tokio::test]
async fn a_killed_worker_leaves_no_process_and_the_run_is_recorded_as_lost() {
    let product = Product::start(&["--no-examples"]);
    product
        .put_job(
            "long",
            &json!({ "command": "(setsid sleep 3600 &) ; sleep 3600" }),
        )
        .await;
    let run = product.start_run("long").await;
    wait_for("the job runs", Duration::from_secs(30), async || {
        processes_of(&run).len() >= 2
    })
    .await;
    let product = product.restart_after_kill(&["--no-examples"]);
    wait_for(
        "its processes are gone",
        Duration::from_secs(30),
        async || processes_of(&run).is_empty(),
    )
    .await;
    let end = product.ended(&run).await;
    assert_eq!(end["state"], "lost", "{end}");
}

/// L2, for what resists most: after its limit, its grace and a second it is gone.
#[tokio::test]
async fn a_daemon_that_ignores_sigterm_is_gone_after_a_timeout() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({ "command": crate::exec::STUBBORN, "timeout_s": 10, "grace_s": 1 });
    product.put_job("stubborn", &job).await;
    let run = product.start_run("stubborn").await;
    wait_for(
        "the tree is complete",
        Duration::from_secs(10),
        async || processes_of(&run).len() == crate::exec::STUBBORN_PROCESSES,
    )
    .await;
    let in_time = Duration::from_secs(10 + 1 + 1);
    wait_for("the tree is gone", in_time, async || {
        processes_of(&run).is_empty()
    })
    .await;
    assert_eq!(product.ended(&run).await["state"], "timed_out");
}

#[tokio::test]
async fn sigterm_lets_a_running_job_finish() {
    let mut product = Product::start(&["--no-examples"]);
    let job = json!({ "command": "echo begun; sleep 2; echo finished" });
    product.put_job("short", &job).await;
    let run = product.start_run("short").await;
    wait_for("the job runs", Duration::from_secs(30), async || {
        !processes_of(&run).is_empty()
    })
    .await;
    assert!(product.stop().await.success());
    let product = product.restart_after_kill(&["--no-examples"]);
    assert_eq!(
        product.get(&format!("/runs/{run}")).await["state"],
        "succeeded"
    );
    assert_eq!(
        product.text(&format!("/runs/{run}/output")).await,
        "begun\nfinished\n"
    );
}

/// Every process whose environment names this run.
fn processes_of(run: &str) -> Vec<u32> {
    let needle = format!("SANDCLOCK_RUN_ID={run}");
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let ours = environ
            .split(|byte| *byte == 0)
            .any(|line| line == needle.as_bytes());
        ours.then_some(pid)
    });
    processes.collect()
}

/// Shows every file below a folder.
fn search(folder: &Path, look: &dyn Fn(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, look);
        } else if let Ok(bytes) = std::fs::read(&path) {
            look(&path, &bytes);
        }
    }
}
