//! Verification of what receivers get, by code that shares nothing with ours.
#![expect(
    clippy::disallowed_methods,
    reason = "Python computes what is compared"
)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::receiver::Heard;

/// Asks what the guide to operators tells receivers to do.
const ASK: &str = r#"
import json, sys
request, secret = json.load(sys.stdin), sys.argv[1]
sys.exit(0 if is_ours(request, request["body"].encode(), secret) else 1)
"#;

/// The guide's way to verify a signature.
fn documented() -> String {
    let guide = include_str!("../../../../docs/operations.md");
    let (_, rest) = guide.split_once("```python\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Whether Python finds the request's signature to be one with this secret.
pub(crate) fn is_signed(heard: &Heard, secret: &str) -> bool {
    let mut request = serde_json::json!(heard.headers);
    request["body"] = heard.body.clone().into();
    let mut python = Command::new("python3")
        .args(["-c", &(documented() + ASK), secret])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(request.to_string().as_bytes()).unwrap();
    drop(stdin);
    python.wait().unwrap().success()
}
