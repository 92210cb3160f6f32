//! The commands of the README and of the operators' guide, run as they stand there.
#![expect(
    clippy::disallowed_methods,
    reason = "a reader types these commands into a shell"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::product::{PROGRAM, Product, wait_for};

/// Programs of a host that a test must not change. They succeed if the files of this repository that they are
/// given are there, and say what they were asked for.
const HOST: [&str; 4] = ["install", "systemctl", "systemd-sysusers", "journalctl"];

/// What stands in for them.
const STAND_IN: &str = "#!/bin/sh\n\
    for word; do case $word in deploy/*) test -e \"$word\" || { echo \"no $word\" >&2; exit 1; } ;; esac; done\n\
    echo \"${0##*/} $*\"\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The commands of a document.
fn blocks(document: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .filter_map(|rest| rest.split("```").next())
        .map(str::to_owned)
        .collect()
}

/// Runs commands in an empty folder with the product as the program and its server; what they printed.
#[track_caller]
fn run(script: &str, product: &Product, before: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    before(folder.path());
    let program = Path::new(PROGRAM).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!(
        "{}/bin:{}:{path}",
        folder.path().display(),
        program.display()
    );
    let output = Command::new("bash")
        .args(["-euxc", script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("DATA", folder.path().join("data"))
        .env("SANDCLOCK_URL", &product.url)
        .env("SANDCLOCK_TOKEN", &product.token)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

#[tokio::test]
async fn every_client_command_of_the_readme_works() {
    let product = Product::start(&["--no-examples"]);
    product
        .put_job("first", &json!({ "command": "echo one" }))
        .await;
    let ended = product.run_job("first").await;
    let blocks: Vec<_> = blocks("README.md")
        .into_iter()
        .filter(|block| block.contains("sandclock "))
        .collect();
    assert_eq!(
        blocks.len(),
        2,
        "the README has the blocks that this test runs"
    );
    // What the reader fills in: where the program is, its address, the token, and a run.
    let own = |line: &&str| !line.starts_with("export ");
    let script: Vec<_> = blocks
        .iter()
        .flat_map(|block| block.lines())
        .filter(own)
        .collect();
    let script = script
        .join("\n")
        .replace("RUN", ended["id"].as_str().unwrap());
    let out = run(&script, &product, |_| {});
    assert!(
        out.contains("Mounted on") && out.contains("created report/disk"),
        "{out}"
    );
}

#[tokio::test]
async fn every_command_of_the_guide_to_crontabs_works() {
    let product = Product::start(&["--no-examples"]);
    let script = blocks("docs/crontab.md").concat();
    let out = run(&script, &product, |_| {});
    for expected in [
        "line 4: job tab/mail-1, created",
        "line 5: @reboot: not imported",
        "2 jobs: 2 created, 0 changed, 0 unchanged (nothing is saved",
        "saved 2 jobs\n",
        "2 jobs: 0 created, 0 changed, 2 unchanged\nsaved 0 jobs\n",
        "At 02:30 on Monday through Friday (Europe/Berlin)",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
}

#[tokio::test]
async fn every_command_of_the_operators_guide_works() {
    let product = Product::start(&["--no-examples"]);
    product
        .put_job("first", &json!({ "command": "true", "schedule": "@daily" }))
        .await;
    let script = blocks("docs/operations.md").concat();
    assert!(script.contains("systemctl") && script.contains("sandclock import"));
    wait_for("it is ready", Duration::from_secs(60), async || {
        let ready = product.bare(Method::GET, "/readyz").send().await.unwrap();
        ready.status() == StatusCode::OK
    })
    .await;
    // The folder of the process that is moved to a fleet.
    let old = "sandclock import --data \"$DATA\" old.json\n";
    let out = run(&format!("{old}{script}"), &product, |folder| {
        let document =
            json!({ "sandclock_export": 1, "jobs": [{ "name": "of-old", "command": "true" }] });
        fs::write(folder.join("old.json"), document.to_string()).unwrap();
        symlink(
            root().join("deploy").canonicalize().unwrap(),
            folder.join("deploy"),
        )
        .unwrap();
        fs::create_dir(folder.join("bin")).unwrap();
        for program in HOST {
            let path = folder.join("bin").join(program);
            fs::write(&path, STAND_IN).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
    });
    for expected in [
        "systemctl enable --now sandclock-worker",
        "\"ready\":true",
        "sandclock_jobs ",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    // Its own job is there before, the other one comes by the move.
    for expected in [
        "0 created, 0 changed, 1 unchanged (nothing is written)",
        "1 created, 0 changed, 0 unchanged",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    assert!(product.cli(&["job", "get", "of-old"]).status.success());
}

/// What the guide says that a log shows, a log can show.
#[test]
fn messages_in_the_operators_guide_are_the_programs_own() {
    let guide = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, outages) = guide.split_once("## What an outage looks like").unwrap();
    let mut sources = String::new();
    for folder in ["core/src", "server/src"] {
        append(&root().join(folder), &mut sources);
    }
    let rows = outages.lines().filter(|line| line.starts_with("| "));
    let quoted: Vec<_> = rows
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter(|text| {
            text.contains(' ') && !text.starts_with("sandclock ") && !text.starts_with('"')
        })
        .collect();
    assert!(quoted.len() > 5, "{quoted:?}");
    for message in quoted {
        assert!(sources.contains(&format!("\"{message}\"")), "{message}");
    }
}

fn append(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            append(&path, text);
        } else {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}
