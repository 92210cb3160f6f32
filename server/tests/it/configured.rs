//! A plugin whose manifest says how it is configured, seen from outside: what is pushed, what jobs and bindings may say, and what
//! `plugin check` and `plugin ls` show.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use sandclock_hooks::Manifest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::{Product, told};

/// A plugin that has no opinion on configurations, with a schema that has one.
fn times(home: &Path) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins");
    let module = fs::read(root.join("artifacts/times-p99.wasm")).unwrap();
    let manifest = json!({
        "plugin": { "name": "times", "version": "1.0.0" },
        "config": { "schema": {
            "type": "object",
            "properties": {
                "factor": { "type": "integer", "minimum": 1, "maximum": 100, "default": 3, "description": "Multiplies the p99" },
            },
            "additionalProperties": false,
        } },
    });
    let manifest: Manifest = serde_json::from_value(manifest).unwrap();
    let file = home.join("times.wasm");
    fs::write(&file, manifest.embed(&module).unwrap()).unwrap();
    file
}

async fn refused(product: &Product, path: &str, body: &Value) -> String {
    let response = product.send(Method::PUT, path, body).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    response.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_member_is_refused_before_anybody_runs() {
    let home = TempDir::new().unwrap();
    let file = times(home.path());
    let product = Product::start(&["--no-examples"]);
    let said = told(&product.cli(&["plugin", "push", file.to_str().unwrap()]));
    assert_eq!(said, "serving times 1.0.0\n");

    let hooks = json!([{ "plugin": "times", "config": { "factor": 0 } }]);
    let job = json!({ "command": "true", "hooks": hooks });
    let told_of_job = refused(&product, "/jobs/a", &job).await;
    let expected = "hooks[0].config.factor: 0 is not accepted: has to be an integer, 1 to 100";
    assert!(told_of_job.contains(expected), "{told_of_job}");
    let binding = json!({ "selector": { "labels": { "team": "data" } }, "plugin": "times", "config": { "fator": 2 } });
    let told_of_binding = refused(&product, "/bindings/b", &binding).await;
    let expected = "config.fator: 2 is not accepted: unknown, the only member is factor";
    assert!(told_of_binding.contains(expected), "{told_of_binding}");
    let right = json!([{ "plugin": "times", "config": { "factor": 2 } }]);
    let job = json!({ "command": "true", "hooks": right });
    product.put_job("a", &job).await;

    let plugin = product.get("/plugins/times").await;
    assert_eq!(
        plugin["config_schema"]["properties"]["factor"]["maximum"],
        100
    );
    assert_eq!(
        plugin["config_members"][0]["accepts"],
        "an integer, 1 to 100"
    );
    let line = "factor  an integer, 1 to 100; 3 if absent. Multiplies the p99";
    let listed = told(&product.cli(&["plugin", "ls", "times"]));
    assert!(listed.contains(line), "{listed}");
    let checked = told(&product.cli(&["plugin", "check", file.to_str().unwrap()]));
    let line = "config    factor: an integer, 1 to 100; 3 if absent. Multiplies the p99";
    assert!(checked.contains(line), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standard_plugin_says_how_it_is_configured() {
    let product = Product::start(&["--no-examples"]);
    let listed = told(&product.cli(&["plugin", "ls", "timeout-ladder"]));
    let line = "factor      a number, more than 0 and at most 1000; 3.0 if absent. Multiplies the quantile.";
    assert!(listed.contains(line), "{listed}");
    let shown = product.on_a_terminal(&["plugin", "ls", "timeout-ladder"]);
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    assert!(!shown.contains('…'), "{shown}");
    let plugin = product.get("/plugins/timeout-ladder").await;
    assert_eq!(plugin["version"], env!("CARGO_PKG_VERSION"));
    let wrong = json!([{ "plugin": "timeout-ladder", "config": { "factor": 0 } }]);
    let job = json!({ "command": "true", "hooks": wrong });
    let told = refused(&product, "/jobs/a", &job).await;
    let expected =
        "config.factor: 0 is not accepted: has to be a number, more than 0 and at most 1000";
    assert!(told.contains(expected), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_says_in_one_place_how_it_is_configured() {
    let home = TempDir::new().unwrap();
    let product = Product::start(&["--no-examples"]);
    let folder = home.path().join("p");
    fs::create_dir(&folder).unwrap();
    let manifest = "[plugin]\nname = \"p\"\nversion = \"1\"\n";
    fs::write(folder.join("plugin.toml"), manifest).unwrap();
    let schema = r#"{ "properties": { "a": { "$ref": "https://example.org/a" } } }"#;
    fs::write(folder.join("config.schema.json"), schema).unwrap();
    let build = ["plugin", "build", folder.to_str().unwrap()];
    let errors = |output: std::process::Output| {
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let refused = errors(product.cli(&build));
    let expected = "config.schema.json: properties.a.$ref: \"https://example.org/a\", has to be a definition of this schema";
    assert!(refused.contains(expected), "{refused}");
    let both = format!("{manifest}[config.schema]\ntype = \"object\"\n");
    fs::write(folder.join("plugin.toml"), both).unwrap();
    let refused = errors(product.cli(&build));
    assert!(
        refused.contains("both say how the plugin is configured"),
        "{refused}"
    );
}
