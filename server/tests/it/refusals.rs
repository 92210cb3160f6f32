//! What is refused, and that the refusal says what to do: requests, and starts.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::product::{PROGRAM, Product, wait_for};

#[tokio::test]
async fn what_cannot_be_executed_is_refused_when_it_is_saved() {
    let product = Product::start(&["--no-examples"]);
    let long = "x".repeat(140_000);
    let hook = json!({ "plugin": "redact-secrets", "config": {} });
    let cases = [
        (json!({ "command": "true\0" }), "command"),
        (json!({ "argv": ["true", "a\0b"] }), "argv[1]"),
        (
            json!({ "command": "true", "shell": ["/bin/sh\0", "-c"] }),
            "shell[0]",
        ),
        (
            json!({ "command": "true", "env": { "A": "b\0c" } }),
            "env.A",
        ),
        (json!({ "command": "true", "workdir": "/tmp\0" }), "workdir"),
        (json!({ "command": "true", "user": "no\0body" }), "user"),
        (
            json!({ "command": "true", "secrets": { "S": { "file": "/a\0" } } }),
            "secrets.S.file",
        ),
        (json!({ "command": long }), "command"),
        (json!({ "command": "true", "env": { "A": long } }), "env.A"),
        (
            json!({ "command": "true", "hooks": vec![hook; 33] }),
            "hooks",
        ),
    ];
    for (job, field) in cases {
        let response = product.send(Method::PUT, "/jobs/unfit", &job).await;
        assert_eq!(
            response.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{field}"
        );
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["field"], field, "{problem}");
        assert!(!problem["value"].as_str().unwrap().is_empty(), "{problem}");
    }
}

/// The value of a secret is known to the worker only.
#[tokio::test]
async fn a_secret_with_a_nul_byte_fails_the_run_with_its_name() {
    let product = Product::start(&["--no-examples"]);
    let file = product.home().join("secret");
    std::fs::write(&file, b"long enough\0to be a secret").unwrap();
    let job = json!({ "command": "true", "secrets": { "KEY": { "file": file } } });
    product.put_job("nul", &job).await;
    let run = product.run_job("nul").await;
    assert_eq!(run["state"], "failed");
    let cause = run["cause"].as_str().unwrap();
    assert!(cause.contains("env KEY holds a NUL byte"), "{cause}");
}

