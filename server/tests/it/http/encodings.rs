//! gzip and brotli, where they help and nowhere else; and what an ETag means then.

use std::io::Read as _;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::product::Product;

fn asking(request: RequestBuilder, encoding: &str) -> RequestBuilder {
    request.header("accept-encoding", encoding)
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    Some(answer.headers().get(name)?.to_str().unwrap())
}

fn plain(encoding: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    match encoding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text),
        _ => brotli_decompressor::Decompressor::new(bytes, 4_096).read_to_string(&mut text),
    }
    .unwrap();
    text
}

#[tokio::test]
async fn a_compressed_answer_says_the_same_and_its_etag_is_of_use() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({ "command": "true", "description": "word ".repeat(400) });
    product.put_job("long", &job).await;
    let whole = product.text("/jobs/long").await;
    for encoding in ["gzip", "br"] {
        let request = product.request(Method::GET, "/jobs/long");
        let answer = asking(request, encoding).send().await.unwrap();
        assert_eq!(header(&answer, "content-encoding"), Some(encoding));
        assert_eq!(header(&answer, "vary"), Some("accept-encoding"));
        let etag = header(&answer, "etag").unwrap().to_owned();
        assert!(etag.starts_with("W/\""), "{etag}");
        let bytes = answer.bytes().await.unwrap();
        assert!(bytes.len() < whole.len() / 2, "{} bytes", bytes.len());
        let said: Value = serde_json::from_str(&plain(encoding, &bytes)).unwrap();
        assert_eq!(said["description"], job["description"]);

        let put = || {
            let put = product.request(Method::PUT, "/jobs/long");
            put.header("if-match", &etag).json(&job)
        };
        assert_eq!(put().send().await.unwrap().status(), StatusCode::OK);
        let outdated = put().send().await.unwrap();
        assert_eq!(outdated.status(), StatusCode::PRECONDITION_FAILED);
    }
}

#[tokio::test]
async fn what_is_small_or_a_range_or_a_stream_is_sent_as_it_is() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({ "command": "seq 1 2000" });
    product.put_job("prints", &job).await;
    let run = product.run_job("prints").await;
    let id = run["id"].as_str().unwrap();
    let get = async |path: &str, range: Option<&str>| {
        let request = asking(product.request(Method::GET, path), "br, gzip");
        let range = range.map(|range| ("range", range));
        let request = match range {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        request.send().await.unwrap()
    };
    let small = get("/jobs/prints/next", None).await;
    assert_eq!(header(&small, "content-encoding"), None);
    let output = format!("/runs/{id}/output");
    let part = get(&output, Some("bytes=0-1999")).await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&part, "content-encoding"), None);
    assert!(part.text().await.unwrap().starts_with("1\n2\n3\n"));
    let stream = get(&format!("/runs/{id}/stream"), None).await;
    assert_eq!(header(&stream, "content-encoding"), None);
    assert!(stream.text().await.unwrap().contains("event: end"));
    let whole = get(&output, None).await;
    assert!(header(&whole, "content-encoding").is_some());
    assert_eq!(header(&whole, "accept-ranges"), None);
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_name() {
    let product = Product::start(&["--no-examples"]);
    let put = |encoding: &'static str| {
        let put = product.request(Method::PUT, "/jobs/j");
        let put = put.header("content-encoding", encoding);
        put.json(&json!({ "command": "true" })).send()
    };
    assert_eq!(put("identity").await.unwrap().status(), StatusCode::CREATED);
    let refused = put("gzip").await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/encoded-body");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("Content-Encoding is \"gzip\""), "{detail}");
}
