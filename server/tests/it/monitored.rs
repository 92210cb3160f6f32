//! A plugin that is only monitored, on a running server: what it would do is to be read, and nothing of it is done.

use std::path::PathBuf;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::fleet::PATIENCE;
use crate::product::{Product, told, wait_for};

/// What the redactor would hide.
const WORD: &str = "xyzzy-is-hidden";

/// Pushes a standard plugin as a release of its own name, to be monitored from the start.
fn push(product: &Product, name: &str) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/artifacts");
    let file = root.join(name).with_extension("wasm");
    let file = file.to_str().unwrap();
    let pushed = product.cli(&[
        "plugin",
        "push",
        file,
        "--name",
        name,
        "--version",
        "9.0.0",
        "--mode",
        "monitor",
    ]);
    assert_eq!(told(&pushed), format!("serving {name} 9.0.0\n"));
}

/// A job with all three, which fails.
async fn put_job(product: &Product) {
    let job = json!({
        "command": format!("echo it says {WORD}; exit 3"),
        "timeout_s": 600,
        "hooks": [
            { "plugin": "timeout-ladder", "config": {} },
            { "plugin": "redact-secrets", "config": { "words": [WORD] } },
            { "plugin": "webhook-alert", "config": { "target": "log", "every": 1 } },
        ],
    });
    product.put_job("reports", &job).await;
}

async fn hooks(product: &Product, run: &str) -> Vec<Value> {
    let list = product.get(&format!("/runs/{run}/hooks")).await;
    list["items"].as_array().unwrap().clone()
}

/// Runs the job: its output, what its hooks decided, and how many alerts there are of it, once its end was dealt with and
/// there are at least so many.
async fn run(product: &Product, at_least: usize) -> (String, Vec<Value>, usize) {
    let run = product.start_run("reports").await;
    product.ended(&run).await;
    let recorded = async || {
        let list = product.get(&format!("/runs/{run}/recordings")).await;
        list["items"].as_array().unwrap().len()
    };
    wait_for("the calls are recorded", PATIENCE, async || {
        recorded().await == 3
    })
    .await;
    let alerts = async || {
        let list = product.get("/alerts").await;
        let items = list["items"].as_array().unwrap().iter();
        items.filter(|alert| alert["run"] == *run).count()
    };
    wait_for("the alerts are there", PATIENCE, async || {
        alerts().await >= at_least
    })
    .await;
    let output = product.text(&format!("/runs/{run}/output")).await;
    (output, hooks(product, &run).await, alerts().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_monitored_is_told_and_not_done() {
    let product = Product::start(&["--no-examples"]);
    let none = told(&product.cli(&["plugin", "mode", "redact-secrets", "monitor"]));
    assert!(
        none.contains("no release of plugin redact-secrets"),
        "{none}"
    );
    for name in ["timeout-ladder", "redact-secrets", "webhook-alert"] {
        push(&product, name);
    }
    let wrong = json!({ "mode": "observe" });
    let refused = product.send(Method::PUT, "/plugins/redact-secrets/mode", &wrong);
    let refused = refused.await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let said = refused.text().await.unwrap();
    assert!(said.contains("monitor or enforce"), "{said}");

    put_job(&product).await;
    let (output, notes, alerts) = run(&product, 0).await;
    assert_eq!(output, format!("it says {WORD}\n"));
    assert_eq!(alerts, 0, "{notes:?}");
    for note in &notes {
        assert_eq!(note["monitored"], true, "{note}");
    }
    let of = |name: &str| notes.iter().find(|note| note["plugin"] == name);
    let hid = of("redact-secrets").unwrap()["decision"].as_str().unwrap();
    assert!(
        hid.starts_with("not enforced: hid 1 stretches, 15 bytes ("),
        "{hid}"
    );
    let listed = product.get("/plugins").await;
    for plugin in listed["items"].as_array().unwrap() {
        assert_eq!(plugin["mode"], "monitor", "{plugin}");
    }
    let shown = product.on_a_terminal(&["plugin", "ls"]);
    assert_eq!(shown.matches("monitored").count(), 3, "{shown}");

    // A process that starts anew monitors them from its first run on.
    let product = product.restart_after_kill(&["--no-examples"]);
    let (output, _, alerts) = run(&product, 0).await;
    assert_eq!((output, alerts), (format!("it says {WORD}\n"), 0));

    for name in ["timeout-ladder", "redact-secrets", "webhook-alert"] {
        let said = told(&product.cli(&["plugin", "mode", name, "enforce"]));
        assert_eq!(said, format!("enforcing {name}\n"));
    }
    let (output, notes, alerts) = run(&product, 1).await;
    assert!(!output.contains(WORD), "{output}");
    assert_eq!(alerts, 1, "{notes:?}");
    assert!(notes.iter().all(|note| note["monitored"] == false));
    let all = product.get("/alerts").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1, "{all}");
}
