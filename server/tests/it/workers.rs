//! Workers as operators see and handle them: labels, draining, and an address of their own.
//!
//! Client commands block the thread that waits for them, so that another one has to serve connections.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as a user does"
)]

use std::process::Command;

use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::fleet::{PATIENCE, records};
use crate::product::{PROGRAM, Product, told, wait_for};
use crate::stores::{Evidence, Stores};
use crate::worker::Worker;

async fn worker(server: &Product, name: &str) -> Option<Value> {
    let mut workers = server.get("/workers").await;
    let workers = workers["items"].as_array_mut().map(std::mem::take);
    workers
        .unwrap()
        .into_iter()
        .find(|worker| worker["name"] == name)
}

fn said(output: &std::process::Output) -> (String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_shown_and_a_list_fits_eighty_columns() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let labels = [
        ("SANDCLOCK__WORKER__LABELS__ZONE", "eu-central-1a"),
        ("SANDCLOCK__WORKER__LABELS__DISK", "ssd"),
    ];
    let _worker = Worker::start_with("worker-eu-1", &stores, &labels);
    wait_for("it has a session", PATIENCE, async || {
        worker(&server, "worker-eu-1").await.is_some()
    })
    .await;
    let shown = server.get("/workers").await;
    let want = json!({ "disk": "ssd", "zone": "eu-central-1a" });
    assert_eq!(shown["items"][0]["labels"], want, "{shown}");
    assert!(shown["items"][0]["id"].is_string(), "{shown}");
    let (out, err) = said(&server.cli(&["worker", "ls"]));
    assert!(out.contains("disk=ssd,zone=eu-central-1a"), "{out}{err}");
    let list = server.on_a_terminal(&["worker", "ls"]);
    assert!(
        list.contains("worker-eu-1") && list.contains("disk=ssd"),
        "{list}"
    );
    for line in list.lines() {
        assert!(line.trim_end().chars().count() <= 80, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_worker_finishes_its_runs_takes_nothing_and_stays() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let mut first = Worker::start("first", &stores);
    let (evidence, go) = (Evidence::new(), Evidence::new());
    let file = go.file().display();
    let command = format!(
        "{}; until [ -e {file} ]; do sleep 0.1; done",
        evidence.says("begun")
    );
    server.put_job("long", &json!({ "command": command })).await;
    let run = server.start_run("long").await;
    wait_for("it runs", PATIENCE, async || evidence.lines() == ["begun"]).await;
    let _second = Worker::start("second", &stores);

    let (out, err) = said(&server.cli(&["worker", "drain", "first"]));
    assert_eq!(out, "asked to drain: first\n", "{err}");
    wait_for("it says so", PATIENCE, async || {
        worker(&server, "first").await.unwrap()["draining"] == true
    })
    .await;
    // All that is due goes to the other one, and the run goes on.
    let ticks = Evidence::new();
    let job = json!({ "command": ticks.says("$SANDCLOCK_FIRE_TIME $SANDCLOCK_WORKER"), "schedule": "@every 1s" });
    server.put_job("every-second", &job).await;
    wait_for("it runs elsewhere", PATIENCE, async || {
        ticks.pairs().len() >= 5
    })
    .await;
    assert!(
        ticks.pairs().iter().all(|(_, by)| by == "second"),
        "{:?}",
        ticks.pairs()
    );
    std::fs::write(go.file(), "").unwrap();
    let end = server.ended(&run).await;
    assert_eq!(
        (&end["state"], &end["worker"]),
        (&json!("succeeded"), &json!("first"))
    );

    // It stays, without work, and asking again changes nothing.
    let (out, err) = said(&server.cli(&["worker", "drain", "first", "--wait"]));
    assert_eq!(out, "drained: first\n", "{err}");
    let idle = worker(&server, "first").await.unwrap();
    assert_eq!(
        (&idle["draining"], &idle["running"]),
        (&json!(true), &json!(0)),
        "{idle}"
    );
    let (out, _) = said(&server.cli(&["worker", "ls"]));
    assert!(out.contains("0 of 64, drains"), "{out}");
    assert!(
        first.process.try_wait().unwrap().is_none(),
        "{}",
        first.log()
    );

    // Another start is another session.
    first.signal(Signal::SIGTERM);
    let _first = first.restart();
    wait_for("it works again", PATIENCE, async || {
        worker(&server, "first")
            .await
            .is_some_and(|again| again["draining"] == false && again["id"] != idle["id"])
    })
    .await;
    wait_for("it takes its share", PATIENCE, async || {
        ticks.pairs().iter().any(|(_, by)| by == "first")
    })
    .await;
    let disabled = server.request(Method::POST, "/jobs/every-second/disable");
    assert!(disabled.send().await.unwrap().status().is_success());
    let lost = records(&server, "every-second").await.into_values();
    assert!(lost.into_iter().all(|run| run["state"] != "lost"));
}

/// The deadline is that of a worker which is stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_outlives_a_drain_is_ended() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let deadline = [("SANDCLOCK__WORKER__DRAIN_S", "1")];
    let mut worker = Worker::start_with("only", &stores, &deadline);
    let evidence = Evidence::new();
    let command = format!("{}; sleep 600", evidence.says("begun"));
    server.put_job("long", &json!({ "command": command })).await;
    let run = server.start_run("long").await;
    wait_for("it runs", PATIENCE, async || evidence.lines() == ["begun"]).await;
    let (out, err) = said(&server.cli(&["worker", "drain", "only", "--wait"]));
    assert_eq!(out, "drained: only\n", "{err}");
    let end = server.ended(&run).await;
    assert_eq!(end["state"], "lost", "{end}");
    assert!(
        worker.process.try_wait().unwrap().is_none(),
        "{}",
        worker.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_there_cannot_be_drained() {
    let server = Product::server(&Stores::shared().toml());
    let answer = server.request(Method::POST, "/workers/0123/drain");
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    let problem: Value = answer.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("no worker has the id 0123"), "{detail}");
    let output = server.cli(&["worker", "drain", "nobody"]);
    let (_, err) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("no worker is called nobody"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_alone_says_how_it_is() {
    sandclock_server::tls();
    let stores = Stores::shared();
    let listen = [("SANDCLOCK__WORKER__LISTEN", "127.0.0.1:0")];
    let mut worker = Worker::start_with("only", &stores, &listen);
    let ready = worker.says();
    let ready = ready
        .trim()
        .strip_prefix("health")
        .unwrap()
        .trim()
        .to_owned();
    let url = ready.strip_suffix("/readyz").unwrap().to_owned();
    assert!(worker.says().ends_with(&format!("{url}/metrics")));
    assert!(worker.says().contains("token create"));
    let config = worker.home().join("sandclock.toml");
    let mut command = Command::new(PROGRAM);
    command.args(["token", "create", "metrics", "--role", "viewer", "--config"]);
    let made = command.arg(config).output().unwrap();
    assert!(made.status.success(), "{}", told(&made));
    let token = String::from_utf8(made.stdout).unwrap();
    let token = token.trim();
    let get = async |path: &str, token: Option<&str>| {
        let mut request = reqwest::Client::new().get(format!("{url}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    wait_for("it is ready", PATIENCE, async || {
        get("/readyz", None).await.0 == StatusCode::OK
    })
    .await;
    assert_eq!(get("/healthz", None).await.0, StatusCode::OK);
    assert_eq!(get("/metrics", None).await.0, StatusCode::UNAUTHORIZED);
    wait_for("it knows the new token", PATIENCE, async || {
        get("/metrics", Some(token)).await.0 == StatusCode::OK
    })
    .await;
    let (_, metrics) = get("/metrics", Some(token)).await;
    for line in [
        "sandclock_worker_ready 1\n",
        "sandclock_run_log_away 0\n",
        "worker=\"only\"",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // It is no server.
    for path in ["/api/v1/jobs", "/"] {
        let (code, problem) = get(path, Some(token)).await;
        assert_eq!(code, StatusCode::NOT_FOUND, "{path}: {problem}");
    }
    worker.stop().await;
}
