//! The page of what a run's plugins decided leads to its alerts, wherever those are.

use serde_json::Value;

use crate::alerts::scene::{Config, Fragile};
use crate::fleet::PATIENCE;
use crate::product::{Product, wait_for};

/// What was said of the run's end, once something was.
async fn of_end(product: &Product, run: &str) -> Value {
    let found = async || {
        let decided = product.get(&format!("/runs/{run}/hooks")).await;
        let mut items = decided["items"].as_array().unwrap().iter();
        let found = items.find(|decided| decided["hook"] == "run-end");
        found.filter(|found| found["alerts"].is_array()).cloned()
    };
    wait_for("the alerts of the run", PATIENCE, async || {
        found().await.is_some()
    })
    .await;
    found().await.unwrap()
}

/// Nothing takes the alerts, so that a repeat is folded into the one before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_leads_to_its_alerts_and_to_what_they_were_folded_into() {
    let config =
        Config::new("[alerts.targets.ops]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\n");
    let product = config.dev();
    let job = Fragile::put(&product, "reports", "ops").await;
    job.fail(&product).await;
    let second = job.fail(&product).await;
    let raised = of_end(&product, &second).await;
    assert_eq!(raised["decision"], "tells ops", "{raised}");
    assert_eq!(raised["plugin"], "webhook-alert");
    let alert = &raised["alerts"][0];
    assert_eq!(alert["state"], "pending", "{raised}");
    assert_eq!(alert["target"], "ops");

    let third = job.fail(&product).await;
    let folded = of_end(&product, &third).await;
    let repeat = &folded["alerts"][0];
    assert_eq!(repeat["state"], "folded", "{folded}");
    assert_eq!(repeat["part_of"], alert["id"], "{folded}");
    let explained = product.on_a_terminal(&["run", "explain", &third]);
    let id = alert["id"].as_str().unwrap();
    assert!(
        explained.contains(&format!("to ops, folded: into {id}")),
        "{explained}"
    );
}
