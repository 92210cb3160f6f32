//! A fleet whose MongoDB goes away and comes back: jobs go on at their ticks, and every record and every byte of
//! output is there in the end. Weaknesses of the Go fleet by their numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use sandclock_testkit::services::{Etcd, OwnMongo};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleet::records;
use crate::product::{Product, wait_for};
use crate::stores::{Stores, pairs};
use crate::worker::Worker;

/// No state that a test waits for may take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a run prints behind its fire time.
const LINES: u32 = 2_000;

/// A server, and jobs that leave evidence of each run.
pub(crate) struct Scene {
    mongo: OwnMongo,
    pub(crate) stores: Stores,
    pub(crate) server: Product,
    folder: TempDir,
    jobs: Vec<String>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let mongo = OwnMongo::start();
        let stores = Stores::of(Etcd::shared().address, &mongo.uri);
        Self {
            server: Product::server(&stores.toml()),
            folder: TempDir::new().unwrap(),
            jobs: Vec::new(),
            mongo,
            stores,
        }
    }

    pub(crate) fn mongo(&self, signal: Signal) {
        kill(Pid::from_raw(self.mongo.pid), signal).unwrap();
    }

    pub(crate) fn evidence_of(&self, job: &str) -> PathBuf {
        self.folder.path().join(job)
    }

    /// Saves a job that says each second that it runs, prints, and says that it has printed.
    pub(crate) async fn put(&mut self, job: &str, print: &str) {
        let file = self.evidence_of(job).display().to_string();
        let command = format!("echo $SANDCLOCK_FIRE_TIME begun >>{file}; {print}");
        let job_of = json!({
            "command": command, "schedule": "@every 1s", "concurrency": "allow", "lost_after_s": 0,
            "limits": { "output_bytes": 32 << 20 },
        });
        self.server.put_job(job, &job_of).await;
        self.jobs.push(job.to_owned());
    }

    /// Waits until each job has run so many times more.
    pub(crate) async fn runs_more(&self, times: usize) {
        let ran = |job: &String| pairs(&self.evidence_of(job)).len();
        let before: Vec<usize> = self.jobs.iter().map(ran).collect();
        wait_for("each job has run further times", PATIENCE, async || {
            let now = self.jobs.iter().map(ran);
            now.zip(&before).all(|(now, before)| now >= before + times)
        })
        .await;
    }

    pub(crate) async fn disable_all(&self) {
        for job in &self.jobs {
            let path = format!("/jobs/{job}/disable");
            let disabled = self.server.request(Method::POST, &path).send().await;
            assert!(disabled.unwrap().status().is_success());
        }
    }

    /// Waits until each run of a job that has left evidence is recorded as over; they are by fire time.
    pub(crate) async fn all_recorded(&self, job: &str) -> BTreeMap<String, Value> {
        let over = |run: &Value| !matches!(run["state"].as_str(), Some("running" | "queued"));
        wait_for("every run is recorded", PATIENCE, async || {
            let runs = records(&self.server, job).await;
            let began = pairs(&self.evidence_of(job));
            let recorded = began.iter().all(|(at, _)| runs.contains_key(at));
            recorded && runs.values().all(over)
        })
        .await;
        records(&self.server, job).await
    }

    pub(crate) async fn output(&self, run: &Value) -> String {
        let id = run["id"].as_str().unwrap();
        self.server.text(&format!("/runs/{id}/output")).await
    }

    /// Asserts that every run of a job succeeded and has exactly what it printed.
    pub(crate) async fn all_is_there(&self, job: &str, at_least: usize) {
        let runs = self.all_recorded(job).await;
        assert!(runs.len() >= at_least, "{} runs of {job}", runs.len());
        let began = pairs(&self.evidence_of(job));
        let began: BTreeSet<String> = began.into_iter().map(|(at, _)| at).collect();
        for (at, run) in &runs {
            if !began.contains(at) {
                // It met the change that ended the job's ticks.
                assert_eq!(run["state"], "missed", "{job} {at}: {run}");
                continue;
            }
            assert_eq!(run["state"], "succeeded", "{job} {at}: {run}");
            let want = printed(at);
            wait_for("the output is there", PATIENCE, async || {
                self.output(run).await.len() >= want.len()
            })
            .await;
            assert!(self.output(run).await == want, "output of {job} {at}");
            assert_eq!(
                (&run["output_bytes"], &run["output_cut"]),
                (&json!(want.len()), &json!(0))
            );
        }
    }
}

/// The command that prints what [`printed`] says.
pub(crate) fn print() -> String {
    format!("echo $SANDCLOCK_FIRE_TIME; seq 1 {LINES}")
}

pub(crate) fn printed(fire_time: &str) -> String {
    let lines = (1..=LINES).map(|n| format!("{n}\n"));
    format!("{fire_time}\n{}", lines.collect::<String>())
}

