//! W15, W17, W18, W21, W22: kills that killed nothing, limits and alarms that were missing, logs that said too little.

use mongodb::bson::Document;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{EACH_SECOND, PATIENCE, goes_on};
use crate::product::{Product, wait_for};
use crate::stores::{Evidence, Stores};
use crate::worker::Worker;

/// The process of this id is gone.
fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_err()
}

/// A kill reached the shell alone; its children went on, and with them the job and its lock.
#[tokio::test]
async fn w15_a_kill_reaches_every_process_of_the_run() {
    let stores = Stores::shared();
    let _worker = Worker::of_go("w", "192.0.2.1", &stores, &[]);
    let evidence = Evidence::new();
    let pid = evidence.says("$!");
    let command = format!("(sleep 3600; echo done) & {pid}; setsid sleep 3600 & {pid}; wait");
    stores.save("job", &command, EACH_SECOND).await;
    goes_on(&evidence, 2).await;
    stores.kill("job").await;
    let first: Vec<String> = evidence.lines()[..2].to_vec();
    wait_for("all are gone", PATIENCE, async || {
        first.iter().all(|pid| is_gone(pid))
    })
    .await;
    // The next tick has the lock.
    goes_on(&evidence, 2).await;
    wait_for("it is logged", PATIENCE, async || {
        let log = stores.log("job").await;
        log.first().is_some_and(|run| {
            let error = run.get_str("err").unwrap_or_default();
            ["signal: killed", "signal: terminated"].contains(&error)
        })
    })
    .await;
}

/// There were no limits of time, no second attempts and no alarms.
#[tokio::test]
async fn w17_a_run_has_a_limit_another_attempt_and_an_alarm() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let _worker = Worker::of_go("w", "192.0.2.1", &stores, &[]);
    let job = json!({
        "command": "sleep 3600",
        "timeout_s": 1,
        "retry": { "max": 1, "backoff": { "initial_s": 0.1 }, "on": { "timeout": true } },
        "hooks": [{ "plugin": "webhook-alert", "config": { "target": "log" } }],
    });
    server.put_job("stuck", &job).await;
    let run = server.run_job("stuck").await;
    assert_eq!(run["state"], "timed_out", "{run}");
    assert_eq!(run["attempt"], 2, "{run}");
    wait_for("the alarm is delivered", PATIENCE, async || {
        let alerts = server.get("/alerts").await;
        let alerts = alerts["items"].as_array().unwrap();
        alerts.iter().any(|alert| alert["state"] == "delivered")
    })
    .await;
}

/// A worker that was told to stop left its children as orphans, its log unwritten and its keys behind.
#[tokio::test]
async fn w18_a_worker_that_is_told_to_stop_ends_in_order() {
    let stores = Stores::shared();
    let mut worker = Worker::of_go("w", "192.0.2.1", &stores, &[]);
    let evidence = Evidence::new();
    let (begun, finished) = (evidence.says("begun"), evidence.says("finished"));
    let command = format!("{begun}; sleep 2; {finished}");
    stores.save("job", &command, EACH_SECOND).await;
    goes_on(&evidence, 1).await;
    worker.signal(Signal::SIGTERM);
    assert!(worker.process.wait().unwrap().success(), "{}", worker.log());
    let lines = evidence.lines();
    let count = |what: &str| lines.iter().filter(|line| *line == what).count();
    assert_eq!(count("begun"), count("finished"), "{lines:?}");
    assert_eq!(stores.registered().await, [""; 0]);
    let mut raw = stores.raw().await;
    let lock = raw.get(stores.lock_key("job"), None).await.unwrap();
    assert_eq!(lock.count(), 0);
    assert_eq!(stores.log("job").await.len(), count("begun"));
}

/// The log had no index.
#[tokio::test]
async fn w21_a_jobs_log_is_found_by_an_index() {
    let stores = Stores::shared();
    let _worker = Worker::of_go("w", "192.0.2.1", &stores, &[]);
    let keys: Vec<Document> = stores.log_indexes().await;
    let by_job = |keys: &Document| keys.keys().take(2).eq(["jobName", "startTime"]);
    assert!(keys.iter().any(by_job), "{keys:?}");
}

/// A log entry did not say where a run was, how it ended, or which run it was.
#[tokio::test]
async fn w22_a_log_entry_says_where_how_and_which() {
    let stores = Stores::shared();
    let _worker = Worker::of_go("w", "192.0.2.1", &stores, &[]);
    stores.save("job", "echo seen; exit 3", EACH_SECOND).await;
    wait_for("it is logged", PATIENCE, async || {
        !stores.log("job").await.is_empty()
    })
    .await;
    let run = stores.log("job").await.remove(0);
    assert_eq!(run.get_str("err").unwrap(), "exit status 3");
    assert_eq!(run.get_str("output").unwrap(), "seen\n");
    let ours = run.get_document("sandclock").unwrap();
    let record = ours.get_document("record").unwrap();
    assert_eq!(record.get_str("worker").unwrap(), "w");
    assert_eq!(record.get_i64("exit_code").unwrap(), 3);
    assert_eq!(record.get_str("id").unwrap(), ours.get_str("run").unwrap());
}
