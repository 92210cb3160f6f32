//! The worker in the place of a Go fleet's: started as that one is, with its file, for a job that a Go master saved.

mod canonical;
mod errors;
mod neighbours;
mod zones;

use std::time::Duration;

use sandclock_testkit::services::{Etcd, Mongo};
use serde_json::json;

use crate::product::{Product, wait_for};
use crate::stores::Stores;
use crate::worker::Worker;

/// No state that a test waits for may take longer.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_worker_takes_the_place_of_a_go_worker_with_its_file() {
    let (address, uri) = (Etcd::shared().address, Mongo::replica_set().uri);
    let stores = Stores::of(address, uri);
    let file = json!({
        "etcd集群列表": "comments are members too",
        "ETCDENDPOINTS": [address],
        "etcdDialTimeout": 5000,
        "mongodbUri": uri,
        "mongodbConnectTimeOut": 5000,
        "jobLogBatchSize": 100,
        "bashPath": "/bin/sh",
    })
    .to_string();
    let variables = [("OF_THE_WORKER", "handed down")];
    let worker = Worker::of_go_with("w", "192.0.2.7", &stores, &file, &variables);
    let command = "echo $0, $OF_THE_WORKER, $SANDCLOCK__DATA, $(pwd)";
    stores.save("of go", command, "* * * * * * *").await;

    let server = Product::server(&stores.toml());
    wait_for("a run of the Go job", PATIENCE, async || {
        let runs = server.get("/runs?state=succeeded").await;
        !runs["items"].as_array().unwrap().is_empty()
    })
    .await;
    let runs = server.get("/runs?state=succeeded").await;
    let run = runs["items"][0]["id"].as_str().unwrap().to_owned();
    let place = worker.home().canonicalize().unwrap();
    assert_eq!(
        server.text(&format!("/runs/{run}/output")).await,
        format!("/bin/sh, handed down, , {}\n", place.display())
    );
    assert_eq!(stores.registered().await, ["192.0.2.7"]);
}
