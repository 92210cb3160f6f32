//! A session of a token: how it begins, what is kept of it, who knows it, and what ends it.

use std::time::Duration;

use etcd_client::GetOptions;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::by_hand::{Session, try_token};
use super::now;
use crate::alerts::scene::Config;
use crate::product::{Product, wait_for};
use crate::stores::Stores;

const ARGS: &[&str] = &["--no-examples"];

const PATIENCE: Duration = Duration::from_secs(60);

/// A token, with its id.
async fn token(product: &Product, asked: Value) -> (String, String) {
    let made = product.send(Method::POST, "/tokens", &asked).await;
    let made: Value = made.json().await.unwrap();
    let of = |member: &str| made[member].as_str().unwrap().to_owned();
    (of("token"), of("id"))
}

async fn over(product: &Product, session: &Session) {
    wait_for("the session ends", PATIENCE, async || {
        session.status(product).await == StatusCode::UNAUTHORIZED
    })
    .await;
}

#[tokio::test]
async fn a_session_is_what_its_token_is_and_kept_without_its_secret() {
    let product = Product::start(ARGS);
    let asked = json!({ "name": "ann", "role": "operator", "prefixes": ["data/"] });
    let (token, id) = token(&product, asked).await;
    let session = Session::begin(&product, &token).await;
    let flags = "; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax";
    assert_eq!(session.set, format!("{}{flags}", session.cookie));
    let asked = session.bare(&product, Method::GET, "/session");
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let shown: Value = answer.json().await.unwrap();
    let mut told_again = session.said.clone();
    told_again["csrf_token"] = Value::Null;
    assert_eq!(shown, told_again);
    let asked = session.request(&product, Method::GET, "/session");
    let shown_to_page: Value = asked.send().await.unwrap().json().await.unwrap();
    told_again["has_csrf_token"] = json!(true);
    assert_eq!(shown_to_page, told_again);
    assert_eq!(
        (
            &shown["name"],
            &shown["role"],
            &shown["prefixes"],
            &shown["idle_s"]
        ),
        (
            &json!("ann"),
            &json!("operator"),
            &json!(["data/"]),
            &json!(3600)
        )
    );
    // What the token may not do, its session may not.
    for (method, path, status) in [
        (Method::GET, "/tokens", 403),
        (Method::PUT, "/jobs/data%2Fx", 403),
        (Method::POST, "/jobs/data%2Fx/run", 404),
        (Method::POST, "/jobs/other/run", 403),
    ] {
        let asked = session.request(&product, method, path).json(&json!({}));
        assert_eq!(asked.send().await.unwrap().status(), status, "{path}");
    }
    // A request with a token has no session to end.
    let of_token = product.get("/session").await;
    assert_eq!(
        (&of_token["name"], &of_token["csrf_token"]),
        (&json!("admin"), &Value::Null)
    );
    let ended = product.request(Method::DELETE, "/session").send().await;
    assert_eq!(ended.unwrap().status(), StatusCode::NOT_FOUND);
    // Nothing that is stored says the secret.
    for file in std::fs::read_dir(product.data()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        for secret in [session.secret(), &session.csrf] {
            let secret = secret.as_bytes();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret));
        }
    }
    let trail = product.get("/audit?action=session.create").await;
    let entry = &trail["items"][0];
    assert_eq!(
        (&entry["who"], &entry["token"], &entry["from"]),
        (&json!("ann"), &json!(id), &json!("127.0.0.1"))
    );
}

