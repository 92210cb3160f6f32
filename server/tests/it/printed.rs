//! What client commands print: lines for people, documents for programs, and what becomes of output that nobody takes.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as a user does"
)]

use std::fs::File;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::client::stranger;
use crate::product::{PROGRAM, Product};

fn printed_to(product: &Product, args: &[&str], stdout: impl Into<Stdio>) -> Output {
    let mut command = Command::new(PROGRAM);
    let command = command
        .args(args)
        .env("SANDCLOCK_URL", &product.url)
        .env("SANDCLOCK_TOKEN", &product.token)
        .stdout(stdout)
        .stderr(Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

#[tokio::test]
async fn output_that_cannot_be_written_is_a_failure_but_for_a_closed_pipe() {
    let product = Product::start(&["--no-examples"]);
    product.put_job("a", &json!({ "command": "echo hi" })).await;
    let run = product.run_job("a").await;
    let id = run["id"].as_str().unwrap();
    let commands: [&[&str]; 8] = [
        &["job", "ls"],
        &["job", "get", "a"],
        &["run", "ls", "--output", "json"],
        &["run", "logs", id],
        &["run", "logs", "-f", id],
        &["job", "run", "a", "--wait"],
        &["schedule", "next", "@daily"],
        &["job", "--help"],
    ];
    for args in commands {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = printed_to(&product, args, full);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        let expected = "cannot write the output: No space left on device";
        assert!(said.contains(expected), "{args:?}: {said}");

        let (_, closed) = std::io::pipe().unwrap();
        let output = printed_to(&product, args, closed);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        assert!(!said.contains("cannot"), "{args:?}: {said}");
    }
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[tokio::test]
async fn every_command_has_a_document_for_programs() {
    let product = Product::start(&["--no-examples"]);
    let file = product.home().join("jobs.json");
    let cli = |args: &[&str]| product.cli(&[args, &["--output", "json"]].concat());
    let save = |jobs: Value| {
        std::fs::write(&file, json!({ "jobs": jobs }).to_string()).unwrap();
        cli(&["job", "apply", "-f", file.to_str().unwrap()])
    };
    let saved = document(&save(json!([{ "name": "a", "command": "echo hi" }])));
    assert_eq!(saved["items"][0]["job"], "a");
    assert_eq!(saved["items"][0]["outcome"], "created");
    let refused = save(json!([{ "name": "b", "command": "true" }, { "name": "c", "argv": [] }]));
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(product.get("/jobs").await["items"][1], Value::Null);
    document(&save(json!([{ "name": "b", "command": "true" }])));

    let listed = document(&cli(&["job", "ls"]));
    assert_eq!(listed["items"][1]["name"], "b");
    assert_eq!(listed["next"], Value::Null);
    for (switch, enabled) in [("disable", false), ("enable", true)] {
        let job = document(&cli(&["job", switch, "a"]));
        assert_eq!(
            (&job["name"], &job["enabled"]),
            (&json!("a"), &json!(enabled))
        );
    }
    let ended = cli(&["job", "run", "a", "--wait"]);
    assert_eq!(document(&ended)["state"], "succeeded");
    let deleted = document(&cli(&["job", "rm", "a"]));
    assert_eq!(deleted, json!({ "job": "a", "outcome": "deleted" }));
}

#[tokio::test]
async fn a_record_of_many_ticks_says_so() {
    let run = json!({
        "id": "r", "job": "a", "state": "missed", "cause": "too late", "items": [],
        "ticks": { "first": "2026-11-20T08:21:51Z", "last": "2026-11-20T08:22:07Z", "count": 17 },
    });
    let shown = |args: &[&str], body: &Value| {
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}",
            body.len()
        );
        let url = stranger(format!("{head}\r\n\r\n{body}"));
        let mut command = Command::new(PROGRAM);
        let command = command.args(args).args(["--url", &url, "--token", "x"]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let explained = shown(&["run", "explain", "r"], &json!({ "run": run }));
    let line = "ticks      17, from 2026-11-20T08:21:51Z to 2026-11-20T08:22:07Z\n";
    assert!(explained.contains(line), "{explained}");
    let listed = shown(&["run", "ls"], &json!({ "items": [run] }));
    assert!(listed.contains("missed (17)"), "{listed}");
}

#[tokio::test]
async fn a_wrong_usage_names_only_what_the_command_needs() {
    let product = Product::start(&["--no-examples"]);
    let output = product.cli(&["job", "get"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("Usage: sandclock job get [OPTIONS] <NAME>\n"),
        "{said}"
    );
}
