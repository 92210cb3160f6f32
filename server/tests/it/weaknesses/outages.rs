//! W4, W5, W11, W12: what happened when etcd was away, or forgot.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use sandclock_testkit::services::{Etcd, Mongo, OwnEtcd, Proxy};
use tokio::time::{sleep, timeout};

use super::{EACH_SECOND, PATIENCE, assert_accounted, assert_once, each_second, goes_on};
use crate::product::{Product, wait_for};
use crate::stores::{Evidence, Stores};
use crate::worker::Worker;

/// A worker that was cut off from etcd went on with its run while another began the same job.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn w04_a_worker_that_is_cut_off_ends_its_run_before_another_begins() {
    let stores = Stores::shared();
    let link = Proxy::to(Etcd::shared().address).await;
    let evidence = Evidence::new();
    let begun = evidence.says("begun $SANDCLOCK_WORKER");
    let beat = evidence.says("beat $SANDCLOCK_WORKER");
    let command = format!("trap '' TERM; {begun}; while sleep 0.1; do {beat}; done");
    stores.save("job", &command, EACH_SECOND).await;
    let _cut = Worker::of_go("cut", "192.0.2.1", &stores.by(&link.address()), &[]);
    goes_on(&evidence, 5).await;
    let _other = Worker::of_go("other", "192.0.2.2", &stores, &[]);
    link.silence();
    wait_for("the other has it", PATIENCE, async || {
        let lines = evidence.lines();
        lines.iter().filter(|line| *line == "beat other").count() > 20
    })
    .await;
    let lines = evidence.lines();
    let began = lines.iter().position(|line| line == "begun other").unwrap();
    let overlap = lines[began..].iter().any(|line| line.ends_with("cut"));
    assert!(!overlap, "{lines:?}");
}

/// After an outage a tick ran long after its time, and those of the meantime had left no trace.
#[tokio::test]
async fn w05_an_outage_leaves_a_record_of_each_tick() {
    let mut etcd = OwnEtcd::start();
    let stores = Stores::of(etcd.address(), Mongo::replica_set().uri);
    let _worker = Worker::of_go("w", "192.0.2.1", &stores, &[]);
    let evidence = each_second(&stores, "job").await;
    goes_on(&evidence, 2).await;
    etcd.kill();
    // The fault: longer than a tick may be late.
    sleep(Duration::from_secs(40)).await;
    let away = evidence.lines().len();
    etcd.start_again();
    goes_on(&evidence, 5).await;
    assert_once(&evidence);
    let server = Product::server(&stores.toml());
    assert_accounted(&server, "job").await;
    let missed = server.get("/runs?job=job&state=missed").await;
    let missed = missed["items"].as_array().unwrap();
    assert!(
        !missed.is_empty(),
        "{away} lines before the end of the outage"
    );
}

/// A worker whose watch had fallen behind a compaction ran deleted jobs for ever and never saw a new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn w11_a_compaction_during_a_cut_hides_no_change() {
    let etcd = OwnEtcd::start();
    let stores = Stores::of(etcd.address(), Mongo::replica_set().uri);
    let link = Proxy::to(etcd.address()).await;
    let _worker = Worker::of_go("w", "192.0.2.1", &stores.by(&link.address()), &[]);
    let deleted = each_second(&stores, "deleted").await;
    goes_on(&deleted, 2).await;
    link.refuse();
    let mut raw = stores.raw().await;
    raw.delete(stores.jobs_key("deleted"), None).await.unwrap();
    let new = each_second(&stores, "new").await;
    let now = raw.get("now", None).await.unwrap();
    let revision = now.header().unwrap().revision();
    raw.compact(revision, None).await.unwrap();
    link.cut();
    goes_on(&new, 1).await;
    let heard = deleted.lines();
    goes_on(&new, 5).await;
    assert_eq!(deleted.lines(), heard);
}

/// A worker that could not read the jobs at its start looked healthy and had none for ever.
#[tokio::test]
async fn w12_a_worker_that_cannot_read_the_jobs_says_so_and_ends() {
    let mut etcd = OwnEtcd::start();
    let stores = Stores::of(etcd.address(), Mongo::replica_set().uri);
    etcd.kill();
    let home = tempfile::TempDir::new().unwrap();
    let file = home.path().join("worker.json");
    std::fs::write(&file, stores.worker_json()).unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "as an operator starts the worker"
    )]
    let mut worker = Command::new(env!("CARGO_BIN_EXE_sandclock-worker"))
        .arg("-config")
        .arg(&file)
        .envs(stores.variables())
        .env("SANDCLOCK__COORDINATION__REGISTER_AS", "192.0.2.1")
        .env("SANDCLOCK__DATA", home.path().join("data"))
        .stderr(File::create(home.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let ends = async {
        loop {
            match worker.try_wait().unwrap() {
                Some(status) => break status,
                None => sleep(Duration::from_millis(100)).await,
            }
        }
    };
    let ended = timeout(PATIENCE, ends).await;
    // If it goes on, it is the fault that this looks for.
    let _ = worker.kill();
    let said = std::fs::read_to_string(home.path().join("log")).unwrap();
    let ended = ended.unwrap_or_else(|_| panic!("it goes on: {said}"));
    assert_eq!(ended.code(), Some(1), "{said}");
    assert!(said.contains(etcd.address()), "{said}");
}
