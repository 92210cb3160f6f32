//! W9, W10, W13, W14: what took the whole fleet down, or a worker out of it unseen.

use reqwest::Method;
use serde_json::json;

use super::{EACH_SECOND, PATIENCE, each_second, goes_on};
use crate::product::{Product, wait_for};
use crate::stores::{Evidence, Stores};
use crate::worker::Worker;

/// One saved job ended every worker, and each again at its next start.
#[tokio::test]
async fn w09_a_poison_job_stops_no_worker() {
    let stores = Stores::shared();
    let before = Worker::of_go("before", "192.0.2.1", &stores, &[]);
    let alive = each_second(&stores, "alive").await;
    goes_on(&alive, 1).await;
    let poison = "*/10 22-4 * * *";
    stores.save("poison", "true", poison).await;
    let after = Worker::of_go("after", "192.0.2.2", &stores, &[]);
    goes_on(&alive, 5).await;
    for mut worker in [before, after] {
        let ended = worker.process.try_wait().unwrap();
        assert_eq!(ended, None, "{}", worker.log());
    }
    let server = Product::server(&stores.toml());
    let job = server.get("/jobs/poison").await;
    assert!(job["broken"].to_string().contains("22-4"), "{job}");
    // And our own server does not save one.
    let body = json!({ "command": "true", "schedule": poison });
    let refused = server.send(Method::PUT, "/jobs/other", &body).await;
    assert_eq!(refused.status().as_u16(), 422);
}

/// A save with a bad schedule left the old command running.
#[tokio::test]
async fn w10_an_invalid_update_ends_the_old_job() {
    let stores = Stores::shared();
    let _worker = Worker::of_go("w", "192.0.2.1", &stores, &[]);
    let old = each_second(&stores, "job").await;
    goes_on(&old, 1).await;
    stores.save("job", "true", "no schedule").await;
    // A job that is saved later shows that the worker has heard of the update.
    let later = each_second(&stores, "later").await;
    goes_on(&later, 2).await;
    let heard = old.lines();
    goes_on(&later, 5).await;
    assert_eq!(old.lines(), heard);
}

/// Of two workers with one address, the end of one took the other off the list; a deleted key never came back.
#[tokio::test]
async fn w13_a_living_worker_stays_registered() {
    let stores = Stores::shared();
    let stays = Worker::of_go("stays", "192.0.2.1", &stores, &[]);
    let mut leaves = Worker::of_go("leaves", "192.0.2.1", &stores, &[]);
    leaves.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(leaves.process.wait().unwrap().success());
    wait_for("it is listed", PATIENCE, async || {
        stores.registered().await == ["192.0.2.1"]
    })
    .await;
    let mut raw = stores.raw().await;
    raw.delete(stores.worker_key("192.0.2.1"), None)
        .await
        .unwrap();
    wait_for("it is listed again", PATIENCE, async || {
        stores.registered().await == ["192.0.2.1"]
    })
    .await;
    drop(stays);
}

/// Every due job got a process, however many there were.
#[tokio::test]
async fn w14_a_worker_runs_no_more_at_once_than_it_may() {
    let stores = Stores::shared();
    let two = [("SANDCLOCK__WORKER__MAX_CONCURRENT_RUNS", "2")];
    let _worker = Worker::of_go("w", "192.0.2.1", &stores, &two);
    let evidence = Evidence::new();
    let command = format!("{}; sleep 0.3; {}", evidence.says("+"), evidence.says("-"));
    for job in ["a", "b", "c", "d", "e", "f"] {
        stores.save(job, &command, EACH_SECOND).await;
    }
    goes_on(&evidence, 40).await;
    let mut running = 0;
    for line in evidence.lines() {
        running += if line == "+" { 1 } else { -1 };
        assert!(running <= 2, "{:?}", evidence.lines());
    }
}
