//! Plugins on their way to the processes of a fleet: pushed, swapped, rolled back, removed, and what is refused.

use std::path::PathBuf;
use std::process::Output;

use reqwest::{Method, StatusCode};
use sandclock_testkit::services::{Etcd, Proxy};
use serde_json::{Value, json};

use crate::fleet::PATIENCE;
use crate::product::{Product, told, wait_for};
use crate::stores::{Evidence, Stores};
use crate::worker::Worker;

/// A plugin's artifact as it is in the repository.
fn artifact(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("../examples/plugins/artifacts")
        .join(name)
        .with_extension("wasm")
}

/// Pushes an artifact of the repository as a release of `hide`.
fn push(product: &Product, file: &str, version: &str) -> Output {
    let file = artifact(file);
    let file = file.to_str().unwrap();
    product.cli(&[
        "plugin",
        "push",
        file,
        "--name",
        "hide",
        "--version",
        version,
    ])
}

/// The same, whoever loses by it.
fn push_anyway(product: &Product, file: &str, version: &str) -> Output {
    let file = artifact(file);
    let push = ["plugin", "push", "--force", "--name", "hide", "--version"];
    product.cli(&[&push[..], &[version, file.to_str().unwrap()]].concat())
}

/// A job whose output `hide` is asked about.
async fn put_job(product: &Product) {
    let job = json!({
        "command": "echo the word is $WORD", "env": { "WORD": "xyzzy" },
        "hooks": [{ "plugin": "hide", "config": { "words": ["xyzzy"] } }],
    });
    product.put_job("prints", &job).await;
}

/// What a run of the job leaves in the run log.
async fn printed(product: &Product) -> String {
    let run = product.start_run("prints").await;
    product.ended(&run).await;
    product.text(&format!("/runs/{run}/output")).await
}

