//! Each failure is delivered at least once, whatever is away; again only across a kill between sending and recording,
//! and then under the same key, so that a receiver that compares keys has it once.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandclock_testkit::services::{Etcd, OwnMongo};
use tokio::time::Instant;

use super::receiver::{Mode, PATIENCE, Receiver};
use super::scene::{Config, Fragile, alerts, alerts_are, so_many};
use crate::product::{Product, wait_for};
use crate::stores::Stores;
use crate::worker::Worker;

/// A target that may take so many seconds for a try.
fn targets(receiver: &Receiver, timeout_s: u64) -> String {
    let (url, take_over_s) = (receiver.url(), timeout_s + 10);
    format!(
        "[alerts]\ntake_over_s = {take_over_s}\n[alerts.targets.ops]\ntype = \"webhook\"\nurl = {url:?}\n\
         timeout_s = {timeout_s}\n[alerts.targets.ops.policy]\n\
         retry = {{ initial_s = 1, factor = 2.0, max_s = 5 }}\n",
    )
}

/// More than any test needs to go on while a receiver holds an answer.
const LONG_S: u64 = 120;

/// Enough to do one thing, so that a claim is soon over.
const SHORT_S: u64 = 5;

/// How long the receiver is down. `cargo xtask storm alerts` sets two minutes.
fn down_for() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the environment of the test")]
    let text = std::env::var("SANDCLOCK_ALERTS_DOWN_S").ok();
    let seconds = text.map_or(3, |text| text.parse().expect("a whole number"));
    Duration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_while_the_receiver_is_down_arrives_once() {
    let mut ops = Receiver::start().await;
    let config = Config::new(&targets(&ops, LONG_S));
    let product = config.dev();
    ops.down().await;
    let since = Instant::now();
    let mut runs = BTreeSet::new();
    while since.elapsed() < down_for() || runs.len() < 3 {
        let job = format!("job-{}", runs.len());
        let job = Fragile::put(&product, &job, "ops").await;
        runs.insert(job.fail(&product).await);
    }
    let refused = |alert: &serde_json::Value| {
        alert["last_error"]
            .as_str()
            .is_some_and(|why| why.contains("refused"))
    };
    let seen = alerts_are(&product, "each was tried", |all| {
        all.len() == runs.len() && all.iter().all(refused)
    })
    .await;
    assert!(
        seen.iter().all(|alert| alert["state"] == "pending"),
        "{seen:?}"
    );
    ops.up().await;
    so_many(&product, runs.len(), "delivered").await;
    let heard: Vec<_> = ops.heard();
    let told: BTreeSet<_> = heard
        .iter()
        .map(|heard| heard.json()["run"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, runs);
    assert_eq!(heard.len(), runs.len(), "none came twice");
}

/// The receiver has heard it and not answered when the process is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_sending_and_recording_repeats_under_the_same_key() {
    let ops = Receiver::start().await;
    let config = Config::new(&targets(&ops, LONG_S));
    let product = config.dev();
    ops.set(Mode::Hold);
    Fragile::put(&product, "job", "ops")
        .await
        .fail(&product)
        .await;
    ops.hears(1).await;
    let product = config.killed_and_started(product);
    ops.set(Mode::Take);
    let all = so_many(&product, 1, "delivered").await;
    let heard = ops.hears(2).await;
    assert_eq!(heard.len(), 2);
    for request in &heard {
        assert_eq!(
            request.key(),
            all[0]["id"],
            "a receiver that compares keys has one"
        );
        assert_eq!(request.body, heard[0].body);
    }
}

/// A message of several alerts is the same when another life sends it: none of them is lost behind its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_several_is_the_same_after_a_kill() {
    let ops = Receiver::start().await;
    let config = Config::new(&(targets(&ops, LONG_S) + "group_s = 5\n"));
    let product = config.dev();
    ops.set(Mode::Hold);
    for job in ["one", "two"] {
        Fragile::put(&product, job, "ops")
            .await
            .fail(&product)
            .await;
    }
    ops.hears(1).await;
    let late = Fragile::put(&product, "late", "ops").await;
    let product = config.killed_and_started(product);
    late.fail(&product).await;
    ops.set(Mode::Take);
    alerts_are(&product, "all are over", |all| {
        all.len() == 3 && all.iter().all(|alert| alert["state"] != "pending")
    })
    .await;
    let heard = ops.heard();
    let mut by_key = std::collections::BTreeMap::new();
    for request in &heard {
        let body = by_key
            .entry(request.key().to_owned())
            .or_insert(&request.body);
        assert_eq!(*body, &request.body, "one content under one key");
    }
    let bodies: String = by_key.into_values().cloned().collect();
    for job in ["one", "two", "late"] {
        assert!(bodies.contains(job), "{job}: {bodies}");
    }
}

