//! Many clients at once: the same request is one run, and of editors of the same version one wins.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::product::Product;

#[tokio::test]
async fn a_hundred_posts_of_one_key_are_one_run() {
    let product = Product::start(&["--no-examples"]);
    product
        .put_job("once", &json!({ "command": "echo ran" }))
        .await;
    let post = async || {
        let asked = product.request(Method::POST, "/jobs/once/run");
        let answer = asked.header("idempotency-key", "deploy-17").send();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let answer: Value = answer.json().await.unwrap();
        answer["run"].as_str().unwrap().to_owned()
    };
    let runs: BTreeSet<_> = join_all((0..100).map(|_| post()))
        .await
        .into_iter()
        .collect();
    let [run] = Vec::from_iter(runs).try_into().unwrap();
    let run: String = run;
    assert_eq!(product.ended(&run).await["state"], "succeeded");
    let all = product.runs("job=once").await;
    let [only] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!(only["id"], run);
    assert_eq!(product.text(&format!("/runs/{run}/output")).await, "ran\n");
}

#[tokio::test]
async fn of_two_editors_of_one_version_one_wins_and_the_other_is_told_why() {
    let product = Product::start(&["--no-examples"]);
    product
        .put_job("shared", &json!({ "command": "true" }))
        .await;
    for round in 0..20 {
        let read = product.request(Method::GET, "/jobs/shared").send();
        let read = read.await.unwrap();
        let etag = read.headers()["etag"].to_str().unwrap().to_owned();
        let edit = async |who: &str| {
            let job = json!({ "command": "true", "description": format!("{who} {round}") });
            let asked = product.request(Method::PUT, "/jobs/shared").json(&job);
            let answer = asked.header("if-match", &etag).send().await.unwrap();
            (answer.status(), answer.json::<Value>().await.unwrap())
        };
        let (ann, bob) = tokio::join!(edit("ann"), edit("bob"));
        let (won, lost) = match ann.0 {
            StatusCode::OK => (ann, bob),
            _ => (bob, ann),
        };
        assert_eq!(
            (won.0, lost.0),
            (StatusCode::OK, StatusCode::PRECONDITION_FAILED)
        );
        assert_eq!(lost.1["type"], "/problems/precondition");
        let why = lost.1["detail"].as_str().unwrap();
        assert!(why.contains("shared"), "{why}");
        let there = product.get("/jobs/shared").await;
        assert_eq!(there["description"], won.1["description"]);
    }
}
