//! Every answer of the API is what its document says: a program that knows nothing but the document asks whatever it allows
//! and forbids. No worker is there, so that nothing of what it makes up is run.

use reqwest::Method;
use sandclock_testkit::schemathesis;
use serde_json::json;

use crate::openapi::operations;
use crate::product::{Product, told};
use crate::stores::Stores;

/// How many requests of its own making it sends to each operation, beside those that cover the schemas.
const CASES: u32 = 25;

/// What is there before it asks, so that its requests meet something.
async fn furnish(server: &Product) {
    let job = json!({ "command": "true", "schedule": "30 3 * * *" });
    for name in ["nightly", "shop%2Freport"] {
        server.put_job(name, &job).await;
        server.start_run(name).await;
    }
    let binding = json!({ "selector": { "all": true }, "plugin": "timeout-ladder" });
    let path = "/bindings/limits";
    let bound = server.send(Method::PUT, path, &binding).await;
    assert!(bound.status().is_success(), "{bound:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_what_the_document_says() {
    // It asks more in a second than a program should.
    let unlimited = "api.requests_per_s = 0\n".to_owned();
    let server = Product::server(&(unlimited + &Stores::shared().toml()));
    furnish(&server).await;
    let document = server.get("/openapi.json").await;
    let url = format!("{}/api/v1/openapi.json", server.url);
    let token = server.token.clone();
    let asked = tokio::task::spawn_blocking(move || schemathesis::ask(&url, &token, 1, CASES));
    let asked = asked.await.unwrap();
    let said = told(&asked);
    assert!(asked.status.success(), "{said}");
    // All but the document, which it has read.
    let tested = format!("Tested: {}", operations(&document).len() - 1);
    assert!(said.contains(&tested), "{tested}\n{said}");
    // It has revoked tokens, but not the one that it used.
    server.get("/jobs").await;
}
