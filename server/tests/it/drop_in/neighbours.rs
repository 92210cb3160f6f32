//! Workers of both kinds in one fleet: ours see the others without being told, and what those must not run is not
//! where they look.

use etcd_client::{Client, EventType, WatchOptions};
use serde_json::json;

use super::PATIENCE;
use crate::product::{Product, wait_for};
use crate::stores::Stores;
use crate::worker::Worker;

const LOUD: &str = "workers of a Go fleet share the jobs";

async fn text(raw: &mut Client, key: String) -> Option<String> {
    let mut found = raw.get(key, None).await.unwrap();
    let kv = found.take_kvs().pop()?;
    Some(kv.value_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_go_worker_that_comes_is_told_of_and_shared_with() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let worker = Worker::start("ours", &stores);
    let mut raw = stores.raw().await;
    let job = json!({ "command": "true", "schedule": "* * * * * * *" });
    server.put_job("job", &job).await;
    let succeeded = async || {
        let runs = server.get("/runs?job=job&state=succeeded").await;
        runs["items"].as_array().unwrap().len()
    };
    wait_for("it runs", PATIENCE, async || succeeded().await > 0).await;
    assert_eq!(text(&mut raw, stores.lock_key("job")).await, None);
    assert!(!worker.log().contains(LOUD), "{}", worker.log());

    raw.put(stores.worker_key("192.0.2.9"), "", None)
        .await
        .unwrap();
    wait_for("claims take its lock", PATIENCE, async || {
        let lock = text(&mut raw, stores.lock_key("job")).await;
        lock.is_some_and(|value| value.starts_with("sandclock "))
    })
    .await;
    let log = worker.log();
    for told in [LOUD, "192.0.2.9", "coordination.beside_go = true"] {
        assert!(log.contains(told), "{log}");
    }
    let metrics = server.bare(reqwest::Method::GET, "/metrics");
    let metrics = metrics.bearer_auth(&server.token).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("\nsandclock_go_workers 1\n"), "{metrics}");
    let ready = server.bare(reqwest::Method::GET, "/readyz");
    let ready = ready.send().await.unwrap().text().await.unwrap();
    assert!(ready.contains(r#""go_workers":1"#), "{ready}");

    raw.delete(stores.worker_key("192.0.2.9"), None)
        .await
        .unwrap();
    wait_for("it is told that it has gone", PATIENCE, async || {
        worker
            .log()
            .contains("no worker of a Go fleet is registered any more")
    })
    .await;
}

/// A Go worker that is registered nowhere we look is told by its locks.
#[tokio::test]
async fn a_go_worker_that_is_not_registered_is_told_of_by_its_locks() {
    let stores = Stores::shared();
    let worker = Worker::start("ours", &stores);
    let raw = stores.raw().await;
    // It runs its job again and again, so that one lock is taken while our worker looks.
    wait_for("it is told", PATIENCE, async || {
        let mut raw = raw.clone();
        let lease = raw.lease_grant(60, None).await.unwrap().id();
        let options = etcd_client::PutOptions::new().with_lease(lease);
        let lock = stores.lock_key("theirs");
        raw.put(lock, "", Some(options)).await.unwrap();
        raw.lease_revoke(lease).await.unwrap();
        worker.log().contains(LOUD)
    })
    .await;
}

/// A Go worker runs whatever stands under its fleet's prefix, as it reads it.
#[tokio::test]
async fn what_a_go_worker_must_not_run_is_not_where_it_looks() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let mut raw = stores.raw().await;
    let below = WatchOptions::new().with_prefix();
    let mut watch = raw.watch(stores.jobs_key(""), Some(below)).await.unwrap();
    let mut next = async || loop {
        let news = watch.message().await.unwrap().unwrap();
        if let Some(event) = news.events().last() {
            let key = event.kv().unwrap().key_str().unwrap().to_owned();
            break (event.event_type(), key);
        }
    };
    let job = json!({ "command": "true", "schedule": "0 3 * * *", "time_zone": "UTC" });
    server.put_job("job", &job).await;
    assert_eq!(next().await, (EventType::Put, stores.jobs_key("job")));
    let post = async |path: &str| {
        let answer = server.request(reqwest::Method::POST, path).send().await;
        assert!(answer.unwrap().status().is_success(), "{path}");
    };
    post("/jobs/job/disable").await;
    assert_eq!(next().await, (EventType::Delete, stores.jobs_key("job")));
    assert_eq!(server.get("/jobs/job").await["enabled"], false);
    post("/jobs/job/enable").await;
    assert_eq!(next().await, (EventType::Put, stores.jobs_key("job")));
    // Every day at nine to us; to a Go worker, a time that is always due.
    let always = json!({ "command": "true", "schedule": "0 9 * * 1-7", "time_zone": "UTC" });
    server.put_job("job", &always).await;
    assert_eq!(next().await, (EventType::Delete, stores.jobs_key("job")));
    let listed = server.get("/jobs").await;
    assert_eq!(listed["items"][0]["name"], "job");
}
