//! A job whose record cannot be read: what people see of it, how they repair it, and that the others run.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use sandclock_backend_embedded::{Embedded, EmbeddedConfig};
use sandclock_core::job::JobName;
use serde_json::{Value, json};

use crate::product::{Product, wait_for};

const ARGS: &[&str] = &["--no-examples"];

/// Leaves records that cannot be read in the store of a product that does not run; `true` for one of a
/// newer program.
pub(crate) async fn damage(data: &Path, records: &[(&str, bool)]) {
    let path = data.join("sandclock.db");
    let store = Embedded::open(EmbeddedConfig { path }).unwrap();
    for (name, newer) in records {
        let name = JobName::existing(*name);
        store.break_job(&name, *newer).await.unwrap();
    }
}

/// A product with the jobs `a`, `m` and `z`, of which `m` is broken and `z` ticks, and further damage.
async fn damaged(further: &[(&str, bool)]) -> Product {
    let mut product = Product::start(ARGS);
    for (name, schedule) in [
        ("a", json!(null)),
        ("m", json!("@every 1s")),
        ("z", json!("@every 1s")),
    ] {
        let job = json!({ "command": "echo ran", "schedule": schedule });
        product.put_job(name, &job).await;
    }
    assert!(product.stop().await.success());
    damage(&product.data(), &[("m", false)]).await;
    damage(&product.data(), further).await;
    product.restart_after_kill(ARGS)
}

async fn refusal(product: &Product, method: Method, path: &str) -> Value {
    let answer = product.request(method.clone(), path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CONFLICT, "{method} {path}");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/broken-job", "{problem}");
    problem
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|job| job["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_broken_job_is_shown_and_stops_no_other() {
    let product = damaged(&[]).await;
    let list = product.get("/jobs").await;
    assert_eq!(names(&list), ["a", "m", "z"]);
    let broken = &list["items"][1];
    let reason = broken["broken"].as_str().unwrap();
    assert!(reason.contains("malformed"), "{reason}");
    assert!(broken["version"].is_u64(), "{broken}");
    assert_eq!(list["items"][0].get("broken"), None);
    let page = product.get("/jobs?limit=2").await;
    assert_eq!((names(&page), &page["next"]), (vec!["a", "m"], &json!("m")));
    assert_eq!(names(&product.get("/jobs?cursor=m").await), ["z"]);

    assert_eq!(product.run_job("a").await["state"], "succeeded");
    wait_for("the other job ticks", Duration::from_secs(60), async || {
        let runs = product.get("/runs?job=z&state=succeeded").await;
        !runs["items"].as_array().unwrap().is_empty()
    })
    .await;
    let metrics = product
        .bare(Method::GET, "/metrics")
        .bearer_auth(&product.token);
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("sandclock_jobs_broken 1"), "{metrics}");

    let table = product.on_a_terminal(&["job", "ls"]);
    let row = table.lines().find(|line| line.starts_with("m ")).unwrap();
    assert!(row.contains("broken"), "{table}");
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );
}

#[tokio::test]
async fn a_broken_job_is_repaired_by_a_put() {
    let product = damaged(&[("n", true)]).await;
    let problem = refusal(&product, Method::GET, "/jobs/m").await;
    let detail = problem["detail"].as_str().unwrap();
    for word in ["malformed", "PUT", "DELETE"] {
        assert!(detail.contains(word), "{detail}");
    }
    refusal(&product, Method::POST, "/jobs/m/run").await;
    refusal(&product, Method::POST, "/jobs/m/disable").await;
    refusal(&product, Method::GET, "/jobs/m/next").await;
    let kill = product
        .request(Method::POST, "/jobs/m/kill")
        .send()
        .await
        .unwrap();
    assert_eq!(kill.status(), StatusCode::ACCEPTED);

    let version = product.get("/jobs").await["items"][1]["version"]
        .as_u64()
        .unwrap();
    let repair = async |header: &str, value: String| {
        let put = product
            .request(Method::PUT, "/jobs/m")
            .header(header, value);
        let put = put.json(&json!({ "command": "echo repaired" }));
        put.send().await.unwrap().status()
    };
    let stale = repair("if-match", format!("\"{}\"", version - 1)).await;
    assert_eq!(stale, StatusCode::PRECONDITION_FAILED);
    let absent = repair("if-none-match", "*".to_owned()).await;
    assert_eq!(absent, StatusCode::PRECONDITION_FAILED);
    let exact = repair("if-match", format!("\"{version}\"")).await;
    assert_eq!(exact, StatusCode::OK);
    let shown = product.get("/jobs/m").await;
    assert_eq!(
        (&shown["command"], shown.get("broken")),
        (&json!("echo repaired"), None)
    );
    assert_eq!(product.run_job("m").await["state"], "succeeded");

    let put = product
        .send(Method::PUT, "/jobs/n", &json!({ "command": "true" }))
        .await;
    assert_eq!(
        put.status(),
        StatusCode::CONFLICT,
        "a newer program wrote it"
    );
    let problem: Value = put.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("upgrade") && !detail.contains("PUT"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_broken_record_of_any_name_can_be_deleted() {
    let product = damaged(&[("", false), ("a b", false), ("n", true)]).await;
    assert_eq!(
        names(&product.get("/jobs").await),
        ["", "a", "a b", "m", "n", "z"]
    );
    let first = product.get("/jobs?limit=1").await;
    assert_eq!((names(&first), &first["next"]), (vec![""], &json!("")));
    assert_eq!(names(&product.get("/jobs?limit=1&cursor=").await), ["a"]);
    for path in ["/jobs/", "/jobs/a%20b"] {
        let problem = refusal(&product, Method::GET, path).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("DELETE") && !detail.contains("PUT"),
            "{detail}"
        );
    }
    let removed = product.cli(&["job", "rm", ""]);
    assert!(removed.status.success(), "{removed:?}");
    for name in ["a%20b", "m", "n"] {
        let path = format!("/jobs/{name}");
        let deleted = product.request(Method::DELETE, &path).send().await.unwrap();
        assert_eq!(deleted.status(), StatusCode::NO_CONTENT, "{name}");
        let gone = product.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(gone.status(), StatusCode::NOT_FOUND, "{name}");
    }
    assert_eq!(names(&product.get("/jobs").await), ["a", "z"]);
}

#[tokio::test]
async fn no_prune_and_no_export_takes_a_broken_job_for_an_ordinary_one() {
    let product = damaged(&[]).await;
    let file = product.home().join("jobs.yaml");
    std::fs::write(&file, "jobs:\n  - {name: m/a, command: a}\n").unwrap();
    let file = file.to_str().unwrap();
    let said = |args: &[&str]| {
        let output = product.cli(args);
        assert_eq!(output.status.code(), Some(1));
        crate::product::told(&output)
    };
    let pruned = said(&["job", "apply", "-f", file, "--prune", "--prefix", "m"]);
    assert!(
        pruned.contains("job m cannot be read, so whether it is to be deleted is not known"),
        "{pruned}"
    );
    let exported = said(&["job", "export"]);
    assert!(exported.contains("nothing is exported"), "{exported}");
    assert_eq!(names(&product.get("/jobs").await), ["a", "m", "z"]);
    let others = product.cli(&["job", "export", "--prefix", "a"]);
    assert!(others.status.success());
}
