//! A session's cookie, however somebody came by it, changes nothing by itself: every operation of the API's document, asked
//! as another site's page makes a browser ask, or as a thief does.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder, StatusCode};
use sandclock_core::run::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::by_hand::{Session, try_token};
use crate::openapi::operations;
use crate::product::Product;

const ARGS: &[&str] = &["--no-examples"];

/// Everything that requests may change, the trail included.
async fn everything(product: &Product) -> Value {
    let mut all = json!({});
    for path in [
        "/jobs",
        "/runs",
        "/plugins",
        "/bindings",
        "/alerts",
        "/audit",
    ] {
        all[path] = product.get(path).await;
    }
    let tokens = product.get("/tokens").await;
    let ids = tokens["items"].as_array().unwrap().iter();
    all["tokens"] = ids.map(|token| token["id"].clone()).collect();
    all
}

/// What each request lacks that the console's have.
fn lacking(session: &Session, other: &Session) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let csrf = |word: &str| ("x-csrf-token", word.to_owned());
    let own = || csrf(&session.csrf);
    let mut cut = session.csrf.clone();
    cut.pop();
    vec![
        ("no word", vec![]),
        ("an empty word", vec![csrf("")]),
        ("another session's word", vec![csrf(&other.csrf)]),
        ("a part of the word", vec![csrf(&cut)]),
        ("the cookie itself", vec![csrf(session.secret())]),
        (
            "a page of this site",
            vec![own(), ("origin", "http://evil.example".to_owned())],
        ),
        (
            "a page of this site, as the browser says",
            vec![own(), ("sec-fetch-site", "cross-site".to_owned())],
        ),
        (
            "a page of this host",
            vec![own(), ("sec-fetch-site", "same-site".to_owned())],
        ),
    ]
}

#[tokio::test]
async fn a_session_cookie_alone_changes_nothing() {
    let product = Product::start(ARGS);
    let job = json!({ "command": "true", "schedule": "@yearly" });
    product.put_job("x", &job).await;
    let session = Session::begin(&product, &product.token).await;
    let other = Session::begin(&product, &product.token).await;
    let document = product.get("/openapi.json").await;
    let before = everything(&product).await;
    let changing = operations(&document)
        .into_iter()
        .filter(|one| one.method != Method::GET && one.path != "/api/v1/session");
    let mut asked = 0;
    for operation in changing.chain(session_end(&document)) {
        let path = operation.url();
        let path = path.strip_prefix("/api/v1").unwrap();
        for (what, headers) in lacking(&session, &other) {
            let mut request = session.bare(&product, operation.method.clone(), path);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let answer = request.json(&json!({})).send().await.unwrap();
            let id = &operation.said["operationId"];
            assert_eq!(
                answer.status(),
                StatusCode::FORBIDDEN,
                "{id} without {what}"
            );
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["type"], "/problems/foreign", "{id}: {problem}");
            asked += 1;
        }
    }
    assert!(asked > 200, "{asked} requests");
    assert_eq!(everything(&product).await, before);
    // The word makes the difference: to the cookie, and to nothing else.
    let run = |request: RequestBuilder| async { request.send().await.unwrap().status() };
    let path = "/jobs/x/disable";
    let with = session.request(&product, Method::POST, path);
    assert_eq!(run(with).await, StatusCode::OK);
    let only = product.bare(Method::POST, &format!("/api/v1{path}"));
    let only = only.header("x-csrf-token", &session.csrf);
    assert_eq!(run(only).await, StatusCode::UNAUTHORIZED);
    let by_token = product.request(Method::POST, path);
    let by_token = by_token.header("origin", "http://evil.example");
    assert_eq!(run(by_token).await, StatusCode::OK);
    assert_eq!(session.status(&product).await, StatusCode::OK);
}

/// What a thief of a cookie can find out: everything that anybody can who has it and only asks, and what can be computed.
async fn found_out(product: &Product, session: &Session, document: &Value) -> BTreeSet<String> {
    let mut words = BTreeSet::from([session.secret().to_owned()]);
    for operation in operations(document) {
        if operation.method != Method::GET {
            continue;
        }
        let path = operation.url();
        let path = path.strip_prefix("/api/v1").unwrap();
        let asked = session.bare(product, Method::GET, path);
        let mut answer = asked.send().await.unwrap();
        for (_, value) in answer.headers() {
            words.insert(value.to_str().unwrap().to_owned());
        }
        let mut body = Vec::new();
        // A stream does not end; what it says first is what it says.
        let is_stream = answer.headers()["content-type"] == "text/event-stream";
        while let Some(piece) = answer.chunk().await.unwrap() {
            body.extend_from_slice(&piece);
            if is_stream {
                break;
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let said = body.split(|c| !is_word(c)).filter(|word| word.len() >= 32);
        words.extend(said.map(str::to_owned));
        words.insert(body);
    }
    // Until a release of this one's time the word was this.
    let mut mac = Hmac::<Sha256>::new_from_slice(session.secret().as_bytes()).unwrap();
    mac.update(b"csrf");
    words.insert(BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    words.insert(hex(&Sha256::digest(session.secret().as_bytes()), 32));
    words
}

#[tokio::test]
async fn a_thief_of_a_cookie_finds_no_word_with_which_it_changes_anything() {
    let product = Product::start(ARGS);
    let job = json!({ "command": "true", "schedule": "@yearly" });
    product.put_job("x", &job).await;
    let session = Session::begin(&product, &product.token).await;
    let document = product.get("/openapi.json").await;
    let before = everything(&product).await;
    let words = found_out(&product, &session, &document).await;
    assert!(!words.iter().any(|word| word.contains(&session.csrf)));
    for word in words.iter().filter(|word| word.len() <= 128) {
        let Ok(word) = HeaderValue::from_str(word) else {
            continue;
        };
        let asked = session.bare(&product, Method::POST, "/jobs/x/disable");
        let asked = asked.header("x-csrf-token", word.clone());
        let status = asked.send().await.unwrap().status();
        assert_eq!(status, StatusCode::FORBIDDEN, "{word:?}");
    }
    assert_eq!(everything(&product).await, before);
    // Nor does the page that the browser is given tell it.
    let page = product
        .bare(Method::GET, "/")
        .header("cookie", &session.cookie);
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(!page.contains(&session.csrf));
}

/// Signing out changes something, too.
fn session_end(document: &Value) -> Vec<crate::openapi::Operation> {
    let mut all = operations(document);
    all.retain(|one| one.said["operationId"] == "session.end");
    assert_eq!(all.len(), 1);
    all
}

/// Nobody is signed in as somebody else by another site's page.
#[tokio::test]
async fn another_sites_page_signs_nobody_in() {
    let product = Product::start(ARGS);
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let asked = product.bare(Method::POST, "/api/v1/session");
        let asked = asked.header(name, value);
        let answer = asked.json(&json!({ "token": product.token })).send();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(!answer.headers().contains_key("set-cookie"));
    }
    assert_eq!(try_token(&product, &product.token).await.status(), 201);
}
