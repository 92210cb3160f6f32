//! `sandclock export` and `import`: between stores, with a server and without.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use reqwest::{Method, StatusCode};
use sandclock_core::Timestamp;
use sandclock_core::time::Clock as _;
use sandclock_server::clock::SystemClock;
use serde_json::{Value, json};

use crate::broken::damage;
use crate::fleet::PATIENCE;
use crate::product::{PROGRAM, Product, wait_for};
use crate::stores::Stores;
use crate::worker::Worker;

/// Jobs that use what there is to use.
fn jobs() -> Vec<(&'static str, Value)> {
    vec![
        (
            "report/every-second",
            json!({ "command": "true", "schedule": "@every 1s", "misfire": { "policy": "all", "max": 1000 } }),
        ),
        (
            "report/whole",
            json!({
                "argv": ["/bin/echo", "a b", "ü"], "schedule": "30 2 * * mon-fri", "time_zone": "Europe/Berlin",
                "dst": "both", "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2036-01-01T00:00:00Z",
                "enabled": false, "concurrency": "queue", "timeout_s": 1.5, "grace_s": 3, "lost_after_s": 7,
                "retry": { "max": 2, "backoff": { "initial_s": 2, "factor": 3 }, "on": { "exit_codes": [3], "lost": true } },
                "on_lost": { "rerun": { "max": 4 } }, "env": { "A": "1" }, "secrets": { "KEY": { "file": "/run/key" } },
                "workdir": "/tmp", "umask": "077", "limits": { "open_files": 64 }, "output": "split",
                "leftovers": "keep", "labels": { "team": "ops" }, "owner": "ann", "description": "two\nlines",
                "hooks": [
                    { "plugin": "redact-secrets" },
                    { "plugin": "webhook-alert", "config": { "target": "log" } },
                ],
            }),
        ),
        (
            "of-a-go-fleet",
            json!({ "command": "true", "schedule": "0 0 3 * * * *", "dialect": "go" }),
        ),
        (
            "by-hand",
            json!({ "command": "true", "shell": ["/bin/sh", "-c"] }),
        ),
    ]
}

/// Everything that the API says of all jobs but what depends on the store and the moment.
async fn raw(product: &Product) -> Value {
    let mut jobs = product.get("/jobs").await["items"].take();
    for job in jobs.as_array_mut().unwrap() {
        let job = job.as_object_mut().unwrap();
        job.remove("version");
        job.remove("next");
    }
    jobs
}

