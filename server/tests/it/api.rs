//! The API from outside: what a refusal says, and what guards a write.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::product::Product;

/// Job documents, the field at fault, and something that the refusal says.
fn refused_jobs() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (
            json!({ "command": "true", "schedul": "@daily" }),
            "schedul",
            "schedule",
        ),
        (
            json!({ "command": "true", "schedule": "61 * * * *" }),
            "schedule",
            "59",
        ),
        (
            json!({ "command": "true", "schedule": "* * * * * *" }),
            "schedule",
            "the first is seconds",
        ),
        (
            json!({ "command": "true", "schedule": "0 0 31 2 *" }),
            "schedule",
            "",
        ),
        (
            json!({ "command": "true", "schedule": "@daily", "time_zone": "Europe/Berln" }),
            "time_zone",
            "Europe/Berlin",
        ),
        (
            json!({ "command": "true", "schedule": "@daily", "starts_at": "2031-01-01T00:00:00Z",
                "ends_at": "2030-01-01T00:00:00Z" }),
            "ends_at",
            "ends_at: 2030-01-01T00:00:00Z is not accepted: it is too early; use an instant after starts_at",
        ),
        (
            json!({ "command": "true", "schedule": "@at 2030-01-01T00:00:00Z",
                "starts_at": "2031-01-01T00:00:00Z" }),
            "schedule",
            "it never fires between 2031-01-01T00:00:00Z",
        ),
        (
            json!({ "command": "true", "schedule": "@daily", "ends_at": "tomorrow" }),
            "ends_at",
            "RFC 3339",
        ),
        (json!({ "argv": [] }), "argv", "program"),
        (json!({}), "command", "argv"),
        (
            json!({ "command": "true", "timeout_s": -1 }),
            "timeout_s",
            "seconds",
        ),
        (
            json!({ "command": "true", "retry": { "max": 3, "backoff": { "factr": 2 } } }),
            "retry.backoff",
            "factor",
        ),
        (
            json!({ "command": "true", "name": "other" }),
            "name",
            "the-job",
        ),
        (
            json!({ "command": "true", "targets": {} }),
            "targets",
            "there is no such field",
        ),
    ]
}

/// The same for values of another type than is asked for, at any depth.
fn refused_types() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (
            json!({ "command": "true", "timeout_s": "soon" }),
            "timeout_s",
            "\"soon\" is not accepted: a number",
        ),
        (
            json!({ "command": "true", "concurrency": "maybe" }),
            "concurrency",
            "forbid",
        ),
        (
            json!({ "command": "true", "on_lost": ["rerun"] }),
            "on_lost",
            r#"on_lost: ["rerun"] is not accepted: "record", "rerun" or {"rerun": {"max": 3}}"#,
        ),
        (
            json!({ "command": "true", "on_lost": { "rerun": [3] } }),
            "on_lost.rerun",
            "on_lost.rerun: [3] is not accepted: an object with fields out of max",
        ),
        (
            json!({ "command": "true", "on_lost": { "rerun": { "max": "x" } } }),
            "on_lost.rerun.max",
            "on_lost.rerun.max: \"x\" is not accepted: a whole number",
        ),
        (
            json!({ "command": "true", "misfire": ["once", null, 5] }),
            "misfire",
            r#"misfire: ["once",null,5] is not accepted: an object with fields out of policy, max and deadline_s"#,
        ),
        (
            json!({ "command": "true", "retry": { "max": 1, "on": { "exit_codes": [1, "x"] } } }),
            "retry.on.exit_codes[1]",
            "retry.on.exit_codes[1]: \"x\" is not accepted: a whole number",
        ),
        (
            json!({ "command": "true", "hooks": [["redact-secrets"]] }),
            "hooks[0]",
            "an object with fields out of plugin and config",
        ),
        (
            json!({ "command": "true", "secrets": { "A": { "file": "/a", "env": "B" } } }),
            "secrets.A",
            "'name' of a secret that the worker knows",
        ),
        (
            json!(["a", "true"]),
            "(the document)",
            "an object with fields out of name, ",
        ),
    ]
}

