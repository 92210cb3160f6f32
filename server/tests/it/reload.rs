//! A configuration that is read again on SIGHUP: taken as a whole or not at all, while what has begun ends as it began.

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;

use crate::alerts::receiver::{Mode, Receiver};
use crate::alerts::scene::{Fragile, so_many};
use crate::fleet::PATIENCE;
use crate::product::{Product, wait_for};
use crate::stores::Stores;
use crate::worker::Worker;

/// A configuration whose one target is this receiver.
fn telling(stores: &Stores, target: &str, receiver: &Receiver) -> String {
    let url = receiver.url();
    format!(
        "{}[alerts.targets.{target}]\ntype = \"webhook\"\nurl = {url:?}\n",
        stores.toml()
    )
}

async fn logs(product: &Product, what: &str) {
    wait_for(what, PATIENCE, async || {
        String::from_utf8_lossy(&product.log()).contains(what)
    })
    .await;
}

/// How many lines of the log say so.
fn said(log: &[u8], what: &str) -> usize {
    let log = String::from_utf8_lossy(log);
    log.lines().filter(|line| line.contains(what)).count()
}

async fn accepted(product: &Product) -> bool {
    let page = product
        .bare(Method::GET, "/metrics")
        .bearer_auth(&product.token);
    let page = page.send().await.unwrap().text().await.unwrap();
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix("sandclock_config_accepted "));
    value.unwrap() == "1"
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_go_to_targets_that_were_added_later() {
    let stores = Stores::shared();
    let (old, new) = (Receiver::start().await, Receiver::start().await);
    let server = Product::server(&telling(&stores, "old", &old));
    let worker = Worker::start("only", &stores);
    let first = Fragile::put(&server, "first", "old").await;
    old.set(Mode::Hold);
    first.fail(&server).await;
    old.hears(1).await;

    server.reconfigure(&telling(&stores, "new", &new));
    logs(&server, "the configuration was read again").await;
    let second = Fragile::put(&server, "second", "new").await;
    second.fail(&server).await;
    let heard = new.hears(1).await;
    assert_eq!(heard[0].json()["job"], "second", "{heard:?}");
    let unknown = json!({
        "command": "true",
        "hooks": [{ "plugin": "webhook-alert", "config": { "target": "old" } }],
    });
    let refused = server.send(Method::PUT, "/jobs/third", &unknown).await;
    let refused = refused.text().await.unwrap();
    assert!(refused.contains("old"), "{refused}");

    // What was on its way when the target went ends there, once.
    old.set(Mode::Take);
    so_many(&server, 2, "delivered").await;
    assert_eq!((old.heard().len(), new.heard().len()), (1, 1));
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_of_no_use_changes_nothing() {
    const REFUSED: &str = "is of no use; the earlier one counts on";
    let stores = Stores::shared();
    let server = Product::server(&format!("api.requests_per_s = 0\n{}", stores.toml()));
    assert!(accepted(&server).await);
    for (wrong, named) in [
        ("api.requests_per_s = \"many\"\n", "api.requests_per_s"),
        (
            "worker.max_concurrent_runs = 0\n",
            "worker.max_concurrent_runs",
        ),
        ("= 3\n", "sandclock.toml"),
        (
            "api = { requests_per_s = 1, burst = 1 }\nalerts.targets.x = { type = \"webhook\", url = \"http://127.0.0.1:1\", secret_file = \"/nowhere\" }\n",
            "alerts.targets.x",
        ),
    ] {
        let before = said(&server.log(), REFUSED);
        server.reconfigure(&format!("{wrong}{}", stores.toml()));
        wait_for("it is refused", PATIENCE, async || {
            said(&server.log(), REFUSED) > before
        })
        .await;
        let log = server.log();
        let log = String::from_utf8_lossy(&log);
        let line = log.lines().rfind(|line| line.contains(REFUSED)).unwrap();
        assert!(line.contains(named), "{line}");
        assert!(!accepted(&server).await);
    }
    // The earlier limit is none.
    for _ in 0..50 {
        server.get("/jobs?limit=1").await;
    }

    server.reconfigure(&format!(
        "api = {{ requests_per_s = 1, burst = 20 }}\nbehind_proxy = true\n{}",
        stores.toml()
    ));
    logs(&server, "later=\"behind_proxy\"").await;
    wait_for("a request is refused", PATIENCE, async || {
        let asked = server.request(Method::GET, "/jobs?limit=1").send();
        asked.await.unwrap().status() == 429
    })
    .await;
    wait_for("there is no alarm any more", PATIENCE, async || {
        let page = server
            .bare(Method::GET, "/metrics")
            .bearer_auth(&server.token);
        let page = page.send().await.unwrap().text().await.unwrap();
        page.contains("sandclock_config_accepted 1")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_takes_more_runs_at_once() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let config = |places| format!("worker.max_concurrent_runs = {places}\n{}", stores.toml());
    let worker = Worker::start_on("only", &config(1));
    let job = json!({ "command": "sleep 600", "concurrency": "allow" });
    server.put_job("long", &job).await;
    let running = async || {
        let runs = server.get("/workers").await;
        runs["items"][0]["running"].as_u64().unwrap()
    };
    for _ in 0..2 {
        server.start_run("long").await;
    }
    wait_for("one runs", PATIENCE, async || running().await == 1).await;
    worker.reconfigure(&config(2));
    wait_for("both run", PATIENCE, async || running().await == 2).await;
    let shown = server.get("/workers").await;
    assert_eq!(shown["items"][0]["max_concurrent_runs"], 2);
    worker.signal(Signal::SIGKILL);
}
