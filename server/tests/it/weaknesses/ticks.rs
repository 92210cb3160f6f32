//! W1, W2, W6, W8: each tick once, and none without a trace.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use sandclock_core::Timestamp;
use sandclock_core::time::Clock as _;
use sandclock_server::clock::SystemClock;
use tokio::time::sleep;

use super::{EACH_SECOND, assert_accounted, assert_once, each_second, goes_on};
use crate::product::Product;
use crate::stores::{Evidence, Stores};
use crate::worker::Worker;

/// Three workers ran an `echo` twice or three times a tick.
#[tokio::test]
async fn w01_a_short_job_runs_once_per_tick() {
    let stores = Stores::shared();
    let workers = ["a", "b", "c"].map(|name| {
        let address = format!("192.0.2.{}", name.as_bytes()[0]);
        Worker::of_go(name, &address, &stores, &[])
    });
    let evidence = each_second(&stores, "short").await;
    goes_on(&evidence, 20).await;
    drop(workers);
    assert_once(&evidence);
    let log = stores.log("short").await;
    let mut planned: Vec<i64> = log
        .iter()
        .map(|run| run.get_i64("planTime").unwrap())
        .collect();
    let runs = planned.len();
    planned.sort_unstable();
    planned.dedup();
    assert_eq!(planned.len(), runs, "a tick is logged twice: {log:?}");
}

/// A worker of the Go fleet, as far as others see it: at each second it waits at random, tries the job's lock, says
/// that it runs if it got it, and lets go of the lock at once.
async fn go_worker(stores: Stores, job: &'static str, evidence: PathBuf) {
    let mut raw = stores.raw().await;
    let lock = stores.lock_key(job);
    // As that fleet draws them, but for the shortest.
    let mut waits = [887, 847, 318, 425, 540, 456, 300].into_iter().cycle();
    loop {
        let tick = SystemClock.now().as_millis() / 1000 + 1;
        let until = tick * 1000 - SystemClock.now().as_millis();
        let wait = waits.next().unwrap();
        sleep(Duration::from_millis(
            u64::try_from(until).unwrap_or(0) + wait,
        ))
        .await;
        let lease = raw.lease_grant(5, None).await.unwrap().id();
        let free = Compare::create_revision(lock.clone(), CompareOp::Equal, 0);
        let put = TxnOp::put(lock.clone(), "", Some(PutOptions::new().with_lease(lease)));
        let txn = raw
            .txn(Txn::new().when([free]).and_then([put]))
            .await
            .unwrap();
        if txn.succeeded() {
            let at = Timestamp::from_millis(tick * 1000);
            let file = File::options().create(true).append(true).open(&evidence);
            writeln!(file.unwrap(), "{at} go").unwrap();
        }
        raw.lease_revoke(lease).await.unwrap();
    }
}

/// Also while workers of the Go fleet run the same jobs: they wait and find the lock held, or win and have the tick.
#[tokio::test]
async fn w01_a_short_job_runs_once_per_tick_beside_go_workers() {
    let stores = Stores::shared();
    let _ours = Worker::of_go("ours", "192.0.2.1", &stores, &[]);
    let evidence = each_second(&stores, "shared").await;
    goes_on(&evidence, 1).await;
    let file = evidence.file().to_owned();
    let theirs = go_worker(stores.clone(), "shared", file);
    tokio::select! {
        () = theirs => {}
        () = goes_on(&evidence, 20) => {}
    }
    assert_once(&evidence);
}

/// A schedule without a next time was due at every moment.
#[tokio::test]
async fn w02_a_schedule_that_never_fires_does_not_run() {
    let stores = Stores::shared();
    let ran = Evidence::new();
    let jobs = [("30th", "0 0 30 2 *"), ("reversed", "0 9 * * 1-7")];
    for (name, schedule) in jobs {
        stores.save(name, &ran.says(name), schedule).await;
    }
    let _worker = Worker::of_go("w", "192.0.2.1", &stores, &[]);
    goes_on(&each_second(&stores, "alive").await, 5).await;
    assert_eq!(ran.lines(), [""; 0]);
    let server = Product::server(&stores.toml());
    for (name, _) in jobs {
        assert_eq!(stores.log(name).await, []);
        let job = server.get(&format!("/jobs/{name}")).await;
        let broken = job["broken"].as_str().unwrap_or_default();
        assert!(broken.contains("hot loop"), "{job}");
    }
}

/// What fell into a time without workers left no trace.
#[tokio::test]
async fn w06_ticks_without_a_worker_are_recorded() {
    let stores = Stores::shared();
    let worker = Worker::of_go("w", "192.0.2.1", &stores, &[]);
    let evidence = each_second(&stores, "job").await;
    goes_on(&evidence, 2).await;
    drop(worker);
    // The fault: so long nobody is there.
    sleep(Duration::from_secs(5)).await;
    let _worker = Worker::of_go("w", "192.0.2.1", &stores, &[]);
    goes_on(&evidence, 2).await;
    assert_once(&evidence);
    let server = Product::server(&stores.toml());
    assert_accounted(&server, "job").await;
}

/// A save at the moment of a tick took the tick away.
#[tokio::test]
async fn w08_saving_a_job_takes_no_tick_away() {
    let stores = Stores::shared();
    let _worker = Worker::of_go("w", "192.0.2.1", &stores, &[]);
    let evidence = each_second(&stores, "job").await;
    goes_on(&evidence, 1).await;
    let saves = async {
        for edit in 0.. {
            let command = evidence.says(&format!("$SANDCLOCK_FIRE_TIME {edit}"));
            stores.save("job", &command, EACH_SECOND).await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = saves => {}
        () = goes_on(&evidence, 10) => {}
    }
    assert_once(&evidence);
    let server = Product::server(&stores.toml());
    assert_accounted(&server, "job").await;
    let runs = server.get("/runs?job=job&state=missed").await;
    assert_eq!(runs["items"], serde_json::json!([]));
}