/// The same for their hooks.
fn refused_hooks() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (
            json!({ "command": "true", "hooks": [{ "plugin": "nobody" }] }),
            "hooks[0]",
            "nobody",
        ),
        (
            json!({ "command": "true", "hooks": [{ "plugin": "redact-secrets", "config": { "regexes": { "mine": "(" } } }] }),
            "hooks[0]",
            "regex",
        ),
        (
            json!({ "command": "true", "hooks": [{ "plugin": "timeout-ladder", "config": { "flor_ms": 1 } }] }),
            "hooks[0].config.flor_ms",
            "hooks[0].config.flor_ms: 1 is not accepted: unknown, has to be one of ceiling_ms, default_ms, factor, floor_ms, ",
        ),
        (
            json!({ "command": "true", "hooks": [
                { "plugin": "redact-secrets" },
                { "plugin": "timeout-ladder", "config": { "floor_ms": "x" } },
            ] }),
            "hooks[1].config.floor_ms",
            "hooks[1].config.floor_ms: \"x\" is not accepted: has to be an integer, at least 1",
        ),
    ]
}

#[tokio::test]
async fn a_refusal_names_the_field_and_what_would_be_accepted() {
    let product = Product::start(&["--no-examples"]);
    let cases = [refused_jobs(), refused_types(), refused_hooks()].concat();
    for (job, field, accepted) in cases {
        let response = product.send(Method::PUT, "/jobs/the-job", &job).await;
        let status = response.status();
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{job}"
        );
        let problem: Value = response.json().await.unwrap();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{job}: {problem}");
        assert!(
            problem["field"].as_str().unwrap().contains(field),
            "{job}: {problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains(accepted),
            "{job}: {problem}"
        );
        for inner in ["struct", "untagged", "serde", "Dto", "this member"] {
            assert!(!problem.to_string().contains(inner), "{job}: {problem}");
        }
    }
    let broken = product
        .request(Method::PUT, "/jobs/the-job")
        .body("{\"command\": ")
        .send()
        .await
        .unwrap();
    let problem: Value = broken.json().await.unwrap();
    assert!(
        problem["detail"].as_str().unwrap().contains("line 1"),
        "{problem}"
    );
    let nothing = product
        .request(Method::GET, "/jobs/the-job")
        .send()
        .await
        .unwrap();
    assert_eq!(
        nothing.status(),
        StatusCode::NOT_FOUND,
        "nothing was half-done"
    );
    for name in ["a%20b", "%2Fa", "a%2F%2Fb", "..", &"x".repeat(201)] {
        let response = product
            .send(
                Method::PUT,
                &format!("/jobs/{name}"),
                &json!({ "command": "true" }),
            )
            .await;
        assert!(response.status().is_client_error(), "{name}");
    }
}

#[tokio::test]
async fn writes_are_guarded_by_versions() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({ "command": "true", "schedule": "0 3 * * *" });
    let created = product
        .request(Method::PUT, "/jobs/a")
        .header("if-none-match", "*")
        .json(&job);
    let created = created.send().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    let first = created.headers()["etag"].clone();
    let again = product
        .request(Method::PUT, "/jobs/a")
        .header("if-none-match", "*")
        .json(&job);
    assert_eq!(
        again.send().await.unwrap().status(),
        StatusCode::PRECONDITION_FAILED
    );
    let patch = product
        .request(Method::PATCH, "/jobs/a")
        .header("if-match", &first);
    let patch =
        patch.json(&json!({ "timeout_s": 5, "schedule": null, "time_zone": null, "dst": null }));
    let patched = patch.send().await.unwrap();
    assert_eq!(patched.status(), StatusCode::OK);
    let patched: Value = patched.json().await.unwrap();
    assert_eq!(
        (&patched["timeout_s"], &patched["schedule"]),
        (&json!(5.0), &Value::Null)
    );
    let stale = product
        .request(Method::DELETE, "/jobs/a")
        .header("if-match", &first);
    assert_eq!(
        stale.send().await.unwrap().status(),
        StatusCode::PRECONDITION_FAILED
    );
    let deleted = product
        .request(Method::DELETE, "/jobs/a")
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
}

