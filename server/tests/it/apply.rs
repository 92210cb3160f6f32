//! `sandclock job apply` and `export`: what a dry run says, what a prune deletes, and that exports can be applied.

use serde_json::{Value, json};

use crate::product::{Product, told};

fn write(product: &Product, name: &str, text: &str) -> String {
    let path = product.home().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn names(product: &Product) -> Vec<String> {
    let jobs = product.get("/jobs").await;
    let jobs = jobs["items"].as_array().unwrap().iter();
    jobs.map(|job| job["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn with_jobs() -> Product {
    let product = Product::start(&["--no-examples"]);
    for (name, job) in [
        (
            "ours%2Fa",
            json!({ "command": "a", "schedule": "@daily", "labels": { "team": "ops" } }),
        ),
        (
            "ours%2Fb",
            json!({ "command": "b", "labels": { "team": "ops" } }),
        ),
        (
            "ours%2Fc",
            json!({ "command": "c", "labels": { "team": "web" } }),
        ),
        (
            "theirs",
            json!({ "command": "d", "labels": { "team": "ops" } }),
        ),
    ] {
        product.put_job(name, &job).await;
    }
    product
}

const FILE: &str = "\
jobs:
  - {name: ours/a, command: a, schedule: '@hourly', labels: {team: ops}}
  - {name: ours/b, command: b, labels: {team: ops}}
  - {name: ours/new, command: n, labels: {team: ops}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_which_fields_change_and_saves_nothing() {
    let product = with_jobs().await;
    let before = product.get("/jobs").await["items"].clone();
    let file = write(&product, "jobs.yaml", FILE);
    let said = told(&product.cli(&["job", "apply", "-f", &file, "--dry-run"]));
    let expected = "changed ours/a\n  schedule: \"@daily\" -> \"@hourly\"\ncreated ours/new\n\
                    1 created, 1 changed, 1 unchanged, 0 deleted (nothing is saved)\n";
    assert_eq!(said, expected);
    let pruned = told(&product.cli(&[
        "job",
        "apply",
        "-f",
        &file,
        "--dry-run",
        "--prune",
        "--prefix",
        "ours/",
    ]));
    assert!(
        pruned.contains("created ours/new\ndeleted ours/c\n"),
        "{pruned}"
    );
    let document = product.cli(&["job", "apply", "-f", &file, "--dry-run", "--output", "json"]);
    let document: Value = serde_json::from_slice(&document.stdout).unwrap();
    assert_eq!(document["dry_run"], true);
    let changed = json!({ "job": "ours/a", "outcome": "changed", "fields": { "schedule": { "from": "@daily", "to": "@hourly" } }, "version": before[0]["version"] });
    assert_eq!(document["items"][0], changed);
    let after = product.get("/jobs").await["items"].clone();
    let versions = |jobs: &Value| -> Vec<Value> {
        jobs.as_array()
            .unwrap()
            .iter()
            .map(|job| job["version"].clone())
            .collect()
    };
    assert_eq!(versions(&after), versions(&before));

    let wrong = write(
        &product,
        "wrong.yaml",
        "jobs:\n  - {name: x, command: x}\n  - name: y\n    schedule: never\n    command: y\n",
    );
    let refused = product.cli(&["job", "apply", "-f", &wrong, "--dry-run"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        told(&refused).contains("wrong.yaml, line 4: job y: "),
        "{}",
        told(&refused)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_deletes_only_what_is_selected() {
    let product = with_jobs().await;
    let file = write(&product, "jobs.yaml", FILE);
    let apply = |args: &[&str]| product.cli(&[&["job", "apply", "-f", &file], args].concat());
    for (args, expected) in [
        (&["--prune"][..], "--prefix <TEXT>|--label <KEY=VALUE>"),
        (&["--prefix", "ours/"], "--prune"),
        (&["--prune", "--prefix", ""], "--prefix"),
    ] {
        let refused = apply(args);
        assert_eq!(refused.status.code(), Some(2));
        assert!(told(&refused).contains(expected), "{}", told(&refused));
    }
    assert_eq!(
        names(&product).await,
        ["ours/a", "ours/b", "ours/c", "theirs"]
    );

    for (args, expected) in [
        (
            ["--label", "team=none"],
            "line 2: job ours/a: name: ours/a is not accepted: a job that prune selects",
        ),
        (
            ["--prefix", "theirs"],
            "line 2: job ours/a: name: ours/a is not accepted: a job that prune selects",
        ),
    ] {
        let refused = apply(&[&["--prune"][..], &args].concat());
        assert_eq!(refused.status.code(), Some(1));
        assert!(told(&refused).contains(expected), "{}", told(&refused));
    }
    let empty = write(&product, "empty.yaml", "jobs: []\n");
    let refused = product.cli(&["job", "apply", "-f", &empty, "--prune", "--prefix", "ours/"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        told(&refused).contains("jobs: [] is not accepted: at least one job"),
        "{}",
        told(&refused)
    );
    assert_eq!(
        names(&product).await,
        ["ours/a", "ours/b", "ours/c", "theirs"]
    );

    let nothing = apply(&["--prune", "--prefix", "ours/", "--label", "team=ops"]);
    assert!(
        told(&nothing).ends_with("1 created, 1 changed, 1 unchanged, 0 deleted\n"),
        "{}",
        told(&nothing)
    );
    assert_eq!(
        names(&product).await,
        ["ours/a", "ours/b", "ours/c", "ours/new", "theirs"]
    );
    let pruned = apply(&["--prune", "--prefix", "ours/"]);
    assert_eq!(
        told(&pruned),
        "deleted ours/c\n0 created, 0 changed, 3 unchanged, 1 deleted\n"
    );
    assert_eq!(
        names(&product).await,
        ["ours/a", "ours/b", "ours/new", "theirs"]
    );
    assert_eq!(product.get("/jobs/ours%2Fa").await["schedule"], "@hourly");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_can_be_applied() {
    let product = with_jobs().await;
    let odd = json!({
        "argv": ["x", "a\nb", "\"'\\"], "env": { "A": "1.10", "B": "no" }, "timeout_s": 1.5, "enabled": false,
        "hooks": [{ "plugin": "redact-secrets", "config": { "words": ["hush", "quiet"] } }],
        "retry": { "max": 2, "on": { "exit_codes": [3] } }, "schedule": "0 3 * * mon", "time_zone": "Asia/Tokyo",
    });
    product.put_job("ours%2Fodd", &odd).await;
    for (ending, output) in [("toml", "table"), ("yaml", "yaml"), ("json", "json")] {
        let exported = product.cli(&["job", "export", "--prefix", "ours/", "--output", output]);
        assert!(exported.status.success(), "{}", told(&exported));
        let text = String::from_utf8(exported.stdout).unwrap();
        assert!(
            !text.contains("theirs") && text.contains("ours/odd"),
            "{text}"
        );
        let file = write(&product, &format!("jobs.{ending}"), &text);
        let applied =
            told(&product.cli(&["job", "apply", "-f", &file, "--prune", "--prefix", "ours/"]));
        assert_eq!(
            applied, "0 created, 0 changed, 4 unchanged, 0 deleted\n",
            "{text}"
        );
    }
    let labelled = product.cli(&["job", "export", "--label", "team=web", "--output", "json"]);
    let labelled: Value = serde_json::from_slice(&labelled.stdout).unwrap();
    assert_eq!(labelled["jobs"].as_array().unwrap().len(), 1);
}