/// While the file of the embedded store is gone nothing can be recorded; what was sent is recorded when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_while_the_embedded_outbox_is_away_arrives_once() {
    let ops = Receiver::start().await;
    let config = Config::new(&targets(&ops, LONG_S));
    let product = config.dev();
    let first = Fragile::put(&product, "before", "ops").await;
    ops.set(Mode::Hold);
    first.fail(&product).await;
    ops.hears(1).await;
    let (file, aside) = (
        product.data().join("sandclock.db"),
        product.data().join("aside"),
    );
    std::fs::rename(&file, &aside).unwrap();
    ops.set(Mode::Take);
    let log = async || {
        let log = String::from_utf8_lossy(&product.log()).into_owned();
        log.contains("cannot be told what came of an alert")
    };
    wait_for("the outbox could not be told", PATIENCE, log).await;
    std::fs::rename(&aside, &file).unwrap();
    so_many(&product, 1, "delivered").await;
    Fragile::put(&product, "after", "ops")
        .await
        .fail(&product)
        .await;
    so_many(&product, 2, "delivered").await;
    assert_eq!(ops.heard().len(), 2, "none came twice");
}

/// Servers and a worker over MongoDB. Nobody leads: the seat is taken by somebody who does nothing.
struct Fleet {
    mongo: OwnMongo,
    text: String,
    servers: Vec<Product>,
    _worker: Worker,
}

impl Fleet {
    async fn start(servers: usize, targets: &str) -> Self {
        let mongo = OwnMongo::start();
        let stores = Stores::of(Etcd::shared().address, &mongo.uri);
        let seat = format!("/{}/seat", stores.own);
        let mut etcd = stores.raw().await;
        etcd.put(seat.clone(), "another", None).await.unwrap();
        let text = format!(
            "{}coordination.leader = {seat:?}\nrun_log.call_timeout_ms = 2000\n{targets}",
            stores.toml()
        );
        Self {
            servers: (0..servers).map(|_| Product::server(&text)).collect(),
            _worker: Worker::start("alerts", &stores),
            text,
            mongo,
        }
    }

    fn mongo(&self, signal: Signal) {
        kill(Pid::from_raw(self.mongo.pid), signal).unwrap();
    }
}

/// The server that had the alert is killed; another one sends it once the claim has run out, and none of them leads.
#[tokio::test(flavor = "multi_thread")]
async fn another_server_takes_over_what_a_dead_one_had_claimed() {
    let ops = Receiver::start().await;
    ops.set(Mode::Hold);
    let mut fleet = Fleet::start(1, &targets(&ops, SHORT_S)).await;
    let first = fleet.servers.remove(0);
    let job = Fragile::put(&first, "job", "ops").await;
    let run = first.start_run(&job.name).await;
    ops.hears(1).await;
    // With SIGKILL.
    drop(first);
    ops.set(Mode::Take);
    let other = Product::server(&fleet.text);
    let all = so_many(&other, 1, "delivered").await;
    assert_eq!(all[0]["run"], run.as_str());
    let heard = ops.hears(2).await;
    assert_eq!(heard.len(), 2);
    assert!(
        heard.iter().all(|request| request.key() == all[0]["id"]),
        "{heard:?}"
    );
}

/// MongoDB is stopped when the receiver has taken alerts and nobody has recorded that, for longer than claims hold.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_while_mongodb_is_away_arrives_once() {
    let ops = Receiver::start().await;
    let fleet = Fleet::start(2, &targets(&ops, SHORT_S)).await;
    let server = &fleet.servers[0];
    let jobs = ["one", "two", "three"];
    ops.set(Mode::Hold);
    let mut put = Vec::new();
    for job in jobs {
        put.push(Fragile::put(server, job, "ops").await);
    }
    let first = server.start_run(&put[0].name).await;
    ops.hears(1).await;
    fleet.mongo(Signal::SIGSTOP);
    ops.set(Mode::Take);
    let claimed = Instant::now();
    // Longer than any claim: only what is kept in mind keeps the alert from being sent again.
    let told = async || {
        let logs = fleet.servers.iter().map(Product::log);
        let logs: String = logs
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .collect();
        claimed.elapsed() > Duration::from_secs(SHORT_S + 12)
            && logs.contains("cannot be told what came of an alert")
    };
    wait_for("claims have run out", PATIENCE, told).await;
    fleet.mongo(Signal::SIGCONT);
    assert_eq!(
        so_many(server, 1, "delivered").await[0]["run"],
        first.as_str()
    );
    for job in &put[1..] {
        job.fail(server).await;
    }
    so_many(server, 3, "delivered").await;
    let heard = ops.heard();
    let keys: BTreeSet<_> = heard
        .iter()
        .map(|request| request.key().to_owned())
        .collect();
    let ids = alerts(server).await;
    let ids: BTreeSet<_> = ids
        .iter()
        .map(|alert| alert["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys, ids);
    assert_eq!(heard.len(), 3, "none came twice: {heard:?}");
}
