//! No route takes a body without an end: each says how much it takes.

use reqwest::StatusCode;
use sandclock_core::backend::plugins::MAX_MODULE_BYTES;
use sandclock_server::api::MAX_BODY_BYTES;
use serde_json::Value;

use crate::openapi::operations;
use crate::product::Product;

#[tokio::test]
async fn every_route_that_reads_a_body_says_how_large_it_may_be() {
    let product = Product::start(&["--no-examples"]);
    let document = product.get("/openapi.json").await;
    let operations = operations(&document).into_iter();
    let reading = operations.filter(|operation| operation.said.get("requestBody").is_some());
    let mut asked = 0;
    for operation in reading {
        let id = operation.said["operationId"].as_str().unwrap().to_owned();
        let bytes = match &*id {
            "plugin.push" => MAX_MODULE_BYTES + 1,
            // A module in base64, and documents beside it.
            "plugin.validate" => 2 * MAX_MODULE_BYTES,
            // A set of jobs.
            "job.apply" => 16 * MAX_BODY_BYTES + 1,
            _ => MAX_BODY_BYTES + 1,
        };
        let url = format!("{}{}", product.url, operation.url());
        let request = reqwest::Client::new().request(operation.method.clone(), url);
        let request = request.bearer_auth(&product.token).body(vec![b'a'; bytes]);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{id}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "/problems/too-large", "{id}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.chars().any(|c| c.is_ascii_digit()) && detail.contains("bytes at most"),
            "{id}: {detail}"
        );
        asked += 1;
    }
    assert!(asked > 10, "{asked} operations read a body");
}
