//! What others write into the stores: one bad job or one bad record harms itself and nothing else.

use serde_json::json;

use crate::fleet::PATIENCE;
use crate::product::{Product, wait_for};
use crate::stores::{Evidence, Stores};
use crate::weaknesses::{assert_accounted, assert_once, goes_on};
use crate::worker::Worker;

/// What a Go master saves may be as large as etcd takes, and then no record of a run of it is taken. It is told of,
/// and what is due with it runs.
#[tokio::test]
async fn a_job_as_large_as_etcd_takes_holds_no_other_up() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let _worker = Worker::start("w", &stores);
    let large = format!("true {}", "x".repeat(1_571_000));
    stores.save("large", &large, "* * * * * * *").await;
    let evidence = Evidence::new();
    let says = evidence.says("$SANDCLOCK_FIRE_TIME");
    stores.save("small", &says, "* * * * * * *").await;
    goes_on(&evidence, 10).await;
    assert_once(&evidence);
    assert_accounted(&server, "small").await;
    let jobs = server.get("/jobs").await;
    let told = jobs["items"][0]["broken"].as_str().unwrap();
    assert!(told.contains("bytes, at most 400000"), "{told}");
}

/// Somebody tries to kill by hand, with `etcdctl put`.
#[tokio::test]
async fn a_kill_without_words_ends_its_run() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let _worker = Worker::start("w", &stores);
    server
        .put_job("job", &json!({ "command": "sleep 1000" }))
        .await;
    let run = server.start_run("job").await;
    wait_for("it runs", PATIENCE, async || {
        let running = server.get("/runs?job=job&state=running").await;
        !running["items"].as_array().unwrap().is_empty()
    })
    .await;
    let mut raw = stores.raw().await;
    let key = format!("/{}/sandclock/kill/{run}", stores.own);
    raw.put(key, "", None).await.unwrap();
    let end = server.ended(&run).await;
    assert_eq!(end["state"], "killed", "{end}");
}