pub(crate) fn offline(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

#[track_caller]
pub(crate) fn succeeded(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
pub(crate) fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_one_process_to_a_fleet_jobs_are_the_same_and_no_old_tick_runs() {
    let mut old = Product::start(&["--no-examples"]);
    for (name, job) in jobs() {
        old.put_job(&name.replace('/', "%2F"), &job).await;
    }
    wait_for("its jobs have run", PATIENCE, async || {
        let runs = old.get("/runs?state=succeeded").await;
        !runs["items"].as_array().unwrap().is_empty()
    })
    .await;
    let before = raw(&old).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.json");
    let data = old.data();
    let busy = failed(&offline(&["export", "--data", text(&data), text(&file)]));
    assert!(busy.contains("sandclock.db"), "{busy}");
    old.stop().await;
    succeeded(&offline(&["export", "--data", text(&data), text(&file)]));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let stores = Stores::shared();
    let fleet = Product::server(&stores.toml());
    let began = SystemClock.now();
    let said = succeeded(&fleet.cli(&["import", text(&file)]));
    assert!(said.contains("4 created, 0 changed, 0 unchanged"), "{said}");
    assert_eq!(raw(&fleet).await, before);
    let again = succeeded(&fleet.cli(&["export"]));
    assert_eq!(again, std::fs::read_to_string(&file).unwrap());
    let config = fleet.home().join("sandclock.toml");
    let without_server = offline(&["export", "--config", text(&config)]);
    assert_eq!(succeeded(&without_server), again);

    let _worker = Worker::start("new", &stores);
    wait_for("the fleet runs them", PATIENCE, async || {
        let runs = fleet.get("/runs?state=succeeded").await;
        !runs["items"].as_array().unwrap().is_empty()
    })
    .await;
    let runs = fleet.get("/runs?limit=1000").await;
    for run in runs["items"].as_array().unwrap() {
        let first = run["ticks"]["first"].as_str();
        let first = first.or_else(|| run["fire_time"].as_str()).unwrap();
        let first = Timestamp::parse(first).unwrap();
        assert!(first >= began, "imported at {began}: {run}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_checked_as_a_whole_and_replaces_only_what_it_is_told_to() {
    let product = Product::start(&["--no-examples"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.json");
    let write = |jobs: Value| {
        let document = json!({ "sandclock_export": 1, "jobs": jobs });
        std::fs::write(&file, document.to_string()).unwrap();
    };
    let import = |args: &[&str]| {
        let args: Vec<_> = ["import", text(&file)]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        product.cli(&args)
    };
    let command_of =
        async |name: &str| product.get(&format!("/jobs/{name}")).await["command"].take();

    write(json!([
        { "name": "good", "command": "true" },
        { "name": "bad", "command": "true", "schedule": "61 * * * *" },
        { "name": "worse", "command": "true", "hooks": [{ "plugin": "absent" }] },
    ]));
    let said = failed(&import(&[]));
    for expected in [
        "jobs[1]: job bad: ",
        "schedule: ",
        "jobs[2]: job worse: ",
        "hooks[0].plugin: ",
        "nothing was written",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(raw(&product).await, json!([]));

    write(json!([{ "name": "a", "command": "one" }, { "name": "b", "command": "one" }]));
    let said = succeeded(&import(&["--dry-run"]));
    assert!(
        said.contains("2 created, 0 changed, 0 unchanged (nothing is written)"),
        "{said}"
    );
    assert_eq!(raw(&product).await, json!([]));
    succeeded(&import(&[]));

    write(
        json!([{ "name": "a", "command": "one" }, { "name": "b", "command": "two" }, { "name": "c", "command": "two" }]),
    );
    let said = failed(&import(&[]));
    assert!(said.contains("--overwrite"), "{said}");
    let absent = product
        .request(Method::GET, "/jobs/c")
        .send()
        .await
        .unwrap();
    assert_eq!(absent.status(), StatusCode::NOT_FOUND);
    let said = succeeded(&import(&["--overwrite", "--dry-run", "--output", "json"]));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["items"][0]["outcome"], "unchanged");
    assert_eq!(
        said["items"][1],
        json!({ "job": "b", "outcome": "changed", "fields": ["command"] })
    );
    assert_eq!(command_of("b").await, "one");
    succeeded(&import(&["--overwrite"]));
    assert_eq!(command_of("b").await, "two");
    assert_eq!(command_of("c").await, "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_a_data_folder_is_filled_and_nothing_is_read_from_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("jobs.json"));
    let said = failed(&offline(&["export", "--data", text(&data)]));
    assert!(said.contains("holds no sandclock.db"), "{said}");
    let job = json!({ "name": "a", "command": "true", "schedule": "@daily" });
    let document = json!({ "sandclock_export": 1, "jobs": [job] });
    std::fs::write(&file, document.to_string()).unwrap();
    succeeded(&offline(&["import", "--data", text(&data), text(&file)]));
    let exported = succeeded(&offline(&["export", "--data", text(&data)]));
    let exported: Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(exported["jobs"][0]["name"], "a");
    assert_eq!(
        exported["jobs"][0]["enabled"], true,
        "defaults are written out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_leaves_a_go_schedule_what_it_is() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({ "command": "true", "schedule": "0 0 3 * * * *", "dialect": "go" });
    product.put_job("go", &job).await;
    let patch = json!({ "description": "nightly" });
    let patched = product.send(Method::PATCH, "/jobs/go", &patch).await;
    assert_eq!(patched.status(), StatusCode::OK);
    let job = product.get("/jobs/go").await;
    assert_eq!(
        (&job["dialect"], &job["description"]),
        (&json!("go"), &json!("nightly"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_read_is_never_left_out_in_silence() {
    let mut product = Product::start(&["--no-examples"]);
    for name in ["bad", "good"] {
        product.put_job(name, &json!({ "command": "true" })).await;
    }
    assert!(product.stop().await.success());
    let data = product.data();
    damage(&data, &[("bad", false)]).await;
    let file = data.join("jobs.json");
    let args = ["export", "--data", text(&data), text(&file)];
    let said = failed(&offline(&args));
    assert!(
        said.contains("job \"bad\" cannot be read") && said.contains("--skip-broken"),
        "{said}"
    );
    assert!(!file.exists());
    succeeded(&offline(&[&args[..], &["--skip-broken"]].concat()));
    let exported = std::fs::read(&file).unwrap();
    let exported: Value = serde_json::from_slice(&exported).unwrap();
    assert_eq!(exported["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(exported["jobs"][0]["name"], "good");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_replaces_files_and_writes_to_everything_else() {
    let product = Product::start(&["--no-examples"]);
    let folder = product.home().join("exports");
    std::fs::create_dir(&folder).unwrap();
    let [file, link, dangling, fifo, new] =
        ["file", "link", "dangling", "fifo", "new"].map(|name| folder.join(name));
    std::fs::write(&file, "old").unwrap();
    symlink("file", &link).unwrap();
    symlink("new", &dangling).unwrap();
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let document = succeeded(&product.cli(&["export"]));

    for (path, written) in [(&link, &file), (&dangling, &new)] {
        succeeded(&product.cli(&["export", text(path)]));
        assert!(path.is_symlink(), "{path:?}");
        assert_eq!(std::fs::read_to_string(written).unwrap(), document);
    }
    // Opened for both, so that neither side waits for the other.
    let mut reader = File::options().read(true).write(true).open(&fifo).unwrap();
    succeeded(&product.cli(&["export", text(&fifo)]));
    assert!(std::fs::metadata(&fifo).unwrap().file_type().is_fifo());
    let mut passed = vec![0; document.len()];
    reader.read_exact(&mut passed).unwrap();
    assert_eq!(String::from_utf8(passed).unwrap(), document);
    assert_eq!(
        succeeded(&product.cli(&["export", "/dev/stdout"])),
        document
    );

    let absent = folder.join("absent");
    let said = failed(&product.cli(&["export", text(&absent.join("jobs.json"))]));
    let expected = format!("the folder {} cannot be used: No such file", text(&absent));
    assert!(said.contains(&expected) && !absent.exists(), "{said}");
}
