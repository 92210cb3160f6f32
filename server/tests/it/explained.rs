//! Why a run is as it is, as the API explains it and the command line prints it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::product::{Product, wait_for};

const ARGS: &[&str] = &["--no-examples"];

fn commands(explained: &Value) -> Vec<&str> {
    let advice = explained["advice"].as_array().unwrap().iter();
    advice.map(|one| one["command"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_failed_run_is_explained_in_one_document_that_the_command_prints() {
    let product = Product::start(ARGS);
    let job = json!({ "command": "echo no; exit 3", "schedule": "0 3 * * *", "time_zone": "Europe/Berlin" });
    product.put_job("team%2Fa", &job).await;
    let run = product.run_job("team%2Fa").await;
    let id = run["id"].as_str().unwrap();
    let explained = product.get(&format!("/runs/{id}/explain")).await;
    assert_eq!(explained["run"], product.get(&format!("/runs/{id}")).await);
    let hooks = product.get(&format!("/runs/{id}/hooks")).await;
    assert_eq!(explained["hooks"], hooks["items"]);
    assert_eq!(
        (&explained["schedule"]["expression"], &explained["attempts"]),
        (&json!("0 3 * * *"), &json!({ "made": 1, "allowed": 1 }))
    );
    let next = product.get("/jobs/team%2Fa/next").await;
    assert_eq!(explained["schedule"]["text"], next["description"]);
    let why: Vec<_> = explained["why"].as_array().unwrap().iter().collect();
    let why: Vec<_> = why.iter().map(|one| one.as_str().unwrap()).collect();
    assert!(why[0].starts_with("It failed in attempt 1"), "{why:?}");
    let cause = run["cause"].as_str().unwrap();
    assert_eq!(why[1], format!("The cause: {cause}."));
    assert!(why.contains(&"The job has no retries."), "{why:?}");
    let again = "sandclock job run team/a";
    let read = format!("sandclock run logs {id}");
    assert_eq!(commands(&explained), [&*read, again]);

    let printed = product.on_a_terminal(&["run", "explain", id]);
    for sentence in why.iter().chain([&again]) {
        assert!(printed.contains(sentence), "{sentence}: {printed}");
    }
    let said = product.cli(&["run", "explain", id, "--output", "json"]);
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said, explained);

    // Who may only look is told nothing else.
    let asked = json!({ "name": "eye", "role": "viewer", "prefixes": ["team/"] });
    let made = product.send(Method::POST, "/tokens", &asked).await;
    let made: Value = made.json().await.unwrap();
    let path = format!("/api/v1/runs/{id}/explain");
    let asked = product.bare(Method::GET, &path);
    let asked = asked.bearer_auth(made["token"].as_str().unwrap());
    let seen: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(commands(&seen), [&*read]);

    // A job that is gone is said to be.
    let gone = product.request(Method::DELETE, "/jobs/team%2Fa").send();
    assert_eq!(gone.await.unwrap().status(), StatusCode::NO_CONTENT);
    let explained = product.get(&format!("/runs/{id}/explain")).await;
    let why = explained["why"].to_string();
    assert!(why.contains("Job team/a has been deleted since."), "{why}");
    assert_eq!(commands(&explained), [&*read]);
    assert_eq!(explained["schedule"], Value::Null);
}

#[tokio::test]
async fn a_run_that_goes_on_says_what_it_does_and_one_that_waits_why() {
    let product = Product::start(ARGS);
    let job = json!({ "command": "sleep 3600", "grace_s": 1 });
    product.put_job("busy", &job).await;
    let first = product.start_run("busy").await;
    wait_for("the job runs", Duration::from_secs(30), async || {
        product.get(&format!("/runs/{first}")).await["started_at"].is_string()
    })
    .await;
    let explained = product.get(&format!("/runs/{first}/explain")).await;
    let why = explained["why"][0].as_str().unwrap();
    assert!(why.starts_with("It runs since "), "{explained}");
    let (follow, kill) = (
        format!("sandclock run logs -f {first}"),
        format!("sandclock run kill {first}"),
    );
    assert_eq!(commands(&explained), [&*follow, &kill]);
    let second = product.start_run("busy").await;
    let explained = product.get(&format!("/runs/{second}/explain")).await;
    assert_eq!(explained["why"][0], "It waits to be started.");
    assert_eq!(explained["attempts"]["made"], 0);
    let nobody = format!("/runs/{}/explain", "0".repeat(32));
    let answer = product.request(Method::GET, &nobody).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}
