//! `sandclock plugin dev`: what an author saves serves a moment later, unless it does not build.
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::author::{command, empty, new_from_template};
use crate::fleet::PATIENCE;
use crate::product::{PROGRAM, Product, wait_for};

/// The loop, with what it says in a file.
struct Loop {
    process: Child,
    said: PathBuf,
}

impl Loop {
    fn start(folder: &Path, product: &Product) -> Self {
        let said = product.home().join("dev-loop.log");
        let log = File::create(&said).unwrap();
        let process = command(PROGRAM, folder, &["plugin", "dev"])
            .env("SANDCLOCK_URL", &product.url)
            .env("SANDCLOCK_TOKEN", &product.token)
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        Self { process, said }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The version of the policy that serves; empty if none does.
async fn serving(product: &Product) -> String {
    let plugins = product.get("/plugins").await;
    let mut plugins = plugins["items"].as_array().unwrap().iter();
    let policy = plugins.find(|plugin| plugin["name"] == "policy");
    let version = policy.and_then(|policy| policy["serving"].as_str());
    version.unwrap_or_default().to_owned()
}

/// The version that decides about a run now.
async fn decides(product: &Product) -> String {
    let run = product.run_job("reports").await;
    let notes = product
        .get(&format!("/runs/{}/hooks", run["id"].as_str().unwrap()))
        .await;
    notes["items"][0]["version"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_serves_unless_it_does_not_build() {
    let product = Product::start(&["--no-examples"]);
    let folder = new_from_template(&empty("dev-loop"), "policy", "timeout");
    let mut looped = Loop::start(&folder, &product);
    wait_for("the first build serves", PATIENCE, async || {
        serving(&product).await.starts_with("0.1.0-dev.")
    })
    .await;
    let first = serving(&product).await;
    let job = json!({ "command": "true", "hooks": [{ "plugin": "policy" }] });
    product.put_job("reports", &job).await;
    assert_eq!(decides(&product).await, first);

    let source = folder.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    let changed = text.replace("ENOUGH_RUNS: u32 = 20", "ENOUGH_RUNS: u32 = 21");
    assert_ne!(changed, text);
    fs::write(&source, &changed).unwrap();
    wait_for("the next build serves", PATIENCE, async || {
        serving(&product).await != first
    })
    .await;
    let second = serving(&product).await;
    assert_eq!(decides(&product).await, second);

    fs::write(&source, changed + "this is no Rust").unwrap();
    wait_for("the failure is told", PATIENCE, async || {
        looped
            .said()
            .contains("nothing was pushed: what served goes on to serve")
    })
    .await;
    assert!(
        looped.said().contains("this is no Rust"),
        "{}",
        looped.said()
    );
    assert_eq!(decides(&product).await, second);

    let pid = Pid::from_raw(i32::try_from(looped.process.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let ended = looped.process.wait().unwrap();
    assert!(ended.success(), "{ended}");
}
