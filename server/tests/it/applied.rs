//! `POST /jobs:apply`: a set is checked as a whole, saved job by job as it was looked at, and every change is in the trail.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::product::Product;

async fn apply(product: &Product, set: &Value) -> (StatusCode, Value) {
    let answer = product.send(Method::POST, "/jobs:apply", set).await;
    (answer.status(), answer.json().await.unwrap())
}

async fn names(product: &Product) -> Vec<String> {
    let jobs = product.get("/jobs").await;
    let jobs = jobs["items"].as_array().unwrap().iter();
    jobs.map(|job| job["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_fault_of_a_set_is_told_and_nothing_of_it_is_saved() {
    let product = Product::start(&["--no-examples"]);
    let set = json!({ "jobs": [
        { "name": "good", "command": "true" },
        { "name": "bad", "command": "true", "schedule": "never" },
        { "name": "good", "command": "false" },
        { "command": "true" },
        { "name": "worse", "comand": "true" },
    ] });
    let (status, problem) = apply(&product, &set).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["type"], "/problems/invalid-field");
    let faults = problem["errors"].as_array().unwrap();
    let fields: Vec<_> = faults.iter().map(|fault| &fault["field"]).collect();
    let expected = [
        "jobs[1].schedule",
        "jobs[2].name",
        "jobs[3].name",
        "jobs[4].comand",
    ];
    assert_eq!(fields, expected, "{problem}");
    assert_eq!(problem["field"], "jobs[1].schedule");
    assert!(names(&product).await.is_empty());

    for (set, field) in [
        (json!({ "jobs": [], "prune": { "all": true } }), "jobs"),
        (json!({ "jobs": [], "prune": {} }), "prune"),
        (
            json!({ "jobs": [], "prune": { "prefix": "" } }),
            "prune.prefix",
        ),
        (json!({ "jobs": {} }), "jobs"),
        (json!({ "job": [] }), "job"),
        (json!({ "jobs": vec![json!({}); 5_001] }), "jobs"),
    ] {
        let (status, problem) = apply(&product, &set).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem["field"], field, "{problem}");
    }
}

#[tokio::test]
async fn each_change_of_a_set_is_in_the_trail_and_what_is_the_same_is_not() {
    let product = Product::start(&["--no-examples"]);
    for (name, command) in [("t%2Fsame", "a"), ("t%2Fother", "b"), ("t%2Fgone", "c")] {
        product.put_job(name, &json!({ "command": command })).await;
    }
    product.put_job("u", &json!({ "command": "d" })).await;
    let set = |dry_run: bool| {
        json!({ "dry_run": dry_run, "prune": { "prefix": "t/" }, "jobs": [
            { "name": "t/same", "command": "a" },
            { "name": "t/other", "command": "x", "owner": "ann" },
            { "name": "t/new", "command": "n" },
        ] })
    };
    let (status, planned) = apply(&product, &set(true)).await;
    assert_eq!(status, StatusCode::OK);
    let (status, done) = apply(&product, &set(false)).await;
    assert_eq!(status, StatusCode::OK);
    let outcomes = |answer: &Value| -> Vec<(Value, Value, Value)> {
        let items = answer["items"].as_array().unwrap().iter();
        items
            .map(|it| {
                (
                    it["job"].clone(),
                    it["outcome"].clone(),
                    it["fields"].clone(),
                )
            })
            .collect()
    };
    assert_eq!(
        outcomes(&planned),
        outcomes(&done),
        "a dry run says what is done"
    );
    let words: Vec<_> = outcomes(&done).into_iter().map(|it| it.1).collect();
    assert_eq!(words, ["unchanged", "changed", "created", "deleted"]);
    let changed =
        json!({ "command": { "from": "b", "to": "x" }, "owner": { "from": null, "to": "ann" } });
    assert_eq!(done["items"][1]["fields"], changed);
    assert_eq!(names(&product).await, ["t/new", "t/other", "t/same", "u"]);
    let there = product.get("/jobs/t%2Fother").await;
    assert_eq!(done["items"][1]["version"], there["version"]);

    let trail = product.get("/audit?action=job.apply").await;
    let mut told: Vec<_> = (trail["items"].as_array().unwrap().iter())
        .map(|entry| {
            let command = |part: &str| entry[part]["command"].as_str().map(ToOwned::to_owned);
            let subject = entry["subject"].as_str().unwrap().to_owned();
            assert_eq!(entry["outcome"], "done", "{entry}");
            (subject, command("before"), command("after"))
        })
        .collect();
    told.sort();
    let own = |text: &str| Some(text.to_owned());
    let expected = [
        ("t/gone".to_owned(), own("c"), None),
        ("t/new".to_owned(), None, own("n")),
        ("t/other".to_owned(), own("b"), own("x")),
    ];
    assert_eq!(told, expected);

    let (_, again) = apply(&product, &set(false)).await;
    let words: Vec<_> = outcomes(&again).into_iter().map(|it| it.1).collect();
    assert_eq!(words, ["unchanged", "unchanged", "unchanged"]);
}

#[tokio::test]
async fn a_caller_for_some_jobs_applies_and_prunes_these_only() {
    let product = Product::start(&["--no-examples"]);
    for name in ["t%2Fmine", "theirs"] {
        product.put_job(name, &json!({ "command": "true" })).await;
    }
    let asked = json!({ "name": "team", "role": "editor", "prefixes": ["t/"] });
    let made = product.send(Method::POST, "/tokens", &asked).await;
    let made: Value = made.json().await.unwrap();
    let token = made["token"].as_str().unwrap();
    let apply = async |set: &Value| {
        let request = product.bare(Method::POST, "/api/v1/jobs:apply");
        let answer = request.bearer_auth(token).json(set).send().await.unwrap();
        answer.status()
    };
    let beyond = json!({ "jobs": [{ "name": "t/a", "command": "true" }, { "name": "b", "command": "true" }] });
    assert_eq!(apply(&beyond).await, StatusCode::FORBIDDEN);
    assert_eq!(names(&product).await, ["t/mine", "theirs"]);
    let all = json!({ "jobs": [{ "name": "t/a", "command": "true" }], "prune": { "all": true } });
    assert_eq!(apply(&all).await, StatusCode::OK);
    assert_eq!(names(&product).await, ["t/a", "theirs"]);
}
