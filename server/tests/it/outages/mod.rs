//! A fleet of processes whose stores go away and come back: no tick starts twice, none starts after an acknowledged
//! disable, no record is lost, no running job is ended by 30 seconds without etcd, and each outage is seen wherever an
//! operator looks: in logs, in `/metrics` and at `/readyz`, of servers and of workers.
//!
//! `cargo xtask storm outages` runs the long form, in which MongoDB is away for three minutes at 20 runs a second.

mod cut_off;
mod etcd;
mod forms;
mod mongodb;

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::product::{Product, client, wait_for};
use crate::stores::Stores;
use crate::worker::Worker;

/// No state that a test waits for may take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A store that may be away, by its names.
#[derive(Clone, Copy, Debug)]
struct Store {
    /// The member of `/readyz`.
    member: &'static str,
    /// The gauge that says that it is away.
    gauge: &'static str,
    /// Whether jobs go on without it, so that a process stays ready.
    ready_without: bool,
    /// What a worker's log says when it is away, and when it is back.
    told: [&'static str; 2],
}

const ETCD: Store = Store {
    member: "coordination",
    gauge: "sandclock_coordination_away",
    ready_without: false,
    told: [
        "the store does not carry out requests",
        "the store carries out requests again",
    ],
};

const MONGODB: Store = Store {
    member: "run_log",
    gauge: "sandclock_run_log_away",
    ready_without: true,
    told: ["the run log does not answer", "the run log answers again"],
};

/// One process of the fleet, as those see it who watch it.
#[derive(Debug)]
struct Watched {
    name: String,
    url: String,
    token: String,
    http: Client,
}

impl Watched {
    fn new(name: &str, url: &str, token: &str) -> Self {
        let (name, url, token) = (name.to_owned(), url.to_owned(), token.to_owned());
        let http = client();
        Self {
            name,
            url,
            token,
            http,
        }
    }

    async fn page(&self, path: &str) -> (StatusCode, String) {
        let asked = self.http.get(format!("{}{path}", self.url));
        let answer = asked.bearer_auth(&self.token).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// Whether it says everywhere that a store is away, or everywhere that it is not.
    async fn says(&self, store: Store, away: bool) -> bool {
        let (status, ready) = self.page("/readyz").await;
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let (_, metrics) = self.page("/metrics").await;
        let gauge = format!("{} {}", store.gauge, u8::from(away));
        let is_ready = status.is_success();
        assert_eq!(ready["ready"], is_ready, "{}: {ready}", self.name);
        ready[store.member] == if away { "away" } else { "ok" }
            && is_ready == (!away || store.ready_without)
            && metrics.lines().any(|line| line == gauge)
    }
}

/// The form of the records that a worker writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The one of this program.
    Today,
    /// One that a later program may write: there is more in every record and every mark.
    Later,
}

impl Form {
    fn variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Today => &[],
            Self::Later => &[("SANDCLOCK_TEST_LATER_FORM", "1")],
        }
    }
}

/// Workers that write these forms and can be watched with the server's tokens.
fn workers<const N: usize>(stores: &Stores, forms: [Form; N]) -> [Worker; N] {
    let mut number = 0;
    forms.map(|form| {
        number += 1;
        let name = format!("worker-{number}");
        Worker::watched(&name, stores, form.variables())
    })
}

/// The server and the workers, as those see them who watch them.
fn watched(server: &Product, workers: &[Worker]) -> Vec<Watched> {
    let token = &server.token;
    let worker = |worker: &Worker| Watched::new(worker.name(), worker.url.as_ref().unwrap(), token);
    let all = workers.iter().map(worker);
    all.chain([Watched::new("the server", &server.url, token)])
        .collect()
}

/// Waits until all of them say everywhere that a store is away, or everywhere that it is not.
async fn all_say(processes: &[Watched], store: Store, away: bool) {
    for process in processes {
        let what = format!("{} says {}: {away}", process.name, store.gauge);
        wait_for(&what, PATIENCE, async || process.says(store, away).await).await;
    }
}

/// How often the workers have told in their logs that a store is away, and that it is back.
fn told(workers: &[Worker], store: Store) -> Vec<[usize; 2]> {
    let of = |worker: &Worker| {
        let log = worker.log();
        store.told.map(|what| log.matches(what).count())
    };
    workers.iter().map(of).collect()
}

/// Waits until every process says everywhere that a store is away.
async fn is_away(server: &Product, workers: &[Worker], store: Store) {
    all_say(&watched(server, workers), store, true).await;
    wait_for(
        "every worker's log says that it is away",
        PATIENCE,
        async || told(workers, store).iter().all(|[away, back]| away > back),
    )
    .await;
}

/// Waits until no process says anywhere that a store is away.
async fn is_there(server: &Product, workers: &[Worker], store: Store) {
    all_say(&watched(server, workers), store, false).await;
    wait_for(
        "no worker's log says that it is away",
        PATIENCE,
        async || told(workers, store).iter().all(|[away, back]| away == back),
    )
    .await;
}

/// A number that the long form sets.
fn asked(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the environment of the test")]
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().expect("a whole number"))
}
