//! What became of a job's fire times, page by page.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::product::{Product, wait_for};

const ARGS: &[&str] = &["--no-examples"];
const PATIENCE: Duration = Duration::from_secs(60);

/// All pages of this size.
async fn pages(product: &Product, path: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = product.get(&format!("{path}?limit={limit}{cursor}")).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{page}");
        all.extend(items.iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn with<'a>(items: &'a [Value], fate: &'a str) -> impl Iterator<Item = &'a Value> {
    items.iter().filter(move |item| item["fate"] == fate)
}

async fn switch(product: &Product, to: &str) {
    let path = format!("/jobs/team%2Fa/{to}");
    let done = product.request(Method::POST, &path).send().await.unwrap();
    assert_eq!(done.status(), StatusCode::OK);
}

#[tokio::test]
async fn every_fire_time_has_its_fate_and_every_page_its_part() {
    let product = Product::start(ARGS);
    let path = "/jobs/team%2Fa/timeline";
    let job = json!({ "command": "true", "schedule": "@every 1s" });
    product.put_job("team%2Fa", &job).await;
    wait_for("some runs have ended", PATIENCE, async || {
        let all = pages(&product, path, 100).await;
        with(&all, "ran").count() >= 3
    })
    .await;
    let by_hand = product.run_job("team%2Fa").await;
    switch(&product, "disable").await;
    wait_for("all have ended", PATIENCE, async || {
        let all = pages(&product, path, 100).await;
        with(&all, "open").count() == 0
    })
    .await;
    let all = pages(&product, path, 100).await;
    assert_eq!(with(&all, "upcoming").count(), 0, "{all:?}");
    let logged = product.get("/runs?limit=1000").await;
    let runs = |items: &[Value], member: &str| -> BTreeSet<_> {
        items.iter().map(|item| item[member].to_string()).collect()
    };
    let logged = runs(logged["items"].as_array().unwrap(), "id");
    assert_eq!(runs(&all, "run"), logged);
    assert_eq!(all.len(), logged.len(), "none twice: {all:?}");
    let own = all.iter().find(|item| item["run"] == by_hand["id"]);
    let own = own.unwrap();
    assert_eq!(
        (&own["fate"], &own["state"], &own["at"]),
        (&json!("ran"), &json!("succeeded"), &by_hand["started_at"])
    );
    assert!(own["request"].is_string(), "{own}");
    let paged = pages(&product, path, 2).await;
    assert_eq!(runs(&paged, "run"), logged);
    assert_eq!(paged.len(), all.len());

    // A part in the middle: from one fire time to before another.
    let mut fired: Vec<_> = all
        .iter()
        .filter(|item| item["request"].is_null() && item["ticks"].is_null())
        .map(|item| item["at"].as_str().unwrap())
        .collect();
    fired.sort_unstable();
    let query = format!("?from={}&until={}", fired[0], fired[2]);
    let part = product.get(&format!("{path}{query}")).await;
    let part = part["items"].as_array().unwrap();
    let due = part.iter().filter(|item| item["request"].is_null());
    let due: Vec<_> = due.map(|item| item["at"].as_str().unwrap()).collect();
    assert_eq!(due, [fired[1], fired[0]]);

    switch(&product, "enable").await;
    let page = product.get(path).await;
    let items = page["items"].as_array().unwrap();
    assert_eq!(with(items, "upcoming").count(), 10, "{page}");
    assert_eq!(items[0]["fate"], "upcoming");
    let printed = product.on_a_terminal(&["job", "timeline", "team/a", "-n", "1000"]);
    assert!(
        printed.contains("upcoming") && printed.contains("ran"),
        "{printed}"
    );
}

#[tokio::test]
async fn what_was_skipped_says_why_and_what_is_wrong_says_what_is_right() {
    let product = Product::start(ARGS);
    let job = json!({ "command": "sleep 3600", "schedule": "@every 1s", "grace_s": 1 });
    product.put_job("busy", &job).await;
    let path = "/jobs/busy/timeline";
    wait_for("ticks are skipped", PATIENCE, async || {
        let all = pages(&product, path, 100).await;
        with(&all, "skipped").count() > 0
    })
    .await;
    let all = pages(&product, path, 100).await;
    let skipped = with(&all, "skipped").next().unwrap();
    let cause = skipped["cause"].as_str().unwrap();
    assert!(cause.contains("still open"), "{skipped}");
    assert_eq!(with(&all, "open").count(), 1, "{all:?}");
    for (query, field) in [
        ("from=x", "from"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        (
            "from=2027-01-01T00:00:00Z&until=2027-01-01T00:00:00Z",
            "until",
        ),
    ] {
        let asked = product.request(Method::GET, &format!("{path}?{query}"));
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["field"], field, "{problem}");
    }
    let nobody = product.request(Method::GET, "/jobs/none/timeline").send();
    assert_eq!(nobody.await.unwrap().status(), StatusCode::NOT_FOUND);
}
