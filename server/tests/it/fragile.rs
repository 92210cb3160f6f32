//! A plugin that fails at each call, on a running server: after some calls none is made for a while, which is to be seen, and
//! which another release, another configuration or the operator ends.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::author::{build_again, empty, new_from_template};
use crate::product::{Product, told};

/// A policy that panics unless it is told otherwise.
const PANICS: &str = r#"//! Fails.

use sandclock_plugin_sdk::prelude::*;

struct Policy;

impl TimeoutPolicy for Policy {
    fn decide(_: RunInfo, _: Option<u32>, _: History) -> Result<Option<Decision>> {
        let fine: bool = config::get_or("fine", false)?;
        assert!(fine, "it is not fine");
        Ok(None)
    }
}

register!(timeout_policy = Policy);
"#;

fn panics() -> PathBuf {
    let place = empty("fragile");
    let folder = new_from_template(&place, "fragile", "timeout");
    fs::write(folder.join("src/lib.rs"), PANICS).unwrap();
    // What is configured is another thing now.
    fs::remove_file(folder.join("config.schema.json")).unwrap();
    build_again(&place, "fragile");
    folder.join("fragile.wasm")
}

fn push(product: &Product, file: &Path, version: &str) {
    let file = file.to_str().unwrap();
    let pushed = product.cli(&[
        "plugin",
        "push",
        file,
        "--name",
        "fragile",
        "--version",
        version,
    ]);
    assert_eq!(told(&pushed), format!("serving fragile {version}\n"));
}

async fn put_job(product: &Product, name: &str, config: &Value) {
    let hooks = json!([{ "plugin": "fragile", "config": config }]);
    let job = json!({ "command": "true", "hooks": hooks });
    product.put_job(name, &job).await;
}

/// What the plugin decided about a run of the job.
async fn decided(product: &Product, job: &str) -> String {
    let run = product.run_job(job).await;
    let id = run["id"].as_str().unwrap();
    let notes = product.get(&format!("/runs/{id}/hooks")).await;
    notes["items"][0]["decision"].as_str().unwrap().to_owned()
}

/// What the metrics say of its breaker.
async fn gauge(product: &Product) -> u64 {
    let metrics = product.bare(Method::GET, "/metrics");
    let metrics = metrics.bearer_auth(&product.token).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let name = "sandclock_plugin_breaker_open{plugin=\"fragile\",hook=\"timeout-policy\"} ";
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name));
    value
        .unwrap_or_else(|| panic!("{metrics}"))
        .parse()
        .unwrap()
}

async fn open_breakers(product: &Product) -> Value {
    let plugins = product.get("/plugins").await;
    let mut items = plugins["items"].as_array().unwrap().iter();
    let plugin = items.find(|plugin| plugin["name"] == "fragile").unwrap();
    plugin["open_breakers"].clone()
}

/// Runs the job until the plugin was not called, and says what is told of that.
async fn until_not_called(product: &Product) -> String {
    for _ in 0..50 {
        let said = decided(product, "a").await;
        if said.contains("breaker_open") {
            return said;
        }
        assert!(said.contains("plugin_fallback: panic"), "{said}");
    }
    panic!("it is called again and again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_keeps_failing_is_left_alone_for_a_while() {
    let file = panics();
    let product = Product::start(&["--no-examples"]);
    push(&product, &file, "0.1.0");
    put_job(&product, "a", &json!({})).await;
    put_job(&product, "b", &json!({ "fine": true })).await;
    assert_eq!(gauge(&product).await, 0);

    let said = until_not_called(&product).await;
    assert!(
        said.starts_with("plugin_fallback: breaker_open: it failed 5 times within 300 s"),
        "{said}"
    );
    assert!(
        said.contains("roll back, push a release that does not fail"),
        "{said}"
    );
    assert_eq!(gauge(&product).await, 1);
    assert_eq!(
        open_breakers(&product).await,
        json!({ "timeout-policy": 1 })
    );
    let shown = product.on_a_terminal(&["plugin", "ls", "fragile"]);
    assert!(shown.contains("not called timeout-policy"), "{shown}");
    // A job with another configuration is not concerned.
    assert_eq!(decided(&product, "b").await, "keeps what holds");

    // The other plugin has no such member.
    put_job(&product, "b", &json!({})).await;
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/artifacts");
    push(&product, &artifacts.join("timeout-ladder.wasm"), "0.2.0");
    assert_eq!(gauge(&product).await, 0);
    let said = decided(&product, "a").await;
    assert!(!said.contains("plugin_fallback"), "{said}");

    // The operator can have it called all the same.
    let home = TempDir::new().unwrap();
    let config = home.path().join("sandclock.toml");
    fs::write(&config, "[plugins.breakers.fragile]\nenabled = false\n").unwrap();
    let args = ["--no-examples", "--config", config.to_str().unwrap()];
    let product = product.restart_after_kill(&args);
    told(&product.cli(&["plugin", "rollback", "fragile"]));
    for _ in 0..8 {
        let said = decided(&product, "a").await;
        assert!(said.contains("plugin_fallback: panic"), "{said}");
    }
    assert_eq!(gauge(&product).await, 0);
}
