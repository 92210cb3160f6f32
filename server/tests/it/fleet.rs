//! A fleet as operators run it: a server and workers, each a process of its own, over a real etcd and a real
//! MongoDB.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use sandclock_testkit::services::{Etcd, Mongo};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::{Product, wait_for};

/// No state that a test waits for may take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The sections of stores that no other test uses.
pub(crate) fn stores() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let own = format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let (etcd, mongo) = (Etcd::shared().address, Mongo::replica_set().uri);
    format!(
        "[coordination]\ntype = \"etcd\"\nendpoints = [\"{etcd}\"]\nprefix = \"/{own}/sandclock/\"\n\
         [coordination.go]\njobs = \"/{own}/jobs/\"\nlocks = \"/{own}/lock/\"\nkills = \"/{own}/killer/\"\n\
         workers = \"/{own}/workers/\"\n\
         [run_log]\ntype = \"mongodb\"\nuri = \"{mongo}\"\ndatabase = \"fleet-{own}\"\n"
    )
}

/// A running `sandclock worker`. Dropping it kills it.
pub(crate) struct Worker {
    process: Child,
    home: TempDir,
}

impl Worker {
    pub(crate) fn start(name: &str, stores: &str) -> Self {
        let home = TempDir::new().unwrap();
        let config = home.path().join("sandclock.toml");
        let data = home.path().join("data");
        let own = format!("data = {data:?}\n{stores}[worker]\nname = \"{name}\"\n");
        std::fs::write(&config, own).unwrap();
        let log = File::create(home.path().join("log")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_sandclock"))
            .args(["worker", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .next();
        let worker = Self { process, home };
        let said = said.and_then(Result::ok).unwrap_or_default();
        assert!(
            said.ends_with(&format!("worker {name}")),
            "{said}: {}",
            worker.log()
        );
        worker
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, signal).unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the jobs themselves wrote: a fire time and a worker in each line.
fn evidence(file: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        line.split_once(' ')
            .map(|(at, by)| (at.to_owned(), by.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// All recorded runs of a job, by fire time.
async fn records(server: &Product, job: &str) -> BTreeMap<String, Value> {
    let page = server.get(&format!("/runs?job={job}&limit=200")).await;
    let runs = page["items"].as_array().unwrap().iter();
    runs.map(|run| (run["fire_time"].as_str().unwrap().to_owned(), run.clone()))
        .collect()
}

#[tokio::test]
async fn each_tick_runs_once_though_a_worker_is_killed() {
    let stores = stores();
    let server = Product::server(&stores);
    let first = Worker::start("first", &stores);
    let second = Worker::start("second", &stores);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("evidence");
    let command = format!(
        "echo $SANDCLOCK_FIRE_TIME $SANDCLOCK_WORKER >> {}",
        file.display()
    );
    let job = json!({ "command": command, "schedule": "@every 1s" });
    server.put_job("every-second", &job).await;
    wait_for("both workers have run it", PATIENCE, async || {
        let by: BTreeSet<_> = evidence(&file).into_iter().map(|(_, by)| by).collect();
        by.len() == 2
    })
    .await;
    first.signal(Signal::SIGKILL);
    let killed_at = evidence(&file).len();
    wait_for("the other goes on", PATIENCE, async || {
        evidence(&file).len() >= killed_at + 10
    })
    .await;
    let disabled = server.request(Method::POST, "/jobs/every-second/disable");
    assert!(disabled.send().await.unwrap().status().is_success());

    let ran = evidence(&file);
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
    let stores = stores();
    let (one, other) = (Product::server(&stores), Product::server(&stores));
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