/// Every second between the first and the last time.
pub(crate) fn are_consecutive(file: &Path) -> bool {
    let times: BTreeSet<i64> = pairs(file)
        .iter()
        .map(|(at, _)| sandclock_core::Timestamp::parse(at).unwrap().as_millis())
        .collect();
    let (first, last) = (times.first().unwrap(), times.last().unwrap());
    (last - first) / 1_000 + 1 == i64::try_from(times.len()).unwrap()
}

/// Files of the spool, whole.
fn spooled(worker: &Worker) -> Vec<u8> {
    let read = |name| fs::read(worker.home().join("data").join(name)).unwrap_or_default();
    ["spool.db", "spool.db-wal"].map(read).concat()
}

#[tokio::test]
async fn w19_no_log_is_lost_in_an_outage_and_no_tick_waits_for_it() {
    let mut scene = Scene::new();
    let worker = Worker::start("only", &scene.stores);
    let jobs = ["one", "two", "three", "four"];
    for job in jobs {
        scene.put(job, &print()).await;
    }
    scene.runs_more(2).await;
    scene.mongo(Signal::SIGSTOP);
    scene.runs_more(12).await;
    scene.mongo(Signal::SIGCONT);
    scene.runs_more(2).await;
    scene.disable_all().await;
    for job in jobs {
        scene.all_is_there(job, 16).await;
        assert!(
            are_consecutive(&scene.evidence_of(job)),
            "{job} missed a tick"
        );
    }
    let log = worker.log();
    let said = |what| log.matches(what).count();
    let (away, back) = (
        said("the run log does not answer"),
        said("the run log answers again"),
    );
    assert!(away >= 1 && away == back, "{log}");
}

#[tokio::test]
async fn what_waited_is_there_after_the_worker_was_killed() {
    let mut scene = Scene::new();
    let worker = Worker::start("only", &scene.stores);
    let secret = scene.folder.path().join("secret");
    fs::write(&secret, "hunter2hunter2").unwrap();
    let tell = json!({ "command": "echo \"told: $TOKEN\"; sleep 1", "secrets": { "TOKEN": { "file": secret } } });
    scene.server.put_job("telling", &tell).await;
    scene.put("job", &print()).await;
    scene.runs_more(1).await;
    scene.mongo(Signal::SIGSTOP);
    let told = scene.server.start_run("telling").await;
    let before = pairs(&scene.evidence_of("job")).len();
    scene.runs_more(8).await;
    let holds = |text: &[u8]| {
        spooled(&worker)
            .windows(text.len())
            .any(|bytes| bytes == text)
    };
    wait_for("output waits on disk", PATIENCE, async || {
        holds(b"\n1998\n1999\n2") && holds(b"told: ")
    })
    .await;
    assert!(!holds(b"hunter2hunter2"), "what is not redacted (S14)");
    worker.signal(Signal::SIGKILL);
    scene.mongo(Signal::SIGCONT);
    let _worker = worker.restart();
    scene.runs_more(1).await;
    scene.disable_all().await;
    let runs = scene.all_recorded("job").await;
    let mut succeeded = 0;
    for (at, run) in &runs {
        // The kill met some in the middle, and ticks while nobody was there.
        if run["state"] != "succeeded" {
            continue;
        }
        succeeded += 1;
        wait_for("the output is there", PATIENCE, async || {
            scene.output(run).await == printed(at)
        })
        .await;
    }
    let told = format!("/runs/{told}/output");
    wait_for("output of the other job is there", PATIENCE, async || {
        scene.server.text(&told).await.starts_with("told: ")
    })
    .await;
    assert!(succeeded >= before + 4, "{succeeded} of {}", runs.len());
}

