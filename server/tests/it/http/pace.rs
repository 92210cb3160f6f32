//! How fast a caller may ask.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::product::{Product, told, wait_for};
use crate::stores::Stores;

/// More requests than are let through at once.
const MANY: usize = 100;

fn server() -> Product {
    let limits = "api.requests_per_s = 1\napi.burst = 20\n";
    Product::server(&format!("{}{limits}", Stores::shared().toml()))
}

async fn jobs(server: &Product, token: &str) -> Response {
    let request = server.bare(Method::GET, "/api/v1/jobs");
    request.bearer_auth(token).send().await.unwrap()
}

/// Asks with this token until it is asked to wait.
async fn exhaust(server: &Product, token: &str) -> Response {
    for _ in 0..MANY {
        let answer = jobs(server, token).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            return answer;
        }
    }
    panic!("{MANY} requests were let through");
}

#[tokio::test]
async fn a_caller_that_asks_too_fast_waits_and_no_other_does() {
    let server = server();
    let other = json!({ "name": "other", "role": "viewer" });
    let other = server.send(Method::POST, "/tokens", &other).await;
    let other: Value = other.json().await.unwrap();
    let other = other["token"].as_str().unwrap();

    let refused = exhaust(&server, &server.token).await;
    let wait = refused.headers()["retry-after"].to_str().unwrap();
    assert!(wait.parse::<u64>().unwrap() >= 1, "{wait}");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/too-fast");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("api.requests_per_s"), "{detail}");

    assert_eq!(jobs(&server, other).await.status(), StatusCode::OK);
    for _ in 0..MANY {
        for path in ["/healthz", "/readyz"] {
            let answer = server.bare(Method::GET, path).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
        }
        let stream = server.request(Method::GET, "/runs/0/stream");
        let status = stream.send().await.unwrap().status();
        assert_ne!(status, StatusCode::TOO_MANY_REQUESTS);
    }
    wait_for("it may ask again", Duration::from_secs(60), async || {
        jobs(&server, &server.token).await.status() == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn who_has_no_token_is_counted_by_address() {
    let server = server();
    let refused = exhaust(&server, "sandclock_0000").await;
    assert!(refused.headers().contains_key("retry-after"));
    // Whoever has one is not counted with them.
    assert_eq!(jobs(&server, &server.token).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_command_waits_as_it_is_asked_to() {
    let server = server();
    exhaust(&server, &server.token).await;
    let listed = server.cli(&["job", "ls"]);
    assert!(listed.status.success(), "{}", told(&listed));
}

#[tokio::test]
async fn who_signs_in_again_and_again_waits_too() {
    let server = server();
    let body = json!({ "token": server.token });
    let mut asked = 0;
    let refused = loop {
        let begun = server.bare(Method::POST, "/api/v1/session").json(&body);
        let answer = begun.send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        assert_eq!(answer.status(), StatusCode::CREATED);
        asked += 1;
        assert!(asked < MANY, "all of them were let through");
    };
    assert!(refused.headers().contains_key("retry-after"));
}