#[tokio::test]
async fn any_version_means_one_that_is_there() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({ "command": "true" });
    let send = async |method: Method, name: &str| {
        let request = product.request(method, &format!("/jobs/{name}"));
        let answer = request
            .header("If-Match", "*")
            .json(&job)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        if status == StatusCode::PRECONDITION_FAILED {
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["type"], "/problems/precondition");
        }
        status
    };
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        assert_eq!(
            send(method, "absent").await,
            StatusCode::PRECONDITION_FAILED
        );
    }
    product.put_job("present", &job).await;
    assert_eq!(send(Method::PUT, "present").await, StatusCode::OK);
    assert_eq!(send(Method::PATCH, "present").await, StatusCode::OK);
    assert_eq!(
        send(Method::DELETE, "present").await,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn too_large_a_body_is_told_the_limit() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({ "command": "x".repeat(2 << 20) });
    for (method, path) in [(Method::PUT, "/jobs/a"), (Method::POST, "/jobs/a/run")] {
        let response = product.send(method, path, &job).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["type"], "/problems/too-large");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("1048576 bytes"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn a_removed_data_folder_makes_it_not_ready() {
    let product = Product::start(&["--no-examples"]);
    std::fs::remove_dir_all(product.data()).unwrap();
    let ready = product.bare(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let job = json!({ "command": "true" });
    let put = product.send(Method::PUT, "/jobs/lost", &job).await;
    assert_eq!(put.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem: Value = put.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("bring the file back"), "{detail}");
}

/// The journal holds what was acknowledged last.
#[tokio::test]
async fn a_removed_journal_makes_it_not_ready_until_a_restart_that_loses_nothing() {
    let mut product = Product::start(&["--no-examples"]);
    let job = json!({ "command": "true" });
    product.put_job("kept", &job).await;
    std::fs::remove_file(product.data().join("sandclock.db-wal")).unwrap();
    let ready = product.bare(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let put = product.send(Method::PUT, "/jobs/lost", &job).await;
    assert_eq!(put.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem: Value = put.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("SIGTERM"), "{detail}");
    product.stop().await;
    let product = product.restart_after_kill(&["--no-examples"]);
    assert_eq!(product.get("/jobs/kept").await["command"], "true");
    wait_for("it is ready", Duration::from_secs(60), async || {
        let ready = product.bare(Method::GET, "/readyz").send().await.unwrap();
        ready.status() == StatusCode::OK
    })
    .await;
}

/// A start that must fail, and what it says.
fn failed_start(data: &Path, listen: &str, words: &[&str]) {
    #[expect(clippy::disallowed_methods, reason = "started as a user does")]
    let mut command = Command::new(PROGRAM);
    let command = command.args(["dev", "--no-examples", "--listen", listen, "--data"]);
    let Output { status, stderr, .. } = command.arg(data).env("HOME", data).output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(!status.success(), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    for word in ["embedded.open", "Error code", "Earlier", "elements"] {
        assert!(!said.contains(word), "{word:?} in: {said}");
    }
}

/// The token is shown once: a start that comes to nothing must not use it up.
#[test]
fn a_configuration_that_cannot_be_used_makes_no_token() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path();
    let config = data.join("config.toml");
    let webhook = "[alerts.targets.ops]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\n";
    for (wrong, words) in [
        (
            "secret_file = \"/nope\"",
            ["alerts.targets.ops.secret_file", "/nope"],
        ),
        (
            "headers = { \"Content-Length\" = \"1\" }",
            [
                "alerts.targets.ops.headers.Content-Length",
                "sets this one by itself",
            ],
        ),
    ] {
        std::fs::write(&config, format!("{webhook}{wrong}\n")).unwrap();
        #[expect(clippy::disallowed_methods, reason = "started as a user does")]
        let mut command = Command::new(PROGRAM);
        let command = command.args(["dev", "--listen", "127.0.0.1:0", "--config"]);
        let command = command.arg(&config).arg("--data").arg(data);
        let Output {
            status,
            stdout,
            stderr,
        } = command.env("HOME", data).output().unwrap();
        let said = String::from_utf8_lossy(&stderr);
        assert!(!status.success(), "{said}");
        for word in words {
            assert!(said.contains(word), "no {word:?} in: {said}");
        }
        assert_eq!(String::from_utf8_lossy(&stdout), "");
        assert!(!data.join("tokens.json").exists());
    }
}

#[test]
fn a_start_that_fails_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = tempfile::tempdir().unwrap();
    let data = home.path();
    failed_start(data, &address, &[&address, "another process", "--listen"]);
    let tokens = data.join("tokens.json");
    let remedies = ["tokens.json", "remove it", "backup"];
    for text in ["{ \"a\": 1", "{ \"tokens\": [] }", "[]"] {
        std::fs::write(&tokens, text).unwrap();
        failed_start(data, "127.0.0.1:0", &remedies);
        failed_start(data, "127.0.0.1:0", &["an object", "name", "role"]);
    }
    std::fs::remove_file(&tokens).unwrap();
    std::fs::create_dir(&tokens).unwrap();
    failed_start(data, "127.0.0.1:0", &remedies);
    let store = data.join("sandclock.db");
    std::fs::write(&store, [b'x'; 8192]).unwrap();
    failed_start(
        data,
        "127.0.0.1:0",
        &["sandclock.db", "damaged", "backup", ".recover"],
    );
    std::fs::write(&store, "").unwrap();
    failed_start(
        data,
        "127.0.0.1:0",
        &["sandclock.db is empty", "backup", "remove it"],
    );
}
