//! `sandclock export` and `import` of plugins and bindings: there and back, what is refused, and what is replaced.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandclock_core::backend::ModuleDigest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::{Product, told};
use crate::signed::{key, plugin, release};
use crate::stores::Stores;
use crate::transfer::{failed, offline, succeeded, text};
use crate::worker::Worker;

/// What of each pushed plugin is decided by operators.
async fn decided(product: &Product) -> Vec<Value> {
    let plugins = product.get("/plugins").await;
    let items = plugins["items"].as_array().unwrap().iter();
    let pushed = items.filter(|plugin| plugin["releases"] != json!([]));
    let releases = |plugin: &Value| -> Vec<Value> {
        let releases = plugin["releases"].as_array().unwrap().iter();
        let told = releases.map(|it| json!([it["version"], it["sha256"], it["size_bytes"]]));
        told.collect()
    };
    pushed
        .map(|it| {
            json!([
                it["name"],
                it["serving"],
                it["before"],
                it["shadow"],
                it["mode"],
                releases(it)
            ])
        })
        .collect()
}

async fn bindings(product: &Product) -> Value {
    let mut bindings = product.get("/bindings").await["items"].take();
    for binding in bindings.as_array_mut().unwrap() {
        binding.as_object_mut().unwrap().remove("version");
    }
    bindings
}

/// An artifact of the repository as a release.
fn push(product: &Product, file: &str, name: &str, version: &str, more: &[&str]) {
    let file = format!(
        "{}/../examples/plugins/artifacts/{file}.wasm",
        env!("CARGO_MANIFEST_DIR")
    );
    let args = [
        "plugin",
        "push",
        &file,
        "--name",
        name,
        "--version",
        version,
    ];
    succeeded(&product.cli(&[&args[..], more].concat()));
}

