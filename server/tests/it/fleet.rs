//! A fleet as operators run it: a server and workers, each a process of its own, over a real etcd and a real
//! MongoDB.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

use crate::product::{Product, wait_for};
use crate::stores::{Evidence, Stores};
use crate::worker::Worker;

/// No state that a test waits for may take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// All recorded runs of a job, by fire time: one of each.
pub(crate) async fn records(server: &Product, job: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for run in server.runs(&format!("job={job}")).await {
        let at = run["fire_time"].as_str().unwrap().to_owned();
        let twice = all.insert(at, run);
        assert_eq!(twice, None, "two records of one tick");
    }
    all
}

#[tokio::test]
async fn each_tick_runs_once_though_a_worker_is_killed() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let first = Worker::start("first", &stores);
    let second = Worker::start("second", &stores);
    let evidence = Evidence::new();
    let command = evidence.says("$SANDCLOCK_FIRE_TIME $SANDCLOCK_WORKER");
    let job = json!({ "command": command, "schedule": "@every 1s" });
    server.put_job("every-second", &job).await;
    wait_for("both workers have run it", PATIENCE, async || {
        let by: BTreeSet<_> = evidence.pairs().into_iter().map(|(_, by)| by).collect();
        by.len() == 2
    })
    .await;
    first.signal(Signal::SIGKILL);
    let killed_at = evidence.pairs().len();
    wait_for("the other goes on", PATIENCE, async || {
        evidence.pairs().len() >= killed_at + 10
    })
    .await;
    let disabled = server.request(Method::POST, "/jobs/every-second/disable");
    assert!(disabled.send().await.unwrap().status().is_success());

    let ran = evidence.pairs();
    let fire_times: BTreeSet<&String> = ran.iter().map(|(at, _)| at).collect();
    assert_eq!(fire_times.len(), ran.len(), "no fire time twice: {ran:?}");
    // What the killed worker had claimed is settled once its lease is gone and it counts as lost.
    wait_for("every tick is recorded", PATIENCE, async || {
        let runs = records(&server, "every-second").await;
        let over = |run: &Value| !matches!(run["state"].as_str(), Some("running" | "queued"));
        fire_times.iter().all(|at| runs.contains_key(*at)) && runs.values().all(over)
    })
    .await;
    for (at, run) in records(&server, "every-second").await {
        let state = run["state"].as_str().unwrap();
        let is_there = fire_times.contains(&at);
        assert!(
            is_there || state != "succeeded",
            "{at} has no evidence: {run}"
        );
    }
    drop(second);
}

#[tokio::test]
async fn any_server_shows_the_same_and_a_drained_worker_finishes_its_run() {
    let stores = Stores::shared();
    let (one, other) = (
        Product::server(&stores.toml()),
        Product::server(&stores.toml()),
    );
    let mut worker = Worker::start("only", &stores);
    one.put_job(
        "long",
        &json!({ "command": "echo begun; sleep 3; echo finished" }),
    )
    .await;
    let run = one.start_run("long").await;
    wait_for("it runs", PATIENCE, async || {
        let running = other.get("/runs?job=long&state=running").await;
        running["items"].as_array().unwrap().len() == 1
    })
    .await;
    worker.signal(Signal::SIGTERM);
    let end = other.ended(&run).await;
    assert_eq!(
        (end["state"].as_str(), end["worker"].as_str()),
        (Some("succeeded"), Some("only"))
    );
    assert_eq!(
        one.text(&format!("/runs/{run}/output")).await,
        "begun\nfinished\n"
    );
    assert!(worker.process.wait().unwrap().success(), "{}", worker.log());
    wait_for("its registration is gone", PATIENCE, async || {
        one.get("/workers").await["items"]
            .as_array()
            .unwrap()
            .is_empty()
    })
    .await;
}

#[test]
fn a_role_of_a_fleet_refuses_a_store_of_one_process() {
    for role in ["server", "worker"] {
        let config = tempfile::NamedTempFile::new().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_sandclock"))
            .args([role, "--config"])
            .arg(config.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("coordination.type = \"etcd\""), "{said}");
    }
}
