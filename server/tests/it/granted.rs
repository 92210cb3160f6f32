//! A plugin that keeps something between its calls, from the refused push to the alert that no single run could raise.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use sandclock_hooks::Manifest;
use serde_json::json;
use tempfile::TempDir;

use crate::product::{Product, told, wait_for};

/// The example, as its build makes it.
fn storm_alert(home: &Path) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins");
    let manifest = fs::read_to_string(root.join("storm-alert/plugin.toml")).unwrap();
    let manifest: Manifest = toml::from_str(&manifest).unwrap();
    let module = fs::read(root.join("artifacts/storm-alert.wasm")).unwrap();
    let file = home.join("storm-alert.wasm");
    fs::write(&file, manifest.embed(&module).unwrap()).unwrap();
    file
}

fn config(home: &Path, text: &str) -> PathBuf {
    let file = home.join("sandclock.toml");
    fs::write(&file, text).unwrap();
    file
}

/// The page of the run's decisions has the alert, with where it is.
async fn its_run_leads_to_the_alert(product: &Product, alert: &serde_json::Value) {
    let run = alert["run"].as_str().unwrap();
    let decided = async || {
        let decided = product.get(&format!("/runs/{run}/hooks")).await;
        decided["items"][0].clone()
    };
    let delivered = async || decided().await["alerts"][0]["state"] == "delivered";
    wait_for("the alert is delivered", Duration::from_secs(60), delivered).await;
    let decided = decided().await;
    assert_eq!(decided["hook"], "run-end", "{decided}");
    assert_eq!(decided["decision"], "tells log", "{decided}");
    assert_eq!(decided["alerts"][0]["id"], alert["id"]);
    let explained = product.on_a_terminal(&["run", "explain", run]);
    let id = alert["id"].as_str().unwrap();
    assert!(explained.contains(&format!("{id} to log")), "{explained}");
}

/// It has got and changed its values.
async fn what_it_did_is_counted(product: &Product) {
    let metrics = product.bare(Method::GET, "/metrics");
    let metrics = metrics.bearer_auth(&product.token).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for effect in ["kv.get", "kv.swap"] {
        let counted = format!(
            "sandclock_plugin_effects_total{{plugin=\"storm-alert\",effect=\"{effect}\",outcome=\"ok\"}} "
        );
        assert!(metrics.contains(&counted), "{metrics}");
    }
}

/// Refused at the push without a grant; granted, runs of several jobs add up over a restart; a grant that is taken away is
/// refused at the load.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_counts_over_runs_as_long_as_it_is_granted() {
    let home = TempDir::new().unwrap();
    let artifact = storm_alert(home.path());
    let push = ["plugin", "push", artifact.to_str().unwrap()];
    let granted = config(home.path(), "[plugins.grants.storm-alert]\nkv = true\n");
    let args = ["--no-examples", "--config", granted.to_str().unwrap()];
    let product = Product::start(&["--no-examples"]);
    let refused = told(&product.cli(&push));
    assert!(
        refused.contains("it asks for what it is not granted"),
        "{refused}"
    );
    assert!(
        refused.contains("kv = true below [plugins.grants.\"storm-alert\"]"),
        "{refused}"
    );

    let product = product.restart_after_kill(&args);
    assert_eq!(told(&product.cli(&push)), "serving storm-alert 0.1.0\n");
    let config = json!({ "target": "log", "failures": 3 });
    let hooks = json!([{ "plugin": "storm-alert", "config": config }]);
    for job in ["a", "b"] {
        let job_of = json!({ "command": "exit 3", "hooks": hooks });
        product.put_job(job, &job_of).await;
        product.run_job(job).await;
    }
    let alerts = async |product: &Product| {
        let alerts = product.get("/alerts").await;
        alerts["items"].as_array().unwrap().clone()
    };
    let product = product.restart_after_kill(&args);
    assert_eq!(alerts(&product).await, [] as [serde_json::Value; 0]);
    product.run_job("a").await;
    let storm = async || alerts(&product).await.len() == 1;
    wait_for("the storm", Duration::from_secs(60), storm).await;
    let told_of = &alerts(&product).await[0];
    assert_eq!(told_of["plugin"], "storm-alert", "{told_of}");
    its_run_leads_to_the_alert(&product, told_of).await;
    what_it_did_is_counted(&product).await;
    let shown = product.on_a_terminal(&["plugin", "ls", "storm-alert"]);
    for line in ["asks for   kv", "granted    kv", "may        kv"] {
        assert!(shown.contains(line), "{shown}");
    }

    let product = product.restart_after_kill(&["--no-examples"]);
    let plugins = product.get("/plugins").await;
    let mut items = plugins["items"].as_array().unwrap().iter();
    let storm = items
        .find(|plugin| plugin["name"] == "storm-alert")
        .unwrap();
    let status = storm["status"].as_str().unwrap();
    assert!(status.starts_with("cannot serve here: "), "{status}");
    assert!(status.contains("it is not granted"), "{status}");
}

/// What a plugin has kept goes with it: whoever pushes another one under its name finds nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_goes_with_its_plugin() {
    let home = TempDir::new().unwrap();
    let artifact = storm_alert(home.path());
    let push = ["plugin", "push", artifact.to_str().unwrap()];
    let granted = config(home.path(), "[plugins.grants.storm-alert]\nkv = true\n");
    let product = Product::start(&["--no-examples", "--config", granted.to_str().unwrap()]);
    let config = json!({ "target": "log", "failures": 2 });
    let hooks = json!([{ "plugin": "storm-alert", "config": config }]);
    for round in 0..2 {
        assert_eq!(told(&product.cli(&push)), "serving storm-alert 0.1.0\n");
        let job = json!({ "command": "exit 3", "hooks": hooks });
        product.put_job("a", &job).await;
        product.run_job("a").await;
        // It has been asked, and this was its first failure, each time.
        let counted = async || {
            let metrics = product
                .bare(Method::GET, "/metrics")
                .bearer_auth(&product.token);
            let metrics = metrics.send().await.unwrap().text().await.unwrap();
            let mut lines = metrics.lines().filter(|line| line.contains("storm-alert"));
            let asked =
                |line: &str| line.contains("run-end") && line.ends_with(&format!(" {}", round + 1));
            lines.any(asked)
        };
        wait_for("the plugin to be asked", Duration::from_secs(60), counted).await;
        let alerts = product.get("/alerts").await;
        assert_eq!(
            alerts["items"].as_array().unwrap().len(),
            0,
            "round {round}: {alerts}"
        );
        product.send(Method::DELETE, "/jobs/a", &json!(null)).await;
        let removed = told(&product.cli(&["plugin", "rm", "storm-alert"]));
        assert!(removed.contains("storm-alert"), "{removed}");
    }
}