/// Two plugins of several releases, a binding for each, and jobs that use them.
async fn furnish(product: &Product, home: &Path) {
    for version in ["1.0.0", "2.0.0"] {
        succeeded(&product.cli(&["plugin", "push", text(&release(home, version))]));
    }
    push(product, "timeout-ladder", "hide", "3.0.0", &["--no-serve"]);
    succeeded(&product.cli(&["plugin", "shadow", "hide", "3.0.0"]));
    push(product, "timeout-ladder", "ladder", "1", &[]);
    push(product, "timeout-ladder", "ladder", "2", &[]);
    succeeded(&product.cli(&["plugin", "rollback", "ladder"]));
    succeeded(&product.cli(&["plugin", "mode", "ladder", "monitor"]));
    let bind = [
        "plugin",
        "bind",
        "hide",
        "--label",
        "team=data",
        "--order=-2",
        "--required",
    ];
    let words = "--config={\"words\":[\"xyzzy\"]}";
    succeeded(&product.cli(&[&bind[..], &[words]].concat()));
    succeeded(&product.cli(&[
        "plugin", "bind", "ladder", "--prefix", "data", "--name", "all",
    ]));
    let job = json!({
        "command": "echo the word is xyzzy", "labels": { "team": "data" },
        "hooks": [{ "plugin": "hide", "config": { "words": ["word"] } }, { "plugin": "ladder" }],
    });
    product.put_job("data", &job).await;
    product
        .put_job("plain", &json!({ "command": "true" }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_and_bindings_go_to_a_fleet_and_back() {
    let home = TempDir::new().unwrap();
    let mut old = Product::start(&["--no-examples"]);
    furnish(&old, home.path()).await;
    let before = (decided(&old).await, bindings(&old).await);
    assert_eq!(before.0.len(), 2);
    assert_eq!(before.0[0][1], "2.0.0");
    assert_eq!(before.0[0][3], "3.0.0");
    assert_eq!(before.0[1][1], "1");
    assert_eq!(before.0[1][4], "monitor");
    assert_eq!(before.0[1][2], "2");
    let data = old.data();
    old.stop().await;
    let file = home.path().join("all.json");
    let said = offline(&["export", "--data", text(&data), text(&file)]);
    succeeded(&said);
    let said = told(&said);
    assert!(
        said.contains("exported 2 jobs, 2 bindings and 2 plugins"),
        "{said}"
    );

    let stores = Stores::shared();
    let fleet = Product::server(&stores.toml());
    let said = succeeded(&fleet.cli(&["import", text(&file), "--dry-run"]));
    assert!(
        said.contains("6 created, 0 changed, 0 unchanged (nothing is written)"),
        "{said}"
    );
    assert_eq!(decided(&fleet).await, Vec::<Value>::new());
    assert_eq!(bindings(&fleet).await, json!([]));
    succeeded(&fleet.cli(&["import", text(&file)]));
    assert_eq!((decided(&fleet).await, bindings(&fleet).await), before);
    let exported = fs::read_to_string(&file).unwrap();
    assert!(succeeded(&fleet.cli(&["export"])) == exported);
    let said = succeeded(&fleet.cli(&["import", text(&file)]));
    assert!(said.contains("0 created, 0 changed, 6 unchanged"), "{said}");

    let _worker = Worker::start("follows", &stores);
    let run = fleet.start_run("data").await;
    fleet.ended(&run).await;
    let output = fleet.text(&format!("/runs/{run}/output")).await;
    // The binding's words are hidden, and the job's own as well.
    assert!(!output.contains("xyzzy"), "{output}");
    assert!(output.starts_with("the [redacted"), "{output}");

    let back = home.path().join("back");
    succeeded(&offline(&["import", "--data", text(&back), text(&file)]));
    let again = succeeded(&offline(&["export", "--data", text(&back)]));
    assert!(again == exported);
}

/// An exported document of the product, for changes.
fn document(product: &Product) -> Value {
    serde_json::from_str(&succeeded(&product.cli(&["export"]))).unwrap()
}

fn put_module(document: &mut Value, plugin: usize, version: &str, module: &[u8]) {
    let sha256 = ModuleDigest::of(module).to_string();
    document["modules"][&sha256] = json!(STANDARD.encode(module));
    let releases = document["plugins"][plugin]["releases"]
        .as_array_mut()
        .unwrap();
    let release = releases
        .iter_mut()
        .find(|it| it["version"] == version)
        .unwrap();
    release["sha256"] = json!(sha256);
}

/// Takes away modules of no release.
fn tidy(document: &mut Value) {
    let used = document["plugins"].to_string();
    let modules = document["modules"].as_object_mut().unwrap();
    modules.retain(|sha256, _| used.contains(sha256.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_plugin_is_said_and_nothing_is_written() {
    let home = TempDir::new().unwrap();
    let source = Product::start(&["--no-examples"]);
    furnish(&source, home.path()).await;
    let whole = document(&source);
    let target = Product::start(&["--no-examples"]);
    let file = home.path().join("changed.json");
    let refused = |document: &Value| {
        fs::write(&file, document.to_string()).unwrap();
        failed(&target.cli(&["import", text(&file)]))
    };

    let mut tampered = whole.clone();
    let sha256 = whole["plugins"][0]["releases"][1]["sha256"]
        .as_str()
        .unwrap();
    let module = whole["modules"][sha256].as_str().unwrap();
    let mut bytes = STANDARD.decode(module).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    tampered["modules"][sha256] = json!(STANDARD.encode(&bytes));
    let said = refused(&tampered);
    assert!(said.contains(&format!("modules.{sha256}: ")), "{said}");
    assert!(said.contains("export it again"), "{said}");

    let mut broken = whole.clone();
    put_module(&mut broken, 0, "2.0.0", b"\0asm nothing of the kind");
    tidy(&mut broken);
    let said = refused(&broken);
    for expected in [
        "plugins[0]: release 2.0.0 of plugin hide: ",
        "module: this module is not accepted: ",
        "nothing was written",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }

    // What the new plugin does not accept is said at the job and at the binding that say it.
    let mut wrong = whole.clone();
    wrong["jobs"][0]["hooks"][0]["config"] = json!({ "words": [7] });
    let said = refused(&wrong);
    assert!(
        said.contains("jobs[0].hooks[0].config.words[0]: 7 "),
        "{said}"
    );
    let mut wrong = whole.clone();
    wrong["bindings"][0]["config"] = json!({ "words": [8] });
    wrong["jobs"][0]["hooks"][1]["plugin"] = json!("absent");
    let said = refused(&wrong);
    for expected in [
        "bindings[0].config.words[0]: 8 ",
        "jobs[0]: job data: ",
        "hooks[1].plugin: ",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(decided(&target).await, Vec::<Value>::new());
    assert_eq!(bindings(&target).await, json!([]));
    assert_eq!(target.get("/jobs").await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_serves_is_replaced_only_if_that_is_asked_for() {
    let home = TempDir::new().unwrap();
    let source = Product::start(&["--no-examples"]);
    furnish(&source, home.path()).await;
    let file = home.path().join("all.json");
    fs::write(&file, document(&source).to_string()).unwrap();
    let target = Product::start(&["--no-examples"]);
    push(&target, "timeout-ladder", "ladder", "0", &[]);
    succeeded(&target.cli(&["plugin", "bind", "redact-secrets", "--all", "--name", "all"]));
    let there = (decided(&target).await, bindings(&target).await);
    let import = |args: &[&str]| target.cli(&[&["import", text(&file)], args].concat());
    let said = failed(&import(&[]));
    assert!(
        said.contains("2 differ from what is there") && said.contains("--overwrite"),
        "{said}"
    );
    assert_eq!((decided(&target).await, bindings(&target).await), there);

    let said = succeeded(&import(&["--overwrite", "--dry-run", "--output", "json"]));
    let said: Value = serde_json::from_str(&said).unwrap();
    let ladder = json!({ "plugin": "ladder", "outcome": "changed", "fields": ["releases", "serving", "mode"] });
    assert_eq!(said["items"][1], ladder);
    assert_eq!(said["items"][3]["binding"], "all");
    assert_eq!(said["items"][3]["fields"], json!(["plugin", "selector"]));
    succeeded(&import(&["--overwrite"]));
    let now = decided(&target).await;
    // What served here is what a rollback goes back to, and none is deleted.
    assert_eq!((&now[1][1], &now[1][2]), (&json!("1"), &json!("0")));
    assert_eq!(now[1][5].as_array().unwrap().len(), 3);
    assert_eq!(bindings(&target).await, bindings(&source).await);
    let said = succeeded(&import(&[]));
    assert!(said.contains("0 created, 0 changed, 6 unchanged"), "{said}");

    // A release never changes, whoever asks for it.
    let mut other = document(&source);
    let module = fs::read(release(home.path(), "7.0.0")).unwrap();
    put_module(&mut other, 1, "2", &module);
    fs::write(&file, other.to_string()).unwrap();
    let said = failed(&import(&["--overwrite"]));
    for expected in [
        "plugins[1]: releases[0].sha256: ",
        "sandclock plugin rm ladder --version 2",
        "nothing was written",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(decided(&target).await, now);
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_count_by_what_the_importing_side_trusts() {
    let home = TempDir::new().unwrap();
    let (ours, public) = key(home.path(), "ours.pem");
    let (_, other) = key(home.path(), "other.pem");
    let source = Product::start(&["--no-examples"]);
    let signed = release(home.path(), "1.0.0");
    plugin(&["sign", text(&signed), "--key", text(&ours)]);
    succeeded(&source.cli(&["plugin", "push", text(&signed)]));
    let file = home.path().join("all.json");
    succeeded(&source.cli(&["export", text(&file)]));
    let trusting = |public: &str| {
        let config = home.path().join("sandclock.toml");
        let trusted =
            format!("[plugins]\nrequire_signature = true\ntrusted_keys = {{ k = \"{public}\" }}\n");
        fs::write(&config, trusted).unwrap();
        Product::start(&["--no-examples", "--config", text(&config)])
    };
    let strict = trusting(&other);
    let said = failed(&strict.cli(&["import", text(&file)]));
    let expected = "plugins[0]: release 1.0.0 of plugin hide: ";
    assert!(
        said.contains(expected) && said.contains("no trusted key"),
        "{said}"
    );
    assert_eq!(decided(&strict).await, Vec::<Value>::new());
    let trusting = trusting(&public);
    succeeded(&trusting.cli(&["import", text(&file)]));
    let plugins = trusting.get("/plugins").await;
    let mut plugins = plugins["items"].as_array().unwrap().iter();
    let hide = plugins.find(|plugin| plugin["name"] == "hide").unwrap();
    assert_eq!(
        (&hide["serving"], &hide["signed_by"]),
        (&json!("1.0.0"), &json!("k"))
    );
}
