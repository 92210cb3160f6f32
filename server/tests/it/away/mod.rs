//! A part of the installation that has stopped: every route answers all the same, either what it says without that part
//! or that the part is away, and answers as before once it is back, without a restart.
//!
//! A part stops in two ways. A dead server refuses connections; one that stands still takes them and answers nothing.

mod effects;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Method, Response, StatusCode};
use sandclock_testkit::services::{OwnEtcd, OwnMongo};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::matrix::{Ask, Target};
use crate::openapi::operations;
use crate::product::{Product, wait_for};
use crate::stores::Stores;
use crate::worker::Worker;

/// No answer may take longer, and no state that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The routes of a Go fleet's master.
const GO: [&str; 6] = [
    "/job/list",
    "/job/log",
    "/worker/list",
    "/job/kill",
    "/job/save",
    "/job/delete",
];

/// What goes on without etcd: what only reads the run log, and what is decided before any store is asked.
const WITHOUT_ETCD: [&str; 9] = [
    "alert.list",
    "api.document",
    "audit.list",
    "plugin.list",
    "plugin.recordings",
    "run.get",
    "run.list",
    "run.output",
    "schedule.preview",
];

/// What goes on without MongoDB.
const WITHOUT_MONGODB: [&str; 17] = [
    "api.document",
    "binding.list",
    "binding.put",
    "job.delete",
    "job.disable",
    "job.enable",
    "job.get",
    "job.kill",
    "job.list",
    "job.next",
    "job.patch",
    "job.put",
    "job.run",
    "job.validate",
    "schedule.preview",
    "token.create",
    "worker.list",
];

/// Which part, and how it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    EtcdDead,
    EtcdFrozen,
    MongoDead,
    MongoFrozen,
}

impl Outage {
    /// The name of the part.
    fn part(self) -> &'static str {
        match self {
            Self::EtcdDead | Self::EtcdFrozen => "coordination",
            Self::MongoDead | Self::MongoFrozen => "run_log",
        }
    }

    /// What it is on.
    fn store(self) -> &'static str {
        match self {
            Self::EtcdDead | Self::EtcdFrozen => "etcd",
            Self::MongoDead | Self::MongoFrozen => "MongoDB",
        }
    }

    fn goes_on(self) -> &'static [&'static str] {
        match self {
            Self::EtcdDead | Self::EtcdFrozen => &WITHOUT_ETCD,
            Self::MongoDead | Self::MongoFrozen => &WITHOUT_MONGODB,
        }
    }
}

/// A server, a job with a run that has ended, and stores that can be stopped.
struct Scene {
    etcd: OwnEtcd,
    mongo: OwnMongo,
    server: Product,
    target: Target,
}

impl Scene {
    async fn new() -> Self {
        let (etcd, mongo) = (OwnEtcd::start(), OwnMongo::start());
        let stores = Stores::of(etcd.address(), &mongo.uri);
        let server = Product::server(&stores.toml());
        let mut worker = Worker::start("worker", &stores);
        server.put_job("job", &json!({ "command": "true" })).await;
        let run = server.run_job("job").await;
        let run = run["id"].as_str().unwrap().to_owned();
        worker.stop().await;
        let job = "job".to_owned();
        let target = Target { job, run };
        Self {
            etcd,
            mongo,
            server,
            target,
        }
    }

