//! The life of a token: made, shown once, recognised, used, expired, revoked; guessed at; lost.

use std::process::Output;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::product::{Product, told};

async fn status(product: &Product, token: &str) -> StatusCode {
    let asked = product.bare(Method::GET, "/api/v1/jobs").bearer_auth(token);
    asked.send().await.unwrap().status()
}

fn lines(output: &Output) -> String {
    assert!(output.status.success(), "{}", told(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn a_token_is_shown_once_recognised_by_its_id_and_revoked() {
    let product = Product::start(&["--no-examples"]);
    let create = [
        "token", "create", "deploys", "--role", "editor", "--prefix", "data/",
    ];
    let made = lines(&product.cli(&create));
    let token = made.trim();
    let id = token.strip_prefix("sandclock_").unwrap().get(..8).unwrap();
    assert_eq!(status(&product, token).await, StatusCode::OK);
    let listed = lines(&product.cli(&["token", "ls"]));
    let row = listed.lines().find(|line| line.starts_with(id)).unwrap();
    for part in ["deploys", "editor", "data/"] {
        assert!(row.contains(part), "{listed}");
    }
    let secret = token.rsplit('_').next().unwrap();
    let tokens = product.get("/tokens").await;
    assert!(!tokens.to_string().contains(secret) && !tokens.to_string().contains("argon2"));
    let of_id = |token: &&Value| token["id"] == id;
    let kept = tokens["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(of_id)
        .unwrap()
        .clone();
    assert_eq!(kept["created_by"], "admin");
    assert_eq!(kept["used_from"], "127.0.0.1");
    assert!(kept["used_at"].is_string() && kept["expired"] == false);
    // Nothing that is stored says the secret.
    for file in std::fs::read_dir(product.data()).unwrap() {
        let path = file.unwrap().path();
        if let Ok(bytes) = std::fs::read(&path) {
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
    let whole = product.cli(&["token", "revoke", token]);
    assert!(
        !whole.status.success() && !told(&whole).contains(secret),
        "{}",
        told(&whole)
    );
    lines(&product.cli(&["token", "revoke", id]));
    assert_eq!(status(&product, token).await, StatusCode::UNAUTHORIZED);
    let again = told(&product.cli(&["token", "revoke", id]));
    assert!(again.contains("there is no token"), "{again}");
}

#[tokio::test]
async fn the_last_token_of_an_admin_stays() {
    let product = Product::start(&["--no-examples"]);
    let refused = told(&product.cli(&["token", "revoke", "00000000"]));
    assert!(
        refused.contains("last token") && refused.contains("make another"),
        "{refused}"
    );
    for less in [
        &["--role", "editor"][..],
        &["--role", "admin", "--expires", "1"],
        &["--role", "admin", "--prefix", "a/"],
    ] {
        lines(&product.cli(&[&["token", "create", "less"][..], less].concat()));
        assert!(
            !product
                .cli(&["token", "revoke", "00000000"])
                .status
                .success()
        );
    }
    let other = lines(&product.cli(&["token", "create", "other", "--role", "admin"]));
    lines(&product.cli(&["token", "revoke", "00000000"]));
    assert_eq!(
        status(&product, &product.token).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(status(&product, other.trim()).await, StatusCode::OK);
}

#[tokio::test]
async fn who_guesses_waits_and_who_knows_does_not() {
    let product = Product::start(&["--no-examples"]);
    let wrong = format!("sandclock_00000000_{}", "a".repeat(64));
    for _ in 0..10 {
        assert_eq!(status(&product, &wrong).await, StatusCode::UNAUTHORIZED);
    }
    let asked = product
        .bare(Method::GET, "/api/v1/jobs")
        .bearer_auth(&wrong);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // The right one of the same id, from the same address.
    product.get("/jobs").await;
}

#[tokio::test]
async fn what_is_no_token_is_refused_with_the_field() {
    let product = Product::start(&["--no-examples"]);
    for (asked, field) in [
        (json!({ "name": "", "role": "viewer" }), "name"),
        (json!({ "name": "a\nb", "role": "viewer" }), "name"),
        (json!({ "name": "a".repeat(101), "role": "viewer" }), "name"),
        (json!({ "name": "a", "role": "root" }), "role"),
        (json!({ "name": "a" }), "role"),
        (
            json!({ "name": "a", "role": "viewer", "prefixes": ["/a"] }),
            "prefixes",
        ),
        (
            json!({ "name": "a", "role": "viewer", "expires_in_s": 0 }),
            "expires_in_s",
        ),
        (
            json!({ "name": "a", "role": "viewer", "until": "x" }),
            "until",
        ),
    ] {
        let answer = product.send(Method::POST, "/tokens", &asked).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{asked}");
        let problem: Value = answer.json().await.unwrap();
        let said = problem["field"].as_str().unwrap_or_default().to_owned()
            + &problem["detail"].to_string();
        assert!(said.contains(field), "{asked}: {problem}");
    }
    assert_eq!(
        product.get("/tokens").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_lost_token_is_replaced_without_a_server() {
    let mut product = Product::start(&["--no-examples"]);
    product.stop().await;
    let data = product.data();
    let data = ["--data", data.to_str().unwrap()];
    let made =
        lines(&product.cli(&[&["token", "create", "anew", "--role", "admin"][..], &data].concat()));
    let listed = lines(&product.cli(&[&["token", "ls"][..], &data].concat()));
    assert!(
        listed.contains("anew") && listed.contains("00000000"),
        "{listed}"
    );
    let product = product.restart_after_kill(&["--no-examples"]);
    assert_eq!(status(&product, made.trim()).await, StatusCode::OK);
}

/// Releases before kept tokens in a file of each host.
#[tokio::test]
async fn tokens_of_an_earlier_release_are_taken_over() {
    let mut product = Product::start(&["--no-examples"]);
    product.stop().await;
    let earlier = format!("sandclock_{}", "ab".repeat(32));
    let print = sandclock_core::run::hex(
        &<sha2::Sha256 as sha2::Digest>::digest(earlier.as_bytes()),
        32,
    );
    let file = product.data().join("tokens.json");
    let members = json!({ &print: { "name": "old", "role": "operator" } });
    std::fs::write(&file, members.to_string()).unwrap();
    let product = product.restart_after_kill(&["--no-examples"]);
    assert_eq!(status(&product, &earlier).await, StatusCode::OK);
    assert!(!file.exists() && product.data().join("tokens.json.moved").exists());
    let refused = product
        .bare(Method::PUT, "/api/v1/jobs/x")
        .bearer_auth(&earlier);
    let refused = refused
        .json(&json!({ "command": "true" }))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let tokens = product.get("/tokens").await;
    assert!(tokens.to_string().contains("\"old\""), "{tokens}");
    // Once it is revoked, no copy of the file brings it back.
    let old = tokens["items"].as_array().unwrap().iter();
    let mut old = old.filter(|token| token["name"] == "old");
    lines(&product.cli(&[
        "token",
        "revoke",
        old.next().unwrap()["id"].as_str().unwrap(),
    ]));
    assert_eq!(status(&product, &earlier).await, StatusCode::UNAUTHORIZED);
    std::fs::write(&file, members.to_string()).unwrap();
    let product = product.restart_after_kill(&["--no-examples"]);
    assert_eq!(status(&product, &earlier).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_stream_ends_when_its_reader_is_revoked() {
    let product = Product::start(&["--no-examples"]);
    let long = json!({ "command": "echo up; exec sleep 600" });
    product.put_job("long", &long).await;
    let run = product.start_run("long").await;
    let made = lines(&product.cli(&["token", "create", "reader", "--role", "viewer"]));
    let path = format!("/api/v1/runs/{run}/stream");
    let asked = product.bare(Method::GET, &path).bearer_auth(made.trim());
    let mut stream = asked.send().await.unwrap();
    let mut seen = String::new();
    while !seen.contains("up") {
        let piece = stream.chunk().await.unwrap().unwrap();
        seen += std::str::from_utf8(&piece).unwrap();
    }
    let id = made.strip_prefix("sandclock_").unwrap().get(..8).unwrap();
    lines(&product.cli(&["token", "revoke", id]));
    let ends = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), ends)
        .await
        .unwrap();
    assert!(product.get(&format!("/runs/{run}")).await["ended_at"].is_null());
}

#[tokio::test]
async fn two_admins_cannot_lock_everybody_out_at_once() {
    let product = Product::start(&["--no-examples"]);
    let other = lines(&product.cli(&["token", "create", "other", "--role", "admin"]));
    let other = other.trim();
    let id = other.strip_prefix("sandclock_").unwrap().get(..8).unwrap();
    let revoke = async |token: &str, id: &str| {
        let path = format!("/api/v1/tokens/{id}");
        let asked = product.bare(Method::DELETE, &path).bearer_auth(token);
        asked.send().await.unwrap().status()
    };
    let (first, second) = tokio::join!(revoke(&product.token, id), revoke(other, "00000000"));
    assert!(
        first != second || first == StatusCode::CONFLICT,
        "{first} {second}"
    );
    let left = [&*product.token, other].map(|token| status(&product, token));
    let left = futures_util::future::join_all(left).await;
    assert!(left.contains(&StatusCode::OK), "{left:?}");
}

#[tokio::test]
async fn what_a_limited_caller_may_not_change_is_refused_without_a_trace() {
    let product = Product::start(&["--no-examples"]);
    let create = ["token", "create", "a", "--role", "editor", "--prefix", "a/"];
    let token = lines(&product.cli(&create));
    for (name, status, entries) in [("a%2Fx", 201, 1), ("b%2Fx", 403, 0)] {
        let path = format!("/api/v1/jobs/{name}");
        let asked = product.bare(Method::PUT, &path).bearer_auth(token.trim());
        let answer = asked.json(&json!({ "command": "true" })).send().await;
        assert_eq!(answer.unwrap().status().as_u16(), status);
        let trail = product.get(&format!("/audit?subject={name}")).await;
        assert_eq!(trail["items"].as_array().unwrap().len(), entries, "{trail}");
    }
}
