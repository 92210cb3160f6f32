//! A worker that is cut off from etcd while jobs change and etcd forgets how: what it knew is worth nothing when it is
//! back.

use reqwest::Method;
use sandclock_core::Timestamp;
use sandclock_core::time::Clock as _;
use sandclock_server::clock::SystemClock;
use sandclock_testkit::services::{Mongo, OwnEtcd, Proxy};
use serde_json::{Value, json};

use super::{ETCD, Form, PATIENCE, all_say, told, watched};
use crate::product::{Product, wait_for};
use crate::stores::{Evidence, Stores};
use crate::weaknesses::{assert_once, goes_on};
use crate::worker::Worker;

/// Lines of a job: fire time, word and worker.
fn ticking(evidence: &Evidence, word: &str) -> Value {
    let command = evidence.says(&format!("$SANDCLOCK_FIRE_TIME {word} $SANDCLOCK_WORKER"));
    json!({ "command": command, "schedule": "@every 2s" })
}

/// Has etcd forget everything before now.
async fn forget_history(stores: &Stores) {
    let mut raw = stores.raw().await;
    let now = raw.get("now", None).await.unwrap();
    let revision = now.header().unwrap().revision();
    raw.compact(revision, None).await.unwrap();
}

/// The names of the workers that etcd knows of.
async fn alive(server: &Product) -> Vec<String> {
    let workers = server.get("/workers").await;
    let items = workers["items"].as_array().unwrap().iter();
    items
        .map(|worker| worker["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The fire times of the lines that say a word and are later than `at`.
fn later(evidence: &Evidence, word: &str, at: Timestamp) -> Vec<String> {
    let pairs = evidence.pairs().into_iter();
    let late =
        pairs.filter(|(fire, rest)| rest.starts_with(word) && Timestamp::parse(fire).unwrap() > at);
    late.map(|(fire, _)| fire).collect()
}

/// The forms are those of the worker that is cut off, and of the other.
pub(super) async fn jobs_change_meanwhile(forms: [Form; 2]) {
    let etcd = OwnEtcd::start();
    let stores = Stores::of(etcd.address(), Mongo::replica_set().uri);
    let link = Proxy::to(etcd.address()).await;
    let server = Product::server(&stores.toml());
    let behind = stores.by(&link.address());
    let [cut, other] = forms.map(Form::variables);
    let cut = [Worker::watched("cut", &behind, cut)];
    let other = [Worker::watched("other", &stores, other)];
    let (disabled, edited) = (Evidence::new(), Evidence::new());
    server.put_job("disabled", &ticking(&disabled, "ran")).await;
    server.put_job("edited", &ticking(&edited, "old")).await;
    wait_for("it has run both", PATIENCE, async || {
        let by_cut = |evidence: &Evidence| {
            let pairs = evidence.pairs();
            pairs.iter().any(|(_, rest)| rest.ends_with(" cut"))
        };
        by_cut(&disabled) && by_cut(&edited)
    })
    .await;

    // Right after a tick, so that no claim of the next one is on its way.
    goes_on(&disabled, 1).await;
    link.silence();
    forget_history(&stores).await;
    let disable = server.request(Method::POST, "/jobs/disabled/disable");
    assert!(disable.send().await.unwrap().status().is_success());
    server.put_job("edited", &ticking(&edited, "new")).await;
    let acknowledged = SystemClock.now();
    forget_history(&stores).await;
    all_say(&watched(&server, &cut)[..1], ETCD, true).await;
    wait_for("its session is gone", PATIENCE, async || {
        alive(&server).await == ["other"]
    })
    .await;
    assert_eq!(told(&other, ETCD), [[0, 0]], "nobody else is cut off");
    all_say(&watched(&server, &other), ETCD, false).await;

    let heard = disabled.lines();
    link.cut();
    all_say(&watched(&server, &cut), ETCD, false).await;
    wait_for("it runs what was edited", PATIENCE, async || {
        let pairs = edited.pairs();
        pairs.iter().filter(|(_, rest)| rest == "new cut").count() >= 3
    })
    .await;
    assert_eq!(disabled.lines(), heard, "no start after it was let back");
    assert_eq!(later(&disabled, "ran", acknowledged), [""; 0]);
    assert_eq!(later(&edited, "old", acknowledged), [""; 0]);
    assert_once(&disabled);
    assert_once(&edited);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_worker_that_was_cut_off_starts_nothing_that_was_disabled_meanwhile() {
    jobs_change_meanwhile([Form::Today; 2]).await;
}
