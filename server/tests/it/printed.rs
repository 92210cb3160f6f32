//! What client commands print: lines for people, documents for programs, and what becomes of output that nobody takes.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as a user does"
)]

use std::fs::File;
use std::process::{Command, Output, Stdio};

use serde_json::json;

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
