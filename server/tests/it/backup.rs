//! `sandclock backup` and `restore`: everything is back, nothing is made up, and a damaged file changes nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use reqwest::Method;
use sandclock_core::Timestamp;
use sandclock_core::time::Clock as _;
use sandclock_server::clock::SystemClock;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleet::PATIENCE;
use crate::product::{Product, told, wait_for};
use crate::stores::Stores;
use crate::transfer::{failed, offline, succeeded, text};
use crate::worker::Worker;

/// Fills a store: jobs of which one makes up every tick that was missed, a binding, a secret, a token.
async fn fill(product: &Product) {
    for (name, job) in [
        (
            "every-second",
            json!({
                "command": "true", "schedule": "@every 1s", "starts_at": "2020-01-01T00:00:00Z",
                "misfire": { "policy": "all", "max": 1000, "deadline_s": 31_536_000 },
            }),
        ),
        (
            "long-ago",
            json!({
                "command": "true", "schedule": "0 0 1 1 *", "starts_at": "2020-01-01T00:00:00Z",
                "misfire": { "policy": "all", "max": 1000, "deadline_s": 31_536_000 },
            }),
        ),
        ("by-hand", json!({ "command": "true", "owner": "ann" })),
    ] {
        product.put_job(name, &job).await;
    }
    let binding =
        json!({ "selector": { "labels": { "team": "ops" } }, "plugin": "redact-secrets" });
    let put = product
        .send(Method::PUT, "/bindings/redacts", &binding)
        .await;
    assert!(put.status().is_success());
    let secret = json!({ "key": "k1", "sealed": "c2VhbGVk" });
    let put = product.send(Method::PUT, "/secrets/db", &secret).await;
    assert!(put.status().is_success());
    let token = json!({ "name": "deploys", "role": "editor", "prefixes": ["shop/"] });
    product.send(Method::POST, "/tokens", &token).await;
}

fn backup_of(product: &Product, folder: &Path) -> std::path::PathBuf {
    let file = folder.join("all.backup");
    let said = succeeded(&product.cli(&["backup", text(&file)]));
    assert!(
        said.contains("backed up 3 jobs, 1 bindings and 0 plugins"),
        "{said}"
    );
    assert!(said.contains("with 1 sealed secrets"), "{said}");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    file
}

/// That nobody made a tick up from before the restore.
async fn nothing_is_late(product: &Product, began: Timestamp) {
    wait_for("the restored job runs", PATIENCE, async || {
        let runs = product.get("/runs?state=succeeded").await;
        !runs["items"].as_array().unwrap().is_empty()
    })
    .await;
    for run in product.get("/runs?limit=1000").await["items"]
        .as_array()
        .unwrap()
    {
        assert_eq!(run["job"], "every-second", "{run}");
        let first = run["ticks"]["first"].as_str();
        let first = first.or_else(|| run["fire_time"].as_str()).unwrap();
        let first = Timestamp::parse(first).unwrap();
        assert!(first >= began, "restored at {began}: {run}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_without_a_server_and_makes_up_no_tick() {
    let old = Product::start(&["--no-examples"]);
    fill(&old).await;
    wait_for("the store has a mark", PATIENCE, async || {
        let runs = old.get("/runs?state=succeeded").await;
        !runs["items"].as_array().unwrap().is_empty()
    })
    .await;
    let folder = TempDir::new().unwrap();
    let file = backup_of(&old, folder.path());
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let marks = written["kept"]["marks"].as_array().unwrap();
    assert!(marks.iter().any(|mark| mark["job"] == "every-second"));
    assert_eq!(written["kept"]["secrets"][0]["sealed"], "c2VhbGVk");
    assert!(!written.to_string().contains(&old.token));

    let mut new = Product::start(&["--no-examples"]);
    let data = new.data();
    new.stop().await;
    let began = SystemClock.now();
    let said = succeeded(&offline(&["restore", text(&file), "--data", text(&data)]));
    assert!(
        said.contains("read back: the job list is identical"),
        "{said}"
    );
    assert!(said.contains("tokens are not restored"), "{said}");
    let made = "sandclock token create 'deploys' --role editor --prefix 'shop/'";
    assert!(said.contains(made), "{said}");
    let new = new.restart_after_kill(&["--no-examples"]);
    nothing_is_late(&new, began).await;

    let again = failed(&new.cli(&["restore", text(&file)]));
    assert!(
        again.contains("the store is not empty: it holds 3 jobs"),
        "{again}"
    );
    let again = succeeded(&new.cli(&["restore", text(&file), "--overwrite", "--output", "json"]));
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["identical"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_into_a_fleet_or_not_at_all() {
    let old = Product::start(&["--no-examples"]);
    fill(&old).await;
    let folder = TempDir::new().unwrap();
    let file = backup_of(&old, folder.path());
    let stores = Stores::shared();
    let fleet = Product::server(&stores.toml());

    let whole = std::fs::read_to_string(&file).unwrap();
    let changed = folder.path().join("changed");
    std::fs::write(&changed, whole.replace("\"ann\"", "\"bob\"")).unwrap();
    let refused = failed(&fleet.cli(&["restore", text(&changed)]));
    assert!(
        refused.contains("was changed since it was made"),
        "{refused}"
    );
    std::fs::write(&changed, &whole[..whole.len() / 2]).unwrap();
    let refused = failed(&fleet.cli(&["restore", text(&changed)]));
    assert!(refused.contains("is no whole backup"), "{refused}");
    let said = succeeded(&fleet.cli(&["restore", text(&file), "--dry-run"]));
    assert!(said.contains("nothing is written"), "{said}");
    let jobs = fleet.get("/jobs").await;
    assert_eq!(jobs["items"], json!([]));

    let _worker = Worker::start("new", &stores);
    let began = SystemClock.now();
    let output = fleet.cli(&["restore", text(&file)]);
    assert!(told(&output).contains("the job list is identical"));
    nothing_is_late(&fleet, began).await;
    let export = |product: &Product| succeeded(&product.cli(&["export"]));
    assert_eq!(export(&fleet), export(&old));
    let secrets = fleet.get("/backup").await["secrets"].take();
    assert_eq!(secrets, old.get("/backup").await["secrets"]);
}