async fn plugin(product: &Product, name: &str) -> Option<Value> {
    let plugins = product.get("/plugins").await;
    let mut items = plugins["items"].as_array().unwrap().iter();
    items.find(|plugin| plugin["name"] == name).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_plugin_serves_until_another_does() {
    let product = Product::start(&["--no-examples"]);
    let unknown = json!({ "command": "true", "hooks": [{ "plugin": "hide" }] });
    let refused = product.send(Method::PUT, "/jobs/early", &unknown).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);

    let pushed = push(&product, "redact-secrets", "1.0.0");
    assert_eq!(told(&pushed), "serving hide 1.0.0\n");
    put_job(&product).await;
    let hidden = printed(&product).await;
    assert!(
        hidden.starts_with("the word is ") && !hidden.contains("xyzzy"),
        "{hidden}"
    );

    // What only decides on time limits hides nothing.
    let pushed = push_anyway(&product, "timeout-ladder", "2.0.0");
    assert_eq!(told(&pushed), "serving hide 2.0.0\n");
    assert_eq!(printed(&product).await, "the word is xyzzy\n");
    let said = told(&product.cli(&["plugin", "rollback", "hide"]));
    assert_eq!(said, "rolled back hide\n");
    assert_eq!(printed(&product).await, hidden);

    let shown = product.on_a_terminal(&["plugin", "ls", "hide"]);
    assert!(
        shown.contains("serves") && shown.contains("served before"),
        "{shown}"
    );
    let all = product.on_a_terminal(&["plugin", "ls"]);
    for line in shown.lines().chain(all.lines()) {
        assert!(line.trim_end().chars().count() <= 80, "{line}");
    }
    // It is there again after a crash, before anything runs, and nothing was compiled for it.
    let product = product.restart_after_kill(&["--no-examples"]);
    assert_eq!(printed(&product).await, hidden);
    let metrics = product.bare(Method::GET, "/metrics");
    let metrics = metrics.bearer_auth(&product.token).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains("sandclock_plugin_compilations_total 0\n"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_serve_is_refused_and_changes_nothing() {
    let product = Product::start(&["--no-examples"]);
    push(&product, "redact-secrets", "1.0.0");
    let before = plugin(&product, "hide").await.unwrap();

    let broken = product.home().join("hide.wasm");
    std::fs::write(&broken, b"\0asm nothing of the kind").unwrap();
    let broken = broken.to_str().unwrap();
    let said = told(&product.cli(&["plugin", "push", broken, "--version", "2.0.0"]));
    assert!(
        said.contains("(the body)") && said.contains("wasm"),
        "{said}"
    );
    let said = told(&push(&product, "timeout-ladder", "1.0.0"));
    assert!(
        said.contains("1.0.0") && said.contains("never changes"),
        "{said}"
    );
    let said = told(&push(&product, "timeout-ladder", "1/0"));
    assert!(said.contains("version: 1/0 is not accepted"), "{said}");
    let said = told(&product.cli(&["plugin", "rm", "hide", "--version", "1.0.0"]));
    assert!(said.contains("serves"), "{said}");
    let module = std::fs::read(artifact("redact-secrets")).unwrap();
    for over in ["", "0.9.0"] {
        let push = format!("/plugins/hide?version=1.0.1&over={over}");
        let push = product.request(Method::PUT, &push).body(module.clone());
        assert_eq!(push.send().await.unwrap().status(), StatusCode::CONFLICT);
    }
    told(&product.cli(&["plugin", "rm", "hide", "--version", "1.0.1"]));
    let said = told(&product.cli(&["plugin", "rollback", "hide"]));
    assert!(
        said.contains("no release of plugin hide served before"),
        "{said}"
    );
    let said = told(&product.cli(&["plugin", "rm", "nobody"]));
    assert!(said.contains("no release of plugin nobody"), "{said}");
    assert_eq!(plugin(&product, "hide").await.unwrap(), before);

    let large = product
        .request(Method::PUT, "/plugins/hide?version=3")
        .body(vec![0; (32 << 20) + 1]);
    let refused = large.send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(plugin(&product, "hide").await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_may_be_kept_for_later() {
    let product = Product::start(&["--no-examples"]);
    let file = artifact("redact-secrets");
    let file = file.to_str().unwrap();
    let said = product.cli(&[
        "plugin",
        "push",
        file,
        "--name",
        "hide",
        "--version",
        "1.0.0",
        "--no-serve",
    ]);
    assert_eq!(told(&said), "kept hide 1.0.0\n");
    let kept = plugin(&product, "hide").await.unwrap();
    assert_eq!(kept["status"], "not in service");
    assert_eq!(kept["releases"][0]["version"], "1.0.0");
    let refused = json!({ "command": "true", "hooks": [{ "plugin": "hide" }] });
    let refused = product.send(Method::PUT, "/jobs/early", &refused).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    // A push of what is there lets it serve.
    assert_eq!(
        told(&push(&product, "redact-secrets", "1.0.0")),
        "serving hide 1.0.0\n"
    );
    assert_eq!(plugin(&product, "hide").await.unwrap()["status"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_may_stand_in_for_a_standard_plugin() {
    let product = Product::start(&["--no-examples"]);
    let standard = plugin(&product, "redact-secrets").await.unwrap();
    let file = artifact("timeout-ladder");
    let file = file.to_str().unwrap();
    let args = [
        "plugin",
        "push",
        file,
        "--name",
        "redact-secrets",
        "--version",
        "9",
    ];
    assert_eq!(told(&product.cli(&args)), "serving redact-secrets 9\n");
    let ours = plugin(&product, "redact-secrets").await.unwrap();
    assert_eq!(
        (&ours["version"], &ours["serving"]),
        (&json!("9"), &json!("9"))
    );
    assert_ne!(ours["sha256"], standard["sha256"]);
    let said = told(&product.cli(&["plugin", "rm", "redact-secrets"]));
    assert_eq!(said, "removed redact-secrets\n");
    assert_eq!(plugin(&product, "redact-secrets").await.unwrap(), standard);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_of_a_fleet_follows() {
    let stores = Stores::shared();
    let (server, other) = (
        Product::server(&stores.toml()),
        Product::server(&stores.toml()),
    );
    let _worker = Worker::start("follows", &stores);
    push(&server, "redact-secrets", "1.0.0");
    wait_for("the other server has it", PATIENCE, async || {
        plugin(&other, "hide").await.is_some()
    })
    .await;
    put_job(&other).await;
    wait_for("the worker has it", PATIENCE, async || {
        let text = printed(&server).await;
        assert!(!text.contains("xyzzy"), "it is withheld or hidden: {text}");
        text.starts_with("the word is ")
    })
    .await;
    push_anyway(&server, "timeout-ladder", "2.0.0");
    wait_for("the worker has the new one", PATIENCE, async || {
        printed(&server).await == "the word is xyzzy\n"
    })
    .await;
    told(&other.cli(&["plugin", "rollback", "hide"]));
    wait_for("the worker has the old one again", PATIENCE, async || {
        !printed(&server).await.contains("xyzzy")
    })
    .await;
}

/// A worker that starts while the plugin store is away has what it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_starts_without_the_plugin_store() {
    let shared = Stores::shared();
    let mongo = shared.mongo.strip_prefix("mongodb://").unwrap();
    let mongo = Proxy::to(mongo.split('/').next().unwrap()).await;
    let uri = format!("mongodb://{}/?directConnection=true", mongo.address());
    let stores = Stores::of(Etcd::shared().address, &uri);
    let server = Product::server(&stores.toml());
    push(&server, "redact-secrets", "1.0.0");
    put_job(&server).await;
    let mut worker = Worker::start("starts", &stores);
    let hidden = printed(&server).await;
    assert!(!hidden.contains("xyzzy"), "{hidden}");
    let evidence = Evidence::new();
    let job = json!({ "command": format!("{}; echo the word is $WORD", evidence.says("ran")) });
    let changed = server.send(Method::PATCH, "/jobs/prints", &job).await;
    assert_eq!(changed.status(), StatusCode::OK);

    worker.stop().await;
    mongo.refuse();
    let worker = worker.restart();
    wait_for("it says so", PATIENCE, async || {
        worker
            .log()
            .contains("the store of plugins does not answer")
    })
    .await;
    let run = server.start_run("prints").await;
    wait_for("it has run", PATIENCE, async || evidence.lines() == ["ran"]).await;
    mongo.cut();
    server.ended(&run).await;
    let output = format!("/runs/{run}/output");
    wait_for("its output is there", PATIENCE, async || {
        server.text(&output).await == hidden
    })
    .await;
}

/// A full disk, say, at the moment of the change: what is remembered for the next start is not left as it was for ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_remembered_is_once_it_can_be() {
    let product = Product::start(&["--no-examples"]);
    let serving = product.data().join("plugins/serving.json");
    // A folder in its place cannot be replaced by a file.
    let _ = std::fs::remove_file(&serving);
    std::fs::create_dir_all(serving.join("in the way")).unwrap();
    push(&product, "redact-secrets", "1.0.0");
    std::fs::remove_dir_all(&serving).unwrap();
    wait_for("it is remembered", PATIENCE, async || {
        let written = std::fs::read_to_string(&serving).unwrap_or_default();
        written.contains("hide")
    })
    .await;
}
