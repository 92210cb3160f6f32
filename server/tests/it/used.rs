//! Changes of a plugin that is used: whoever has it must not lose it without a word.

use std::path::PathBuf;

use reqwest::{Method, StatusCode};
use sandclock_hooks::Manifest;
use serde_json::{Value, json};

use crate::product::{Product, told};

fn artifact(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let artifacts = root.join("../examples/plugins/artifacts");
    artifacts.join(name).with_extension("wasm")
}

/// A redactor that is used by a job and by a binding.
async fn in_use() -> Product {
    let product = Product::start(&["--no-examples"]);
    let redactor = artifact("redact-secrets");
    let push = ["plugin", "push", "--name", "hide", "--version", "1.0.0"];
    let pushed = product.cli(&[&push[..], &[redactor.to_str().unwrap()]].concat());
    assert_eq!(told(&pushed), "serving hide 1.0.0\n");
    let config = json!({ "words": ["xyzzy"] });
    let binding = json!({ "selector": { "all": true }, "plugin": "hide", "config": config, "required": true });
    let bound = product
        .send(Method::PUT, "/bindings/everywhere", &binding)
        .await;
    assert_eq!(
        bound.status(),
        StatusCode::CREATED,
        "{}",
        bound.text().await.unwrap()
    );
    let hooks = json!([{ "plugin": "hide", "config": config }]);
    product
        .put_job(
            "prints",
            &json!({ "command": "echo xyzzy", "hooks": hooks }),
        )
        .await;
    product
}

async fn plugin(product: &Product) -> Value {
    product.get("/plugins/hide").await
}

async fn printed(product: &Product) -> String {
    let run = product.run_job("prints").await;
    let id = run["id"].as_str().unwrap();
    product.text(&format!("/runs/{id}/output")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_without_a_hook_that_is_needed_does_not_serve() {
    let product = in_use().await;
    let before = plugin(&product).await;
    let ladder = artifact("timeout-ladder");
    let push = [
        "plugin",
        "push",
        "--name",
        "hide",
        "--version",
        "2.0.0",
        ladder.to_str().unwrap(),
    ];
    let said = told(&product.cli(&push));
    let expected = "the release may not serve: it has no output-redaction, for which hide is called now, by binding everywhere, job prints";
    assert!(
        said.contains(expected) && said.contains("--force"),
        "{said}"
    );
    assert_eq!(plugin(&product).await, before);
    assert_eq!(printed(&product).await, "[redacted:word]\n");

    // It may be kept, and whoever says so has it serve.
    let kept = told(&product.cli(&[&push[..], &["--no-serve"]].concat()));
    assert_eq!(kept, "kept hide 2.0.0\n");
    let forced = told(&product.cli(&[&push[..], &["--force"]].concat()));
    assert_eq!(forced, "serving hide 2.0.0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_does_not_accept_what_is_configured_does_not_serve() {
    let product = in_use().await;
    let before = plugin(&product).await;
    let manifest = json!({
        "plugin": { "name": "hide", "version": "2.0.0" },
        "config": { "schema": { "properties": { "assignments": {} }, "additionalProperties": false } },
    });
    let manifest: Manifest = serde_json::from_value(manifest).unwrap();
    let module = std::fs::read(artifact("redact-secrets")).unwrap();
    let file = product.home().join("hide.wasm");
    std::fs::write(&file, manifest.embed(&module).unwrap()).unwrap();
    let said = told(&product.cli(&["plugin", "push", file.to_str().unwrap()]));
    let expected = "the release may not serve: binding everywhere: config.words: ";
    assert!(
        said.contains(expected) && said.contains("--force"),
        "{said}"
    );
    assert_eq!(plugin(&product).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_is_not_removed() {
    let product = in_use().await;
    let before = plugin(&product).await;
    let said = told(&product.cli(&["plugin", "rm", "hide"]));
    let expected = "plugin hide is used by binding everywhere, job prints";
    assert!(
        said.contains(expected) && said.contains("--force"),
        "{said}"
    );
    assert_eq!(plugin(&product).await, before);

    let removed = product
        .send(Method::DELETE, "/plugins/hide?force=true", &json!(null))
        .await;
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    let listed = told(&product.cli(&["plugin", "bindings"]));
    let expected = "warning: binding everywhere: plugin hide is not in service here";
    assert!(listed.contains(expected), "{listed}");
    let redactor = artifact("redact-secrets");
    let push = ["plugin", "push", "--name", "hide", "--version", "1.0.0"];
    told(&product.cli(&[&push[..], &[redactor.to_str().unwrap()]].concat()));

    told(&product.cli(&["plugin", "unbind", "everywhere"]));
    let said = told(&product.cli(&["plugin", "rm", "hide"]));
    assert!(said.contains("plugin hide is used by job prints"), "{said}");
    let forced = told(&product.cli(&["plugin", "rm", "hide", "--force"]));
    assert_eq!(forced, "removed hide\n");
    let output = printed(&product).await;
    assert!(
        output.contains("[output withheld: redactor hide missing"),
        "{output}"
    );
}

/// It is an answer to whoever asks, and says nothing of how the plugin is doing.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_no_failure_of_the_plugin() {
    let product = in_use().await;
    let hooks = json!([{ "plugin": "hide", "config": { "regexes": { "a": "planted([" } } }]);
    let wrong = json!({ "command": "true", "hooks": hooks });
    let refused = product.send(Method::PUT, "/jobs/wrong", &wrong).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().await.unwrap().contains("planted(["));
    assert_eq!(plugin(&product).await["last_failure"], Value::Null);
    let log = String::from_utf8(product.log()).unwrap();
    assert!(!log.contains("planted"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_whose_target_is_not_there_is_warned_of() {
    let product = Product::start(&["--no-examples"]);
    let config = "{\"target\": \"nope\"}";
    let said = told(&product.cli(&[
        "plugin",
        "bind",
        "webhook-alert",
        "--all",
        "--config",
        config,
    ]));
    let expected = "warning: binding webhook-alert: config.target: no alert target is called \"nope\"; there are ";
    assert!(said.contains(expected), "{said}");
}
