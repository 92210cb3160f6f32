//! What an import says, what it saves, and what it refuses.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as a user does"
)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::crontab::written;
use crate::product::{PROGRAM, Product, told};

async fn names(product: &Product) -> Vec<String> {
    let jobs = product.get("/jobs").await;
    let jobs = jobs["items"].as_array().unwrap().iter();
    jobs.map(|job| job["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_can_be_tried_applied_and_repeated() {
    let product = Product::start(&["--no-examples"]);
    let file = written(
        &product,
        "tab",
        "MAILTO=ops\n0 3 1 * 1 /opt/backup.sh\n@daily tidy-up\n@reboot start\n5 4 * * * tidy-up --all\n",
    );
    let file = file.to_str().unwrap();
    let import = |args: &[&str]| told(&product.cli(&[&["crontab", "import", file], args].concat()));

    let tried = import(&["--time-zone", "Europe/Berlin"]);
    for expected in [
        "line 2: job tab/backup-sh-1, created\n  0 3 1 * 1  ",
        "(Europe/Berlin)\n  next: 20",
        "warning: fires when either day field matches, not only when both do",
        "line 1: MAILTO: no mail goes to ops",
        "line 4: @reboot: not imported",
        "3 jobs: 3 created, 0 changed, 0 unchanged (nothing is saved; --apply saves them)",
    ] {
        assert!(tried.contains(expected), "{expected}: {tried}");
    }
    assert_eq!(names(&product).await, [""; 0]);

    let applied = import(&["--apply"]);
    assert!(
        applied.ends_with("3 created, 0 changed, 0 unchanged\nsaved 3 jobs\n"),
        "{applied}"
    );
    assert_eq!(
        names(&product).await,
        ["tab/backup-sh-1", "tab/tidy-up-1", "tab/tidy-up-2"]
    );
    let job = product.get("/jobs/tab%2Ftidy-up-2").await;
    let as_cron_does =
        json!(["allow", { "policy": "skip", "deadline_s": 3600.0 }, "keep", "vixie", "UTC"]);
    let member = |name: &str| job[name].clone();
    let members = ["concurrency", "misfire", "leftovers", "dst", "time_zone"].map(member);
    assert_eq!(json!(members), as_cron_does);
    assert_eq!(
        job["labels"],
        json!({ "source": format!("crontab:{}:{file}", host()) })
    );

    let again = import(&["--apply"]);
    assert!(
        again.ends_with("0 created, 0 changed, 3 unchanged\nsaved 0 jobs\n"),
        "{again}"
    );

    // Another time for one line, none for another.
    std::fs::write(file, "30 5 1 * 1 /opt/backup.sh\n@daily tidy-up\n").unwrap();
    let changed = import(&["--apply"]);
    for expected in [
        "job tab/backup-sh-1, changed: env, schedule",
        "job tab/tidy-up-2 was made by an earlier import of this file, and no line makes it now, but it still runs",
        "warning: 1 jobs of earlier imports still run",
    ] {
        assert!(changed.contains(expected), "{expected}: {changed}");
    }
    assert_eq!(
        product.get("/jobs/tab%2Fbackup-sh-1").await["schedule"],
        "30 5 1 * 1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_saved_if_anything_is_refused() {
    let product = Product::start(&["--no-examples"]);
    product
        .put_job("tab%2Fmine-1", &json!({ "command": "true" }))
        .await;
    let refused = async |text: &str, expected: &str| {
        let file = written(&product, "tab", text);
        let output = product.cli(&["crontab", "import", "--apply", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains(expected) && said.contains("nothing was saved"),
            "{expected}: {said}"
        );
        assert_eq!(names(&product).await, ["tab/mine-1"]);
    };
    refused(
        "@daily a\n\n5/15 * * * * b\n",
        "tab, line 3: minute: 5/15 is not accepted: a step behind a range: 5-59/15",
    )
    .await;
    refused(
        "@daily a\n@daily mine\n",
        "tab, line 2: job tab/mine-1 is there already, and no import of this file made it",
    )
    .await;
    // What only the server refuses.
    let long = "x".repeat(140_000);
    refused(&format!("@daily a\n@daily {long}\n"), "tab, line 2: ").await;

    let file = written(&product, "tab", "@daily mine\n");
    let file = file.to_str().unwrap();
    let prefixed = product.cli(&["crontab", "import", file, "--apply", "--prefix", "web1"]);
    assert!(prefixed.status.success(), "{}", told(&prefixed));
    assert_eq!(names(&product).await, ["tab/mine-1", "web1/tab/mine-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_from_a_column_or_from_a_flag() {
    let product = Product::start(&["--no-examples"]);
    let file = written(&product, "tab", "@daily nobody one\n");
    let file = file.to_str().unwrap();
    let import = |args: &[&str]| {
        let output =
            product.cli(&[&["crontab", "import", file, "--output", "json"], args].concat());
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let definition = &document["items"][0]["definition"];
        json!([
            definition["user"],
            definition["command"],
            definition["name"]
        ])
    };
    assert_eq!(import(&["--system"]), json!(["nobody", "one", "tab/one-1"]));
    assert_eq!(
        import(&["--user", "ann"]),
        json!(["ann", "nobody one", "tab/nobody-1"])
    );
    assert_eq!(import(&[]), json!([null, "nobody one", "tab/nobody-1"]));
    let both = product.cli(&["crontab", "import", file, "--system", "--user", "ann"]);
    assert_eq!(both.status.code(), Some(2));
}

fn host() -> String {
    let name = nix::unistd::gethostname().unwrap();
    name.into_string().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn crontabs_of_other_users_and_prefixes_are_others() {
    let product = Product::start(&["--no-examples"]);
    let import = |args: &[&str]| {
        let mut command = Command::new(PROGRAM);
        let mut child = command
            .args(["crontab", "import", "-", "--apply"])
            .args(args)
            .env("SANDCLOCK_URL", &product.url)
            .env("SANDCLOCK_TOKEN", &product.token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(b"@daily a\n");
        told(&child.wait_with_output().unwrap())
    };
    assert!(import(&[]).contains("--user NAME or --prefix TEXT"));
    let first = import(&["--user", "alice"]);
    assert!(first.ends_with("saved 1 jobs\n"), "{first}");
    let other = import(&["--user", "bob"]);
    assert!(other.contains("crontab/a-1 is there already"), "{other}");
    assert_eq!(product.get("/jobs/crontab%2Fa-1").await["user"], "alice");
    assert!(import(&["--prefix", "web1"]).ends_with("saved 1 jobs\n"));
    let second = import(&["--prefix", "web2"]);
    assert!(second.ends_with("saved 1 jobs\n"), "{second}");
    assert!(!second.contains("no line makes it now"), "{second}");
}

#[test]
fn a_dry_run_tells_the_lines_though_the_server_is_away() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("tab");
    std::fs::write(&file, "@daily a\n").unwrap();
    let import = |args: &[&str]| {
        Command::new(PROGRAM)
            .args(["crontab", "import", file.to_str().unwrap()])
            .args(args)
            .env("SANDCLOCK_URL", "http://127.0.0.1:1")
            .env("SANDCLOCK_TOKEN", "some-token")
            .output()
            .unwrap()
    };
    let tried = import(&[]);
    assert!(tried.status.success(), "{}", told(&tried));
    assert!(
        told(&tried).contains("line 1: job tab/a-1\n"),
        "{}",
        told(&tried)
    );
    let aside = String::from_utf8_lossy(&tried.stderr).into_owned();
    assert_eq!(aside.lines().count(), 1, "{aside}");
    assert!(
        aside.contains("nothing is compared: cannot reach"),
        "{aside}"
    );
    assert_eq!(import(&["--apply"]).status.code(), Some(1));
}

#[test]
fn a_dry_run_needs_no_server() {
    let mut command = Command::new(PROGRAM);
    let mut child = command
        .args([
            "crontab",
            "import",
            "-",
            "--time-zone",
            "UTC",
            "--user",
            "ann",
        ])
        .env_remove("SANDCLOCK_TOKEN")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"0 0 1 1 * new-year")
        .unwrap();
    let said = told(&child.wait_with_output().unwrap());
    assert!(
        said.starts_with("line 1: job crontab/new-year-1\n  0 0 1 1 *  "),
        "{said}"
    );
    assert!(
        said.contains("without a token and a server nothing is compared"),
        "{said}"
    );
}