#[tokio::test]
async fn behind_tls_the_cookie_is_this_hosts_and_goes_nowhere_without() {
    let config = Config::new("behind_proxy = true\n");
    let product = config.dev();
    let session = Session::begin(&product, &product.token).await;
    assert!(session.cookie.starts_with("__Host-sandclock-session="));
    assert!(session.set.ends_with("; Secure"), "{}", session.set);
    assert_eq!(session.status(&product).await, StatusCode::OK);
    let plain = session.cookie.trim_start_matches("__Host-");
    let asked = product.bare(Method::GET, "/api/v1/session");
    let answer = asked.header("cookie", plain).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_knows_a_session_at_once_and_that_it_has_ended() {
    let stores = Stores::shared();
    let (one, other) = (
        Product::server(&stores.toml()),
        Product::server(&stores.toml()),
    );
    let (token, id) = token(&one, json!({ "name": "ann", "role": "admin" })).await;
    let (first, second) = (
        Session::begin(&one, &token).await,
        Session::begin(&other, &token).await,
    );
    assert_eq!(first.status(&other).await, StatusCode::OK);
    assert_eq!(second.status(&one).await, StatusCode::OK);
    let ended = first
        .request(&other, Method::DELETE, "/session")
        .send()
        .await;
    let ended = ended.unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    let line = ended.headers()["set-cookie"].to_str().unwrap();
    assert!(
        line.contains("session=; ") && line.contains("Max-Age=0"),
        "{line}"
    );
    assert_eq!(first.status(&other).await, StatusCode::UNAUTHORIZED);
    over(&one, &first).await;
    assert_eq!(second.status(&one).await, StatusCode::OK);
    let trail = one.get("/audit?action=session.end").await;
    assert_eq!(trail["items"][0]["who"], "ann", "{trail}");

    let path = format!("/tokens/{id}");
    let revoked = one.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(revoked.status(), StatusCode::NO_CONTENT);
    assert_eq!(second.status(&one).await, StatusCode::UNAUTHORIZED);
    over(&other, &second).await;
    // The server that leads forgets it.
    wait_for("nothing is kept of it", PATIENCE, async || {
        let mut raw = stores.raw().await;
        let keys = GetOptions::new().with_prefix().with_keys_only();
        let all = raw.get(format!("/{}/", stores.own), Some(keys)).await;
        let kept = |kv: &etcd_client::KeyValue| kv.key_str().unwrap().contains("sign-in");
        !all.unwrap().kvs().iter().any(kept)
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_with_its_token_or_at_its_time() {
    let product = Product::start(ARGS);
    let asked = json!({ "name": "short", "role": "viewer", "expires_in_s": 2 });
    let (short, _) = token(&product, asked).await;
    let session = Session::begin(&product, &short).await;
    over(&product, &session).await;
    let config = Config::new("[sessions]\nlifetime_s = 2\n");
    let product = config.dev();
    let session = Session::begin(&product, &product.token).await;
    over(&product, &session).await;
    product.get("/jobs").await;
}

#[tokio::test]
async fn a_session_ends_unused_and_one_that_is_used_does_not() {
    let config = Config::new("[sessions]\nidle_s = 4\n");
    let product = config.dev();
    let session = Session::begin(&product, &product.token).await;
    let unused = Session::begin(&product, &product.token).await;
    let end = unused.said["expires_at"].as_str().unwrap();
    let end = sandclock_core::Timestamp::parse(end).unwrap();
    // To ask for the other one would be a use of it.
    let long_ago = "the other one was not used for so long";
    wait_for(long_ago, PATIENCE, async || {
        assert_eq!(session.status(&product).await, StatusCode::OK);
        end.since(now()) < Duration::from_secs(43_200 - 5)
    })
    .await;
    assert_eq!(unused.status(&product).await, StatusCode::UNAUTHORIZED);
    assert_eq!(session.status(&product).await, StatusCode::OK);
}

#[tokio::test]
async fn somebody_has_ten_sessions_and_the_eleventh_ends_the_oldest() {
    let product = Product::start(ARGS);
    let mut sessions = Vec::new();
    for _ in 0..11 {
        sessions.push(Session::begin(&product, &product.token).await);
    }
    over(&product, &sessions[0]).await;
    for session in &sessions[1..] {
        assert_eq!(session.status(&product).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn who_guesses_waits_and_who_knows_signs_in() {
    let product = Product::start(ARGS);
    for at in 0..10 {
        let wrong = format!("sandclock_{at:08x}_{}", "a".repeat(64));
        let answer = try_token(&product, &wrong).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    let wrong = format!("sandclock_ffffffff_{}", "a".repeat(64));
    let answer = try_token(&product, &wrong).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(try_token(&product, &product.token).await.status(), 201);
}

#[tokio::test]
async fn a_stream_ends_with_its_readers_session() {
    let product = Product::start(ARGS);
    let long = json!({ "command": "echo up; exec sleep 600" });
    product.put_job("long", &long).await;
    let run = product.start_run("long").await;
    let session = Session::begin(&product, &product.token).await;
    let path = format!("/runs/{run}/stream");
    let asked = session.bare(&product, Method::GET, &path);
    let mut stream = asked.send().await.unwrap();
    let mut seen = String::new();
    while !seen.contains("up") {
        let piece = stream.chunk().await.unwrap().unwrap();
        seen += std::str::from_utf8(&piece).unwrap();
    }
    let ended = session.request(&product, Method::DELETE, "/session");
    assert!(ended.send().await.unwrap().status().is_success());
    let ends = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, ends).await.unwrap();
}

/// They change things by any method, so that the cookie of somebody who follows a link is not enough.
#[tokio::test(flavor = "multi_thread")]
async fn the_routes_of_a_go_master_take_no_session() {
    let product = Product::server(&Stores::shared().toml());
    let session = Session::begin(&product, &product.token).await;
    for path in ["/job/list", "/job/kill?name=x"] {
        let asked = product.bare(Method::GET, path);
        let asked = asked.header("cookie", &session.cookie);
        let asked = asked.header("x-csrf-token", &session.csrf);
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}
