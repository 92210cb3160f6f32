//! Plugins for many jobs at once: bound, seen at each job, replaced by a job's own unless required, and gone again.

use reqwest::header::{ETAG, IF_MATCH};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::fleet::PATIENCE;
use crate::product::{Product, told, wait_for};
use crate::stores::Stores;
use crate::worker::Worker;

/// A job of the team that prints a word.
async fn put_job(product: &Product, name: &str, team: &str, hooks: Value) {
    let job = json!({
        "command": "echo the word is xyzzy", "labels": { "team": team }, "hooks": hooks,
    });
    product.put_job(name, &job).await;
}

/// What a run of the job leaves in the run log, and what hooks say of it.
async fn ran(product: &Product, job: &str) -> (String, Vec<Value>) {
    let run = product.start_run(job).await;
    product.ended(&run).await;
    let text = product.text(&format!("/runs/{run}/output")).await;
    let hooks = product.get(&format!("/runs/{run}/hooks")).await;
    (text, hooks["items"].as_array().unwrap().clone())
}

async fn bound(product: &Product, job: &str) -> Value {
    product.get(&format!("/jobs/{job}")).await["bound"].clone()
}

const HIDE: [&str; 6] = [
    "plugin",
    "bind",
    "redact-secrets",
    "--label",
    "team=data",
    "--config={\"words\":[\"xyzzy\"]}",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_plugin_is_for_all_jobs_of_a_label() {
    let product = Product::start(&["--no-examples"]);
    for number in 0..20 {
        put_job(&product, &format!("data-{number}"), "data", json!([])).await;
    }
    put_job(&product, "web", "web", json!([])).await;
    let said = told(&product.cli(&HIDE));
    assert_eq!(said, "bound redact-secrets to 20 jobs as redact-secrets\n");
    for number in [0, 19] {
        let (text, hooks) = ran(&product, &format!("data-{number}")).await;
        assert!(
            text.starts_with("the word is ") && !text.contains("xyzzy"),
            "{text}"
        );
        assert_eq!(hooks[0]["plugin"], "redact-secrets");
        assert!(hooks[0]["version"].is_string(), "{hooks:?}");
    }
    assert_eq!(ran(&product, "web").await.0, "the word is xyzzy\n");
    let by = json!([{ "binding": "redact-secrets", "plugin": "redact-secrets" }]);
    assert_eq!(bound(&product, "data-7").await, by);
    assert_eq!(bound(&product, "web").await, Value::Null);
    let shown = product.on_a_terminal(&["plugin", "bindings"]);
    assert!(shown.contains("team=data"), "{shown}");
    for line in shown.lines() {
        assert!(line.trim_end().chars().count() <= 80, "{line}");
    }
    // What is shown can be written back, and it is there after a crash.
    let view = product.get("/jobs/data-7").await;
    product.put_job("data-7", &view).await;
    let product = product.restart_after_kill(&["--no-examples"]);
    assert!(!ran(&product, "data-0").await.0.contains("xyzzy"));
    let said = told(&product.cli(&["plugin", "unbind", "redact-secrets"]));
    assert_eq!(said, "unbound redact-secrets\n");
    assert_eq!(ran(&product, "data-0").await.0, "the word is xyzzy\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_own_plugin_replaces_a_binding_that_is_not_required() {
    let product = Product::start(&["--no-examples"]);
    let own = json!([{ "plugin": "redact-secrets", "config": { "words": ["the word"] } }]);
    put_job(&product, "own", "data", own).await;
    product.cli(&HIDE);
    let (text, _) = ran(&product, "own").await;
    assert!(text.contains("xyzzy") && !text.starts_with("the"), "{text}");
    let mut required = HIDE.to_vec();
    required.push("--required");
    let said = told(&product.cli(&required));
    assert!(said.contains("--replace"), "{said}");
    required.push("--replace");
    assert_eq!(
        told(&product.cli(&required)),
        "bound redact-secrets to 1 jobs as redact-secrets\n"
    );
    let (text, _) = ran(&product, "own").await;
    assert!(
        !text.contains("xyzzy") && !text.starts_with("the"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_binding_is_refused_with_the_field() {
    let product = Product::start(&["--no-examples"]);
    let all = json!({ "all": true });
    let hide = "redact-secrets";
    let cases = [
        (json!({ "plugin": hide }), "selector"),
        (json!({ "plugin": hide, "selector": {} }), "selector"),
        (
            json!({ "plugin": hide, "selector": { "all": true, "prefix": "a" } }),
            "selector",
        ),
        (
            json!({ "plugin": hide, "selector": { "prefix": "" } }),
            "selector.prefix",
        ),
        (
            json!({ "plugin": hide, "selector": { "label": {} } }),
            "selector.label",
        ),
        (json!({ "plugin": "gone", "selector": all }), "plugin"),
        (
            json!({ "plugin": hide, "selector": all, "config": 3 }),
            "config",
        ),
        (
            json!({ "plugin": hide, "selector": all, "config": { "words": [7] } }),
            "config.words[0]",
        ),
        (
            json!({ "plugin": hide, "selector": all, "order": "first" }),
            "order",
        ),
        (
            json!({ "plugin": hide, "selector": all, "name": "b" }),
            "name",
        ),
    ];
    for (binding, field) in cases {
        let refused = product.send(Method::PUT, "/bindings/a", &binding).await;
        assert_eq!(
            refused.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{binding}"
        );
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["field"], field, "{binding}: {problem}");
    }
    let good = json!({ "plugin": hide, "selector": all });
    let named = product.send(Method::PUT, "/bindings/a%20b", &good).await;
    assert_eq!(named.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(product.get("/bindings").await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_editors_one_is_told_that_the_other_was_faster() {
    let product = Product::start(&["--no-examples"]);
    let binding = |order: i32| json!({ "plugin": "timeout-ladder", "selector": { "all": true }, "order": order });
    let made = product.send(Method::PUT, "/bindings/a", &binding(1)).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let tag = made.headers()[ETAG].clone();
    let over = async |order: i32| {
        let put = product.request(Method::PUT, "/bindings/a");
        let put = put.header(IF_MATCH, &tag).json(&binding(order));
        put.send().await.unwrap().status()
    };
    assert_eq!(over(2).await, StatusCode::OK);
    assert_eq!(over(3).await, StatusCode::PRECONDITION_FAILED);
    let shown = product.get("/bindings/a").await;
    assert_eq!(shown["order"], 2);
    // What is shown can be written back.
    let again = product.send(Method::PUT, "/bindings/a", &shown).await;
    assert_eq!(again.status(), StatusCode::OK);
    let deleted = product.request(Method::DELETE, "/bindings/a").send().await;
    assert_eq!(deleted.unwrap().status(), StatusCode::NO_CONTENT);
    let gone = product.request(Method::DELETE, "/bindings/a").send().await;
    assert_eq!(gone.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worker_of_a_fleet_is_bound() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let _worker = Worker::start("bound", &stores);
    put_job(&server, "data", "data", json!([])).await;
    let said = told(&server.cli(&HIDE));
    assert!(said.starts_with("bound redact-secrets to "), "{said}");
    wait_for("the worker has the binding", PATIENCE, async || {
        !ran(&server, "data").await.0.contains("xyzzy")
    })
    .await;
    told(&server.cli(&["plugin", "unbind", "redact-secrets"]));
    wait_for("the worker has it no more", PATIENCE, async || {
        ran(&server, "data").await.0.contains("xyzzy")
    })
    .await;
}