    fn signal(pid: i32, signal: Signal) {
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    fn begin(&mut self, outage: Outage) {
        match outage {
            Outage::EtcdDead => self.etcd.kill(),
            Outage::EtcdFrozen => Self::signal(self.etcd.pid(), Signal::SIGSTOP),
            Outage::MongoDead => self.mongo.kill(),
            Outage::MongoFrozen => Self::signal(self.mongo.pid, Signal::SIGSTOP),
        }
    }

    fn end(&mut self, outage: Outage) {
        match outage {
            Outage::EtcdDead => self.etcd.start_again(),
            Outage::EtcdFrozen => Self::signal(self.etcd.pid(), Signal::SIGCONT),
            Outage::MongoDead => self.mongo.start_again(),
            Outage::MongoFrozen => Self::signal(self.mongo.pid, Signal::SIGCONT),
        }
    }

    async fn ready(&self) -> (StatusCode, Value) {
        let asked = self.server.bare(Method::GET, "/readyz").send();
        let answer = asked.await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Waits until `/readyz` names exactly these parts.
    async fn says_away(&self, parts: &[&str]) {
        wait_for("/readyz says what is away", PATIENCE, async || {
            let (status, said) = self.ready().await;
            let coordination = parts.contains(&"coordination");
            assert_eq!(status.is_success(), said["ready"] == true, "{said}");
            said["away"] == json!(parts) && said["ready"] == !coordination
        })
        .await;
    }

    /// Asks every operation of the document at the same time.
    async fn ask_all(&self, document: &Value) -> BTreeMap<String, Response> {
        let asked = operations(document).into_iter().map(async |operation| {
            let id = operation.said["operationId"].as_str().unwrap().to_owned();
            // Each on a job of its own: what changes one at the same time is in each other's way.
            let (job, run) = (id.clone(), self.target.run.clone());
            let mut ask = Ask::of(&operation, &Target { job, run });
            let about_all = json!({ "plugin": "redact-secrets", "selector": { "all": true } });
            match &*id {
                "binding.put" => {
                    // Not the one that is deleted at the same time.
                    ask.path = ask.path.replace("/x", "/y");
                    ask.body = Some(about_all);
                }
                "binding.validate" => ask.body = Some(about_all),
                "token.create" => ask.body = Some(json!({ "name": "t", "role": "viewer" })),
                "plugin.mode" => ask.body = Some(json!({ "mode": "monitor" })),
                _ => {}
            }
            let request = ask.request(&self.server, Some(&self.server.token));
            (id.clone(), in_time(&id, request).await)
        });
        join_all(asked).await.into_iter().collect()
    }
}

/// The answer to a request, which comes.
async fn in_time(what: &str, request: reqwest::RequestBuilder) -> Response {
    let answer = timeout(PATIENCE, request.send()).await;
    let answer = answer.unwrap_or_else(|_| panic!("{what} does not answer"));
    answer.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Asserts that a refusal says which part is away, and what became of the request.
async fn says_which(id: &str, answer: Response, outage: Outage) {
    let headers = answer.headers().clone();
    assert_eq!(headers["content-type"], "application/problem+json", "{id}");
    assert!(headers.contains_key("retry-after"), "{id}");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/unavailable", "{id}: {problem}");
    assert_eq!(problem["part"], outage.part(), "{id}: {problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(outage.store()), "{id}: {problem}");
    let known = headers["x-request-id"].to_str().unwrap();
    assert_eq!(problem["request_id"], known, "{id}: {problem}");
}

/// The answers of the Go routes: whether each did what it is for.
async fn ask_go(scene: &Scene, outage: Outage) -> Vec<bool> {
    let job = r#"{"name":"go","command":"true","cronExpr":"0 0 1 1 *"}"#;
    let asked = GO.map(async |route| {
        let request = scene.server.bare(Method::POST, route);
        let request = request.bearer_auth(&scene.server.token);
        let kind = "application/x-www-form-urlencoded";
        let form = request.header("content-type", kind);
        let form = form.body(format!("name=go&job={job}"));
        let answer = in_time(route, form).await;
        assert_eq!(answer.status(), StatusCode::OK, "{route}");
        let said: Value = answer.json().await.unwrap();
        let message = said["msg"].as_str().unwrap();
        let done = said["errno"] == 0;
        assert!(done || message.contains(outage.store()), "{route}: {said}");
        done
    });
    join_all(asked).await
}

async fn every_route_answers(outage: Outage) {
    let mut scene = Scene::new().await;
    let document = scene.server.get("/openapi.json").await;
    let statuses = |answers: &BTreeMap<String, Response>| -> BTreeMap<String, StatusCode> {
        let status = |(id, answer): (&String, &Response)| (id.clone(), answer.status());
        answers.iter().map(status).collect()
    };
    for operation in operations(&document) {
        let job = operation.said["operationId"].as_str().unwrap();
        let daily = json!({ "command": "true", "schedule": "@daily" });
        scene.server.put_job(job, &daily).await;
    }
    // What is there only from the first time on.
    scene.ask_all(&document).await;
    let before = statuses(&scene.ask_all(&document).await);
    assert!(ask_go(&scene, outage).await.iter().all(|done| *done));
    scene.says_away(&[]).await;

    scene.begin(outage);
    scene.says_away(&[outage.part()]).await;
    let metrics = scene.server.bare(Method::GET, "/metrics");
    let metrics = metrics.bearer_auth(&scene.server.token);
    let (answers, go, metrics) = tokio::join!(
        scene.ask_all(&document),
        ask_go(&scene, outage),
        in_time("/metrics", metrics),
    );
    let gauge = format!("sandclock_{}_away 1", outage.part());
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.lines().any(|line| line == gauge), "{metrics}");
    assert!(go.iter().any(|done| !done), "no Go route misses the part");
    let mut refused = 0;
    for (id, answer) in answers {
        assert!(answer.headers().contains_key("x-request-id"), "{id}");
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert!(!outage.goes_on().contains(&&*id), "{id} needs nothing else");
            says_which(&id, answer, outage).await;
            refused += 1;
        } else {
            assert_eq!(answer.status(), before[&id], "{id}");
        }
    }
    println!(
        "{outage:?}: {refused} of {} operations refused",
        before.len()
    );
    assert!(refused > 0, "no operation misses the part");

    scene.end(outage);
    scene.says_away(&[]).await;
    wait_for("every route answers as before", PATIENCE, async || {
        let go = ask_go(&scene, outage).await;
        let now = statuses(&scene.ask_all(&document).await);
        let differs = |(id, status): &(&String, &StatusCode)| before[*id] != **status;
        let differ: Vec<_> = now.iter().filter(differs).collect();
        if !differ.is_empty() {
            println!("not yet as before: {differ:?}");
        }
        differ.is_empty() && go.iter().all(|done| *done)
    })
    .await;
}

#[tokio::test]
async fn every_route_answers_while_etcd_is_dead() {
    every_route_answers(Outage::EtcdDead).await;
}

#[tokio::test]
async fn every_route_answers_while_etcd_stands_still() {
    every_route_answers(Outage::EtcdFrozen).await;
}

#[tokio::test]
async fn every_route_answers_while_mongodb_is_dead() {
    every_route_answers(Outage::MongoDead).await;
}

#[tokio::test]
async fn every_route_answers_while_mongodb_stands_still() {
    every_route_answers(Outage::MongoFrozen).await;
}
