//! A plugin that is swapped again and again while runs are asked about: each run has a decision, and it is of one version.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::fleet::PATIENCE;
use crate::product::{Product, told, wait_for};

/// Jobs that fire each second.
const JOBS: usize = 50;
/// Swaps, with the one to a broken module, and without the way back at the end.
const SWAPS: u32 = 100;
/// Which of them is to a broken module.
const BROKEN: u32 = 50;

fn module(name: &str) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let artifacts = root.join("../examples/plugins/artifacts");
    std::fs::read(artifacts.join(name).with_extension("wasm")).unwrap()
}

fn version(swap: u32) -> String {
    format!("1.0.{swap}")
}

/// The module with this release's name in a section that nobody reads, so that each release is a module of its own.
fn release(module: &[u8], version: &str) -> Vec<u8> {
    let name = b"release";
    let text = version.as_bytes();
    let section = [&[u8::try_from(name.len()).unwrap()], &name[..], text].concat();
    let length = u8::try_from(section.len()).unwrap();
    assert!(length < 128, "one byte of LEB128");
    [module, &[0, length], &section].concat()
}

/// Pushes a release that serves, and says whether it was taken.
async fn push(product: &Product, version: &str, module: Vec<u8>) -> StatusCode {
    let path = format!("/plugins/policy?version={version}");
    let put = product.request(Method::PUT, &path).body(module);
    put.send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_is_decided_by_one_version_of_a_plugin_that_is_swapped() {
    // It asks about each run at once, which is more in a second than a program should.
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "[api]\nrequests_per_s = 0\n").unwrap();
    let config = config.path().to_str().unwrap();
    let product = Product::start(&["--no-examples", "--config", config]);
    let policy = module("timeout-ladder");
    let first = push(&product, &version(0), release(&policy, &version(0))).await;
    assert_eq!(first, StatusCode::OK);
    let job = json!({
        "command": "true",
        "schedule": "@every 1s",
        "timeout_s": 30,
        "hooks": [{ "plugin": "policy" }],
    });
    for number in 0..JOBS {
        product
            .put_job(&format!("every-second-{number}"), &job)
            .await;
    }
    wait_for("runs begin", PATIENCE, async || {
        product.runs("state=succeeded").await.len() > JOBS
    })
    .await;

    for swap in 1..=SWAPS {
        if swap == BROKEN {
            let broken = push(&product, &version(swap), b"\0asm and nothing".to_vec()).await;
            assert_eq!(broken, StatusCode::UNPROCESSABLE_ENTITY);
            continue;
        }
        let taken = push(&product, &version(swap), release(&policy, &version(swap))).await;
        assert_eq!(taken, StatusCode::OK, "swap {swap}");
    }
    let back = told(&product.cli(&["plugin", "rollback", "policy"]));
    assert_eq!(back, "rolled back policy\n");
    for number in 0..JOBS {
        let path = format!("/jobs/every-second-{number}/disable");
        let disabled = product.request(Method::POST, &path).send().await.unwrap();
        assert!(disabled.status().is_success());
    }
    wait_for("all runs have ended", PATIENCE, async || {
        product.runs("state=running,queued").await.is_empty()
    })
    .await;
    has_one_decision_each(&product).await;
}

/// Every run that started has the decision of one release, and what is recorded says which module that was.
async fn has_one_decision_each(product: &Product) {
    let runs = product.runs("").await;
    let started = runs.iter().filter(|run| !run["started_at"].is_null());
    let mut decided = BTreeMap::<String, usize>::new();
    for run in started {
        let id = run["id"].as_str().unwrap();
        assert_eq!(run["state"], "succeeded", "{run}");
        let notes = product.get(&format!("/runs/{id}/hooks")).await;
        let notes = notes["items"].as_array().unwrap();
        assert_eq!(notes.len(), 1, "run {id}: {notes:?}");
        assert_eq!(notes[0]["failed"], false, "{notes:?}");
        let version = notes[0]["version"].as_str().unwrap();
        *decided.entry(version.to_owned()).or_default() += 1;
    }
    let releases: BTreeSet<_> = (0..=SWAPS)
        .filter(|swap| *swap != BROKEN)
        .map(version)
        .collect();
    assert!(
        decided.keys().all(|version| releases.contains(version)),
        "{decided:?}"
    );
    let plugin = product.get("/plugins").await;
    let mut plugins = plugin["items"].as_array().unwrap().iter();
    let plugin = plugins.find(|plugin| plugin["name"] == "policy").unwrap();
    assert_eq!(plugin["serving"], json!(version(SWAPS - 1)));
    let digests: BTreeMap<_, _> = plugin["releases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|release| {
            (
                release["version"].as_str().unwrap(),
                release["sha256"].as_str().unwrap(),
            )
        })
        .collect();
    let recorded = product.get("/plugins/policy/recordings?limit=100").await;
    let recorded = recorded["items"].as_array().unwrap();
    assert!(!recorded.is_empty());
    for call in recorded {
        assert_eq!(
            call["sha256"],
            digests[call["version"].as_str().unwrap()],
            "{call}"
        );
    }
    let total: usize = decided.values().sum();
    let spread = decided.len();
    println!(
        "{total} runs were decided by {spread} of {} releases",
        releases.len()
    );
    assert!(spread > 10, "runs began between the swaps: {decided:?}");
}
