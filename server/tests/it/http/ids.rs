//! The id of a request: in its answer, in what refuses it, and in the log.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::product::Product;
use crate::stores::Stores;

const ID: &str = "x-request-id";

#[tokio::test]
async fn an_id_leads_from_an_answer_to_the_log() {
    let server = Product::server(&Stores::shared().toml());
    let save = server.bare(Method::POST, "/job/save");
    let save = save.bearer_auth(&server.token).header(ID, "from-afar");
    let job = r#"{"name":"j","command":"true","cronExpr":"@daily"}"#;
    let saved = save.body(job).send().await.unwrap();
    assert_eq!(saved.headers()[ID], "from-afar");
    let log = String::from_utf8(server.log()).unwrap();
    let line = log.lines().find(|line| line.contains("saved through"));
    let line = line.expect("a line of the request");
    assert!(line.contains(r#"request{id="from-afar"}"#), "{line}");
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let product = Product::start(&["--no-examples"]);
    let mut seen = std::collections::BTreeSet::new();
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/",
        "/no/such/route",
        "/api/v1/jobs",
        "/api/v1/jobs/x",
    ] {
        for sent in [None, Some("two words"), Some("")] {
            let mut request = product.bare(Method::GET, path);
            if let Some(sent) = sent {
                request = request.header(ID, sent);
            }
            let answer = request.send().await.unwrap();
            let id = answer.headers()[ID].to_str().unwrap().to_owned();
            assert_eq!(id.len(), 16, "{path}: {id}");
            let refused = answer.status() == StatusCode::UNAUTHORIZED;
            if refused {
                let problem: Value = answer.json().await.unwrap();
                assert_eq!(problem["request_id"], *id, "{path}: {problem}");
            }
            assert!(seen.insert(id), "{path}");
        }
    }
}
