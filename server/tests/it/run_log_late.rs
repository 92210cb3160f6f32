//! Servers and workers that are started while their MongoDB is away, and what they refuse to start with.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::process::Command;

use mongodb::bson::doc;
use reqwest::Method;
use sandclock_testkit::services::{Etcd, OwnMongo, Proxy};
use serde_json::{Value, json};

use crate::fleet::PATIENCE;
use crate::product::{PROGRAM, Product, wait_for};
use crate::stores::{Evidence, Stores};
use crate::worker::Worker;

async fn ready(server: &Product) -> Value {
    let answer = server.bare(Method::GET, "/readyz").send().await.unwrap();
    answer.json().await.unwrap()
}

async fn metrics(server: &Product) -> String {
    let request = server.bare(Method::GET, "/metrics");
    let answer = request.bearer_auth(&server.token).send().await.unwrap();
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_that_take_long_keep_no_start_waiting() {
    let mongo = OwnMongo::start();
    let client = mongodb::Client::with_uri_str(&mongo.uri).await.unwrap();
    let admin = client.database("admin");
    // Reads are answered and no write gets on, as while the indexes of a large log are made.
    admin
        .run_command(doc! { "fsync": 1, "lock": true })
        .await
        .unwrap();
    let stores = Stores::of(Etcd::shared().address, &mongo.uri);
    let server = Product::server(&stores.toml());
    let said = ready(&server).await;
    assert_eq!(
        (&said["ready"], &said["run_log"]),
        (&json!(true), &json!("away")),
        "{said}"
    );
    let log = String::from_utf8_lossy(&server.log()).into_owned();
    assert!(log.contains("makes its indexes"), "{log}");

    admin.run_command(doc! { "fsyncUnlock": 1 }).await.unwrap();
    wait_for("they are made", PATIENCE, async || {
        ready(&server).await["run_log"] == "ok"
    })
    .await;
    assert!(stores.log_indexes().await.len() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_starts_without_its_run_log_and_connects_when_it_is_back() {
    let shared = Stores::shared();
    let mongo = shared.mongo.strip_prefix("mongodb://").unwrap();
    let mongo = Proxy::to(mongo.split('/').next().unwrap()).await;
    mongo.refuse();
    let uri = format!("mongodb://{}/?directConnection=true", mongo.address());
    let stores = Stores::of(Etcd::shared().address, &uri);
    let server = Product::server(&stores.toml());
    let worker = Worker::start("only", &stores);
    let said = ready(&server).await;
    assert_eq!(
        (&said["ready"], &said["run_log"]),
        (&json!(true), &json!("away")),
        "{said}"
    );
    let said = metrics(&server).await;
    assert!(said.contains("sandclock_run_log_away 1\n"), "{said}");
    for log in [
        String::from_utf8_lossy(&server.log()).into_owned(),
        worker.log(),
    ] {
        assert!(
            log.contains("the run log (run_log.uri) does not answer"),
            "{log}"
        );
    }

    let evidence = Evidence::new();
    let command = format!("{}; echo printed", evidence.says("ran"));
    server.put_job("job", &json!({ "command": command })).await;
    let run = server.start_run("job").await;
    wait_for("it has run", PATIENCE, async || evidence.lines() == ["ran"]).await;

    mongo.cut();
    let end = server.ended(&run).await;
    assert_eq!(end["state"], "succeeded", "{end}");
    // It waited on the worker's disk, apart from the end.
    let output = format!("/runs/{run}/output");
    wait_for("its output is there", PATIENCE, async || {
        server.text(&output).await == "printed\n"
    })
    .await;
    let indexes = stores.log_indexes().await;
    assert!(indexes.len() > 1, "{indexes:?}");
    let said = ready(&server).await;
    assert_eq!(said["run_log"], "ok", "{said}");
    let said = metrics(&server).await;
    assert!(said.contains("sandclock_run_log_away 0\n"), "{said}");
    wait_for("the worker says so", PATIENCE, async || {
        worker.log().contains("the run log is there")
    })
    .await;
}

#[test]
fn an_address_of_mongodb_that_cannot_be_ends_the_start() {
    let etcd = Etcd::shared().address;
    for (uri, says) in [
        ("localhost:27017", "scheme"),
        (
            "mongodb+srv://ann:s3cret@example.org/",
            "mongodb+srv is not supported",
        ),
        ("mongodb://ann:s3cret@127.0.0.1/?tls=perhaps", "tls"),
    ] {
        let stores = Stores::of(etcd, uri);
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), stores.toml()).unwrap();
        for role in ["server", "worker"] {
            let data = tempfile::TempDir::new().unwrap();
            let output = Command::new(PROGRAM)
                .args([role, "--config"])
                .arg(config.path())
                .env("SANDCLOCK__DATA", data.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(
                said.contains("run_log.uri: ") && said.contains(says),
                "{said}"
            );
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}
