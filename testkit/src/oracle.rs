//! The Python oracle of schedules: how it is found and asked. It shares no code with ours.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Unix second and the offset from UTC that holds from it on.
pub type Change = (i64, i64);

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/cron_oracle.py");
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/requirements.txt");

/// What zoneinfo says about every zone.
#[derive(Debug)]
pub struct Zones {
    /// The release of its data, such as `2026e`.
    pub release: String,
    /// The changes of each zone, the first of them at the beginning of what was asked for.
    pub zones: BTreeMap<String, Vec<Change>>,
}

/// The Python that has the oracle's packages. A machine without it fails the test.
#[expect(
    clippy::disallowed_methods,
    reason = "the test run says where its Python is"
)]
fn python() -> PathBuf {
    let named = std::env::var("SANDCLOCK_PYTHON").ok().map(PathBuf::from);
    // The test that asks is a binary in `deps` of a profile's folder.
    let test = std::env::current_exe().expect("this test's path");
    let target = test.ancestors().nth(3).expect("a target directory");
    let venv = target.join("tools/oracle");
    let python = named.unwrap_or_else(|| venv.join("bin/python3"));
    assert!(
        python.exists(),
        "the schedule oracle has no Python at {}; get it with: python3 -m venv {venv} && \
         {venv}/bin/pip install -r {REQUIREMENTS}",
        python.display(),
        venv = venv.display(),
    );
    python
}

/// Runs the oracle on these lines of input and returns its lines of output. It says itself what it is asked and answers.
///
/// # Panics
/// If it is not installed or fails.
#[expect(
    clippy::disallowed_methods,
    reason = "the oracle is a process of its own"
)]
pub fn ask(args: &[&str], input: &[String]) -> Vec<String> {
    let mut child = Command::new(python())
        .arg(SCRIPT)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = input.join("\n");
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let mut output = String::new();
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut output)
        .expect("the oracle's answer");
    writer
        .join()
        .expect("the writer ends")
        .expect("the oracle reads its input");
    assert!(
        child.wait().expect("the oracle ends").success(),
        "the oracle failed"
    );
    output.lines().map(str::to_owned).collect()
}

/// The next `count` fires of each cron expression in a zone after a Unix second; `None` where cronsim refuses it.
///
/// # Panics
/// As [`ask`].
pub fn fires(questions: &[(String, String, i64, usize)]) -> Vec<Option<Vec<i64>>> {
    let lines = questions
        .iter()
        .map(|question| serde_json::json!(question).to_string());
    let answers = ask(&["fires"], &lines.collect::<Vec<_>>());
    assert_eq!(
        answers.len(),
        questions.len(),
        "the oracle answered every question"
    );
    let answers = answers
        .iter()
        .map(|answer| serde_json::from_str(answer).expect("a list"));
    answers.collect()
}

/// The offsets of every zone from `first` to `last`, both Unix seconds.
///
/// # Panics
/// As [`ask`].
pub fn zones(first: i64, last: i64) -> Zones {
    let answer = ask(&["zones", &first.to_string(), &last.to_string()], &[]);
    let answer: serde_json::Value = serde_json::from_str(&answer.join("")).expect("JSON");
    let zones = answer["zones"]
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, changes)| {
            let changes = changes.as_array().expect("a list").iter();
            let pair = |change: &serde_json::Value| {
                (
                    change[0].as_i64().expect("a second"),
                    change[1].as_i64().expect("an offset"),
                )
            };
            (name.clone(), changes.map(pair).collect())
        });
    let release = answer["release"].as_str().expect("a release").to_owned();
    Zones {
        release,
        zones: zones.collect(),
    }
}