/// What GET shows can be put back, as it is and changed.
#[tokio::test]
async fn what_is_read_can_be_written_back() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({ "command": "true", "schedule": "@daily", "on_lost": "rerun",
        "secrets": { "KEY": { "env": "KEY" } } });
    product.put_job("a", &job).await;
    let mut shown = product.get("/jobs/a").await;
    let again = product.put_job("a", &shown).await;
    let without_version = |mut job: Value| {
        job["version"] = Value::Null;
        job
    };
    assert_eq!(without_version(again), without_version(shown.clone()));
    shown["schedule"] = json!("@hourly");
    let changed = product.put_job("a", &shown).await;
    assert_ne!(changed["schedule_text"], shown["schedule_text"]);
    shown["status"] = json!("ready");
    let refused = product.send(Method::PUT, "/jobs/a", &shown).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn the_same_key_is_the_same_run() {
    let product = Product::start(&["--no-examples"]);
    product
        .put_job("once", &json!({ "command": "echo ran" }))
        .await;
    let mut runs = Vec::new();
    for _ in 0..5 {
        let request = product
            .request(Method::POST, "/jobs/once/run")
            .header("idempotency-key", "k1");
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        runs.push(answer["run"].as_str().unwrap().to_owned());
    }
    runs.dedup();
    assert_eq!(runs.len(), 1);
    assert_eq!(product.ended(&runs[0]).await["state"], "succeeded");
    assert_eq!(
        product.get("/runs?job=once").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_kill_ends_a_run_and_says_who_and_why() {
    let product = Product::start(&["--no-examples"]);
    product
        .put_job(
            "long",
            &json!({ "command": "echo up; sleep 3600", "grace_s": 1 }),
        )
        .await;
    let started = product
        .request(Method::POST, "/jobs/long/run")
        .send()
        .await
        .unwrap();
    let started: Value = started.json().await.unwrap();
    let run = started["run"].as_str().unwrap();
    let kill = json!({ "reason": "not needed today" });
    let answer = product
        .send(Method::POST, &format!("/runs/{run}/kill"), &kill)
        .await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let end = product.ended(run).await;
    assert_eq!(end["state"], "killed");
    let cause = end["cause"].as_str().unwrap();
    assert!(
        cause.contains("admin") && cause.contains("not needed today"),
        "{cause}"
    );
    let late = product
        .send(Method::POST, &format!("/runs/{run}/kill"), &kill)
        .await;
    assert_eq!(late.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_schedule_that_is_over_is_kept_with_a_warning() {
    let product = Product::start(&["--no-examples"]);
    let over = |shown: &Value, why: &str| {
        let warnings = shown["warnings"].as_array().unwrap();
        let told = |text: &str| text.starts_with("never fires again: ") && text.contains(why);
        let found = warnings.iter().filter_map(Value::as_str).any(told);
        assert!(found, "{why}: {shown}");
    };
    let year =
        "the expression names no later year, and the last fire time was 2020-01-01T00:00:00Z";
    let past = json!({ "command": "true", "schedule": "0 0 0 1 1 * 2020" });
    over(&product.put_job("past", &past).await, year);
    over(&product.get("/jobs/past").await, year);
    over(&product.get("/jobs/past/next").await, year);
    over(
        &product
            .get("/schedule/preview?expr=0%200%200%201%201%20*%202020")
            .await,
        year,
    );
    let ended =
        json!({ "command": "true", "schedule": "@daily", "ends_at": "2021-05-05T00:00:00Z" });
    over(
        &product.put_job("ended", &ended).await,
        "ends_at is 2021-05-05T00:00:00Z",
    );
    let once = json!({ "command": "true", "schedule": "@at 2022-02-02T00:00:00Z" });
    over(
        &product.put_job("once", &once).await,
        "'@at' names one instant",
    );
    let alive = json!({ "command": "true", "schedule": "@daily" });
    assert_eq!(
        product.put_job("alive", &alive).await["warnings"],
        json!([])
    );
    for command in [
        &["job", "next", "past"][..],
        &["job", "enable", "past"],
        &["schedule", "next", "0 0 0 1 1 * 2020"],
    ] {
        let said = String::from_utf8(product.cli(command).stdout).unwrap();
        assert!(
            said.contains("warning: never fires again: ") && said.contains(year),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_alert_that_would_go_nowhere_is_warned_of() {
    let product = Product::start(&["--no-examples"]);
    let warnings = async |target: &str| {
        let config = json!({ "target": target });
        let hooks = json!([{ "plugin": "webhook-alert", "config": config }]);
        let job = json!({ "command": "true", "hooks": hooks });
        product.put_job("alerts", &job).await["warnings"].clone()
    };
    assert_eq!(warnings("log").await, json!([]));
    let absent =
        "hooks[0].config.target: no alert target is called \"pager\"; there are default, log";
    assert_eq!(warnings("pager").await, json!([absent]));
}

#[tokio::test]
async fn preview_shows_fire_times_words_and_warnings() {
    let product = Product::start(&["--no-examples"]);
    let query = "expr=30%209%20*%20*%20mon-fri&tz=Europe/Berlin&n=3&from=2026-10-23T00:00:00Z";
    let preview = product.get(&format!("/schedule/preview?{query}")).await;
    let expected = [
        "2026-10-23T07:30:00Z",
        "2026-10-26T08:30:00Z",
        "2026-10-27T08:30:00Z",
    ];
    assert_eq!(preview["fires"], json!(expected));
    for (query, field) in [
        ("expr=@daily&zone=UTC", "zone"),
        ("expr=@daily&n=many", "n"),
        ("expr=@daily&dst=never", "dst"),
        ("expr=@daily&expr=@hourly", "expr"),
        ("tz=UTC", "expr"),
        ("expr=@never", "expr"),
        ("expr=@daily&tz=Mars/Base", "tz"),
    ] {
        let path = format!("/schedule/preview?{query}");
        let refused = product.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["field"], field, "{problem}");
    }
}

/// Whatever goes wrong, the answer is a problem document in words for people.
#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let product = Product::start(&["--no-examples"]);
    product.put_job("a", &json!({ "command": "true" })).await;
    let run = product.run_job("a").await;
    let output = format!("/runs/{}/output", run["id"].as_str().unwrap());
    let large = "x".repeat(sandclock_server::api::MAX_BODY_BYTES + 1);
    let put = |name: &str| product.request(Method::PUT, &format!("/jobs/{name}"));
    let job = json!({ "command": "true" });
    let get = |path: &str| product.request(Method::GET, path);
    let post = |path: &str| product.request(Method::POST, path);
    let cases = [
        (put("a").body(large), "too-large", "1048576 bytes at most"),
        (get("/jobs/%ff"), "malformed", "/jobs/%ff is not UTF-8"),
        (post("/alerts/%ff/ack"), "malformed", "is not UTF-8"),
        (
            get("/runs?cursor=log-x"),
            "invalid-field",
            "cursor: log-x is not accepted: what 'next'",
        ),
        (
            get("/alerts?cursor=x"),
            "invalid-field",
            "cursor: x is not accepted: what 'next'",
        ),
        (
            put("a").header("if-match", "\"7\"").json(&job),
            "precondition",
            "job a is at version ",
        ),
        (
            put("b").header("if-match", "\"7\"").json(&job),
            "precondition",
            "job b is not at the version that If-Match names",
        ),
        (
            product
                .request(Method::DELETE, "/jobs/a")
                .header("if-match", "\"7\""),
            "precondition",
            "job a is not at the version that If-Match names",
        ),
        (post("/jobs"), "method-not-allowed", "has no such method"),
        (
            get(&output).header("range", "bytes=99-"),
            "no-such-range",
            "beyond the 0",
        ),
        (get("/nowhere"), "no-route", "has no /api/v1/nowhere"),
    ];
    for (request, kind, said) in cases {
        let response = request.send().await.unwrap();
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{kind}"
        );
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["type"], format!("/problems/{kind}"), "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(said),
            "{problem}"
        );
    }
}
