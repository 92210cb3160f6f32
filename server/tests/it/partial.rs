//! What is told of runs while only one of a fleet's stores can be reached.

use reqwest::{Method, StatusCode};
use sandclock_testkit::services::Proxy;
use serde_json::{Value, json};

use crate::fleet::PATIENCE;
use crate::product::{Product, wait_for};
use crate::stores::{Evidence, Stores};
use crate::worker::Worker;

async fn status(server: &Product, path: &str) -> (StatusCode, Value) {
    let answer = server.request(Method::GET, path).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_runs_are_shown_while_etcd_is_away() {
    let stores = Stores::shared();
    let etcd = Proxy::to(&stores.etcd).await;
    let server = Product::server(&stores.by(&etcd.address()).toml());
    let _worker = Worker::start("only", &stores);
    server
        .put_job("quick", &json!({ "command": "echo printed" }))
        .await;
    let ended = server.run_job("quick").await;
    let ended = ended["id"].as_str().unwrap();
    let evidence = Evidence::new();
    let command = format!("{}; sleep 600", evidence.says("begun"));
    server.put_job("long", &json!({ "command": command })).await;
    let open = server.start_run("long").await;
    // The run log has its beginning.
    wait_for("it runs", PATIENCE, async || {
        let run = server.get(&format!("/runs/{open}")).await;
        run["started_at"].is_string() && evidence.lines() == ["begun"]
    })
    .await;
    let before = server.get("/runs").await;
    assert_eq!(before["items"].as_array().unwrap().len(), 2, "{before}");
    assert!(before.get("incomplete").is_none(), "{before}");

    etcd.refuse();
    let list = server.get("/runs").await;
    let ids: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["id"])
        .collect();
    assert_eq!(ids, [&json!(ended)], "{list}");
    let missing = list["incomplete"].as_str().unwrap();
    assert!(
        missing.contains("have not ended are not included"),
        "{missing}"
    );
    let one = server.get(&format!("/runs/{ended}")).await;
    assert_eq!(one["state"], "succeeded");
    assert!(one.get("incomplete").is_none(), "it is over: {one}");
    let output = server.text(&format!("/runs/{ended}/output")).await;
    assert_eq!(output, "printed\n");
    let one = server.get(&format!("/runs/{open}")).await;
    assert_eq!(one["state"], "running");
    assert!(one["incomplete"].is_string(), "{one}");
    let shown = server.cli(&["run", "ls"]);
    let (out, err) = (
        String::from_utf8_lossy(&shown.stdout),
        String::from_utf8_lossy(&shown.stderr),
    );
    assert!(shown.status.success() && out.contains(ended), "{out}{err}");
    assert!(err.contains("incomplete: the coordination store"), "{err}");
    // Whether there is such a run nobody can tell now.
    let (code, problem) = status(&server, &format!("/runs/{}", "0".repeat(ended.len()))).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE, "{problem}");

    etcd.cut();
    wait_for("both are shown again", PATIENCE, async || {
        let (code, list) = status(&server, "/runs").await;
        code == StatusCode::OK
            && list.get("incomplete").is_none()
            && list["items"].as_array().unwrap().len() == 2
    })
    .await;
}
