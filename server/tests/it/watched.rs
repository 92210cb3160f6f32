//! What `deploy/` watches a fleet with, against what `/metrics` serves: every figure that an alert rule or a panel of the
//! dashboard names is one of them.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Certificate, Client};
use sandclock_testkit::services::{Certificates, Mongo};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::{Product, wait_for};
use crate::stores::Stores;

const PATIENCE: Duration = Duration::from_secs(120);

fn file(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(path);
    std::fs::read_to_string(path).unwrap()
}

/// The names in an answer: of samples, so that a histogram's are those of its series.
fn served(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let names = samples.filter_map(|line| line.split(['{', ' ']).next());
    names.map(str::to_owned).collect()
}

/// The names of our figures in a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c));
    let ours = words.filter(|word| word.starts_with("sandclock_"));
    ours.map(str::to_owned).collect()
}

async fn page(product: &Product, client: &Client) -> String {
    let request = client.get(format!("{}/metrics", product.url));
    let answer = request.bearer_auth(&product.token).send().await.unwrap();
    answer.text().await.unwrap()
}

/// A process with everything that has figures: a worker, TLS, a run log elsewhere, a plugin, and an alert whose target
/// does not answer.
async fn of_one_process(made: &Certificates, folder: &TempDir) -> String {
    let config = folder.path().join("sandclock.toml");
    let (certificate, key) = (made.certificate("server"), made.key("server"));
    let database = format!("watched-{}", std::process::id());
    let text = format!(
        "tls.certificate = {certificate:?}\ntls.key = {key:?}\n\
         [run_log]\ntype = \"mongodb\"\nuri = {:?}\ndatabase = {database:?}\n\
         [alerts.targets.ops]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\n[alerts.targets.ops.policy]\n\
         retry = {{ initial_s = 1, factor = 1.0, max_s = 1, give_up_after_s = 1 }}\n",
        Mongo::replica_set().uri
    );
    std::fs::write(&config, text).unwrap();
    let product = Product::start(&["--no-examples", "--config", config.to_str().unwrap()]);
    let authority = std::fs::read(made.certificate("authority")).unwrap();
    let client = Client::builder().tls_certs_only([Certificate::from_pem(&authority).unwrap()]);
    let client = client.build().unwrap();
    let hook = json!({ "plugin": "webhook-alert", "config": { "every": 1, "target": "ops" } });
    let job = json!({ "command": "false", "schedule": "* * * * * * *", "hooks": [hook] });
    let put = client.put(format!("{}/api/v1/jobs/fails", product.url));
    let put = put.bearer_auth(&product.token).json(&job).send().await;
    assert!(put.unwrap().status().is_success());
    let given_up = "sandclock_alert_deliveries_total{target=\"ops\",outcome=\"given_up\"}";
    wait_for("an alert is given up", PATIENCE, async || {
        page(&product, &client).await.contains(given_up)
    })
    .await;
    page(&product, &client).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rules_and_dashboard_name_is_served() {
    sandclock_server::tls();
    let (made, folder) = (Certificates::make(), TempDir::new().unwrap());
    let one = of_one_process(&made, &folder).await;
    let server = Product::server(&Stores::shared().toml());
    let other = page(&server, &Client::new()).await;
    let served: BTreeSet<_> = served(&one).union(&served(&other)).cloned().collect();
    for (path, least) in [
        ("prometheus/sandclock.rules.yml", 15),
        ("prometheus/sandclock.rules.test.yml", 15),
        ("grafana/sandclock.json", 20),
    ] {
        // A file's own name is none of a figure.
        let named = named(&file(path));
        let missing: Vec<_> = named.difference(&served).collect();
        assert!(missing.is_empty(), "{path}: {missing:?} of {served:?}");
        assert!(named.len() >= least, "{path}: {named:?}");
    }
    let skew = "sandclock_start_skew_seconds_count ";
    let count = one.lines().find_map(|line| line.strip_prefix(skew));
    assert!(count.unwrap().parse::<u64>().unwrap() > 0, "{one}");
    let failed = "sandclock_ends_total{state=\"failed\"} ";
    let count = one.lines().find_map(|line| line.strip_prefix(failed));
    assert!(count.unwrap().parse::<u64>().unwrap() > 0, "{one}");
    for bound in ["0.005", "300", "+Inf"] {
        let bucket = format!("sandclock_start_skew_seconds_bucket{{le=\"{bound}\"}} ");
        assert!(one.contains(&bucket), "{bucket}: {one}");
    }
}

#[test]
fn the_dashboard_is_one() {
    let dashboard: Value = serde_json::from_str(&file("grafana/sandclock.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty());
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert!(target["expr"].as_str().unwrap().contains("sandclock_"));
        }
    }
}