#[tokio::test]
async fn a_process_with_an_address_tells_what_waits() {
    let mongo = OwnMongo::start();
    let signal = |signal| kill(Pid::from_raw(mongo.pid), signal).unwrap();
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("sandclock.toml");
    let section = format!("[run_log]\ntype = \"mongodb\"\nuri = \"{}\"\n", mongo.uri);
    fs::write(&config, section).unwrap();
    let product = Product::start(&["--no-examples", "--config", config.to_str().unwrap()]);
    product
        .put_job("job", &json!({ "command": "echo waits" }))
        .await;
    let page = async |path| {
        let answer = product
            .bare(Method::GET, path)
            .bearer_auth(&product.token)
            .send()
            .await
            .unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    signal(Signal::SIGSTOP);
    let run = product.start_run("job").await;
    wait_for("the outage is told", PATIENCE, async || {
        let (status, ready) = page("/readyz").await;
        let ready: Value = serde_json::from_str(&ready).unwrap();
        assert!(status.is_success(), "jobs go on: {ready}");
        let waits = ready["spool"]["entries"].as_u64().unwrap() > 0;
        waits && ready["run_log"] == "away" && ready["spool"]["run_log_away_since"].is_string()
    })
    .await;
    let (_, metrics) = page("/metrics").await;
    assert!(metrics.contains("sandclock_run_log_away 1\n"), "{metrics}");
    assert!(
        !metrics.contains("sandclock_spool_entries 0\n"),
        "{metrics}"
    );
    signal(Signal::SIGCONT);
    assert_eq!(product.ended(&run).await["state"], "succeeded");
    wait_for("nothing waits any more", PATIENCE, async || {
        let (_, metrics) = page("/metrics").await;
        metrics.contains("sandclock_run_log_away 0\n")
            && metrics.contains("sandclock_spool_entries 0\n")
    })
    .await;
    let output = format!("/runs/{run}/output");
    assert_eq!(product.text(&output).await, "waits\n");
}

#[tokio::test]
async fn a_full_spool_cuts_output_and_loses_no_record() {
    let mut scene = Scene::new();
    let members = [("SANDCLOCK__WORKER__SPOOL_MAX_BYTES", "1048576")];
    let worker = Worker::start_with("only", &scene.stores, &members);
    scene
        .put("noisy", "yes 0123456789abcde | head -c 300000")
        .await;
    scene.runs_more(1).await;
    scene.mongo(Signal::SIGSTOP);
    scene.runs_more(10).await;
    scene.mongo(Signal::SIGCONT);
    scene.runs_more(1).await;
    scene.disable_all().await;
    let (mut whole, mut cut) = (0, 0);
    let noisy = scene.all_recorded("noisy").await;
    for (at, run) in noisy.iter().filter(|(_, run)| run["state"] != "missed") {
        assert_eq!(
            (&run["state"], &run["output_bytes"]),
            (&json!("succeeded"), &json!(300_000)),
            "{at}"
        );
        let lost = run["output_cut"].as_u64().unwrap();
        let marker = format!("\n[{lost} bytes of output are not stored]\n");
        let want = 300_000 - lost;
        wait_for("the output is there", PATIENCE, async || {
            let output = scene.output(run).await;
            match lost {
                0 => output.len() == 300_000,
                _ => output.len() as u64 == want + marker.len() as u64 && output.contains(&marker),
            }
        })
        .await;
        whole += u32::from(lost == 0);
        cut += u32::from(lost > 0);
    }
    assert!(whole >= 3 && cut >= 1, "{whole} whole, {cut} cut");
    assert_eq!(
        worker
            .log()
            .matches("output cannot wait for the run log")
            .count(),
        1
    );
}

#[tokio::test]
async fn w20_an_output_of_17_mb_destroys_no_record_beside_it() {
    const BIG: usize = 17_000_000;
    let mut scene = Scene::new();
    let _worker = Worker::start("only", &scene.stores);
    let small = ["one", "two", "three", "four"];
    for job in small {
        scene.put(job, &print()).await;
    }
    scene
        .put("big", &format!("yes 0123456789abcde | head -c {BIG}"))
        .await;
    scene.runs_more(2).await;
    // Beside each other in what waits, too.
    scene.mongo(Signal::SIGSTOP);
    scene.runs_more(2).await;
    scene.mongo(Signal::SIGCONT);
    scene.disable_all().await;
    for job in small {
        scene.all_is_there(job, 4).await;
    }
    let big = scene.all_recorded("big").await;
    for (at, run) in big.iter().filter(|(_, run)| run["state"] != "missed") {
        assert_eq!(
            (&run["state"], &run["output_cut"]),
            (&json!("succeeded"), &json!(0)),
            "{at}"
        );
        wait_for("the output is there", PATIENCE, async || {
            scene.output(run).await.len() == BIG
        })
        .await;
    }
}

#[tokio::test]
async fn w23_a_worker_stopped_by_sigterm_loses_no_log() {
    let mut scene = Scene::new();
    let mut worker = Worker::start("only", &scene.stores);
    scene.put("job", &print()).await;
    scene.runs_more(2).await;
    // Its last runs have ended, and their log is on its way.
    scene.mongo(Signal::SIGSTOP);
    scene.runs_more(2).await;
    worker.signal(Signal::SIGTERM);
    wait_for("it takes nothing new", PATIENCE, async || {
        scene.server.get("/workers").await["items"][0]["draining"] == true
    })
    .await;
    scene.mongo(Signal::SIGCONT);
    worker.ends().await;
    scene.disable_all().await;
    scene.all_is_there("job", 4).await;
}

#[tokio::test]
async fn w23_nor_does_one_that_is_stopped_while_the_run_log_is_away() {
    let mut scene = Scene::new();
    let mut worker = Worker::start_with(
        "only",
        &scene.stores,
        &[("SANDCLOCK__WORKER__DRAIN_S", "1")],
    );
    scene.put("job", &print()).await;
    scene.runs_more(1).await;
    scene.mongo(Signal::SIGSTOP);
    scene.runs_more(3).await;
    scene.disable_all().await;
    worker.stop().await;
    scene.mongo(Signal::SIGCONT);
    let _worker = worker.restart();
    scene.all_is_there("job", 4).await;
}
