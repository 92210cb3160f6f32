//! Secrets that jobs name: set without anybody seeing them, found by the worker, and missing ones named.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::{PROGRAM, Product, told, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// A product whose worker has a key and a secret of its own.
struct Scene {
    folder: TempDir,
    product: Product,
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(keygen(&path("key")).status.success());
        std::fs::write(path("own"), "value-of-this-worker\n").unwrap();
        let (key, own) = (path("key"), path("own"));
        let config = format!(
            "worker.secrets_key = {key:?}\n[worker.secrets.own]\nfile = {own:?}\n[worker.secrets.both]\nfile = {own:?}\n"
        );
        std::fs::write(path("sandclock.toml"), config).unwrap();
        let config = path("sandclock.toml").display().to_string();
        let product = Product::start(&["--no-examples", "--config", &config]);
        Self { folder, product }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn set(&self, name: &str, value: &str) -> Output {
        self.set_with("key", name, value)
    }

    fn set_with(&self, key: &str, name: &str, value: &str) -> Output {
        let key = self.path(key);
        let args = ["secret", "set", name, "--key", &key];
        self.product.cli_told(&args, value)
    }

    /// How a run ends that compares the secret with what it should be: the text of the command is no secret here.
    async fn run(&self, secret: &str, expected: &str) -> Value {
        let job = json!({
            "command": format!("echo \"$X\"; test \"$X\" = '{expected}'"),
            "secrets": { "X": { "name": secret } },
        });
        self.product.put_job("job", &job).await;
        self.product.run_job("job").await
    }
}

fn keygen(file: &std::path::Path) -> Output {
    let mut command = Command::new(PROGRAM);
    command
        .args(["secret", "keygen"])
        .arg(file)
        .output()
        .unwrap()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", told(output));
}

#[tokio::test]
async fn a_secret_that_is_set_reaches_the_command_and_nobody_else() {
    let scene = Scene::new();
    succeeded(&scene.set("db", "correct horse\nof two lines\n"));
    let run = scene.run("db", "correct horse\nof two lines").await;
    assert_eq!(run["state"], "succeeded", "{run}");
    let path = format!("/runs/{}/output", run["id"].as_str().unwrap());
    assert_eq!(scene.product.text(&path).await, "[secret:X]\n");
    let listed = scene.product.cli(&["secret", "ls"]);
    let listed = told(&listed);
    assert!(
        listed.contains("db") && !listed.contains("correct"),
        "{listed}"
    );
    // Whoever sets it anew changes what runs get from then on.
    succeeded(&scene.set("db", "battery staple"));
    wait_for("the new value counts", PATIENCE, async || {
        scene.run("db", "battery staple").await["state"] == "succeeded"
    })
    .await;
    succeeded(&scene.product.cli(&["secret", "rm", "db"]));
    let mut last = Value::Null;
    wait_for("it is forgotten", PATIENCE, async || {
        last = scene.run("db", "battery staple").await;
        last["state"] == "failed"
    })
    .await;
    let cause = last["cause"].as_str().unwrap();
    for word in ["\"X\"", "\"db\"", "sandclock secret set db"] {
        assert!(cause.contains(word), "{word:?} is not in: {cause}");
    }
    let again = scene.product.cli(&["secret", "rm", "db"]);
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
}

#[tokio::test]
async fn what_the_worker_itself_knows_by_a_name_comes_first() {
    let scene = Scene::new();
    succeeded(&scene.set("both", "value-of-the-fleet"));
    for name in ["own", "both"] {
        let run = scene.run(name, "value-of-this-worker").await;
        assert_eq!(run["state"], "succeeded", "{name}: {run}");
    }
}

#[tokio::test]
async fn a_key_is_replaced_without_a_restart() {
    let scene = Scene::new();
    succeeded(&scene.set("db", "correct horse"));
    succeeded(&keygen(scene.path("new").as_ref()));
    succeeded(&scene.set_with("new", "later", "battery staple"));
    let run = scene.run("later", "battery staple").await;
    assert_eq!(run["state"], "failed", "{run}");
    let cause = run["cause"].as_str().unwrap();
    assert!(
        cause.contains("worker.secrets_key does not hold"),
        "{cause}"
    );
    let read = |name: &str| std::fs::read_to_string(scene.path(name)).unwrap();
    std::fs::write(scene.path("key"), read("new") + &read("key")).unwrap();
    for (name, value) in [("later", "battery staple"), ("db", "correct horse")] {
        let run = scene.run(name, value).await;
        assert_eq!(run["state"], "succeeded", "{name}: {run}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_secret_is_refused_before_it_is_sent() {
    let scene = Scene::new();
    let cases = [
        ("key", "db/password", "correct horse", "no name of a secret"),
        ("key", "db", "abc", "less than 4 bytes"),
        ("key", "db", &"x".repeat(40_000), "more than 32768 bytes"),
        ("key", "db", "zero\0byte", "is no text"),
        ("none", "db", "correct horse", "none"),
        ("own", "db", "correct horse", "sandclock secret keygen"),
    ];
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(scene.path("own"), private).unwrap();
    for (key, name, value, says) in cases {
        let refused = scene.set_with(key, name, value);
        let said = told(&refused);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains(says), "{says:?} is not in: {said}");
        for secret in ["correct horse", "value-of-this-worker"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(scene.path("key"), open).unwrap();
    let said = told(&scene.set("db", "correct horse"));
    assert!(said.contains("chmod o="), "{said}");
    let again = keygen(scene.path("key").as_ref());
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
    let none = scene.product.get("/secrets").await;
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn a_job_says_in_one_way_where_its_secret_is() {
    let scene = Scene::new();
    let cases = [
        (json!({}), "secrets.X"),
        (json!({ "name": "db", "env": "DB" }), "secrets.X"),
        (json!({ "name": "a/b" }), "secrets.X.name"),
        (json!({ "name": "" }), "secrets.X.name"),
        (json!({ "value": "correct horse" }), "secrets.X.value"),
    ];
    for (source, field) in cases {
        let job = json!({ "command": "true", "secrets": { "X": source } });
        let answer = scene.product.send(Method::PUT, "/jobs/job", &job).await;
        assert_eq!(answer.status(), 422);
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["field"], field, "{problem}");
    }
    let named = json!({ "command": "true", "secrets": { "X": { "name": "db" } } });
    scene.product.put_job("job", &named).await;
    let shown = scene.product.get("/jobs/job").await;
    assert_eq!(
        shown["secrets"],
        json!({ "X": { "name": "db" } }),
        "{shown}"
    );
}
