//! schemathesis: a program that reads an API's document, asks whatever it allows and forbids, and holds the answers to it.
//! It shares no code with ours.

use std::path::PathBuf;
use std::process::{Command, Output};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/api");

/// The installed program. A machine without it fails the test.
fn program() -> PathBuf {
    // The test that asks is a binary in `deps` of a profile's folder.
    let test = std::env::current_exe().expect("this test's path");
    let target = test.ancestors().nth(3).expect("a target directory");
    let venv = target.join("tools/schemathesis");
    let program = venv.join("bin/schemathesis");
    assert!(
        program.exists(),
        "schemathesis is not at {}; get it with: python3 -m venv {venv} && {venv}/bin/pip install -r \
         {FOLDER}/requirements.txt",
        program.display(),
        venv = venv.display(),
    );
    program
}

/// Asks the API whose document is at `document`, with this token, at most `cases` generated requests for each operation
/// beside those that cover its schema. The same `seed` asks the same.
///
/// Every check is made but whether what fits the schema is accepted: a schema cannot say what a valid cron expression is.
///
/// # Panics
/// If it is not installed.
#[expect(
    clippy::disallowed_methods,
    reason = "schemathesis is a process of its own"
)]
pub fn ask(document: &str, token: &str, seed: u32, cases: u32) -> Output {
    Command::new(program())
        .args(["run", document, "--no-color", "--continue-on-failure"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--exclude-checks", "positive_data_acceptance"])
        .args(["--seed", &seed.to_string()])
        .args(["--max-examples", &cases.to_string()])
        .args(["--generation-database", "none", "--warnings", "off"])
        // They judge how it makes requests, not how these are answered.
        .args(["--suppress-health-check", "all"])
        .env("PYTHONPATH", FOLDER)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        // It writes what it keeps below the folder where it starts.
        .current_dir(std::env::temp_dir())
        .output()
        .expect("schemathesis starts")
}
