//! Runs in progress: where the run log has nothing yet, or no longer the truth, the store is asked.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use reqwest::{Method, StatusCode};
use sandclock_backend_embedded::{Embedded, EmbeddedConfig};
use sandclock_core::access::Role;
use sandclock_core::backend::{
    Coordination, End, EndHow, Ended, Fence, FireView, Nonce, Pinned, Precondition, RecordSeen,
    Records, Request, RunHeader, SessionId, Take, TakeFrom, Taken, Triggered,
};
use sandclock_core::job::{Job, JobName};
use sandclock_core::run::{Outcome, RunKey, RunState};
use sandclock_hooks::{HooksConfig, KnownSecrets, PluginHost};
use sandclock_server::access::Gate;
use sandclock_server::api::pace::Pace;
use sandclock_server::api::sign_in::Cookies;
use sandclock_server::api::{self, Api};
use sandclock_server::audit::{Places, Trail};
use sandclock_server::clock::SystemClock;
use sandclock_server::config::{ApiSection, SessionSection};
use sandclock_server::deliver::Figures;
use sandclock_server::events::Watches;
use sandclock_server::leader::Leads;
use sandclock_server::reload::Accepted;
use sandclock_server::rollout::Rollout;
use sandclock_testkit::conformance::{at, worker};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::{Product, wait_for};

/// A server over a store in which the test plays the worker.
struct Stage {
    coordination: Coordination,
    records: Records,
    url: String,
    token: String,
    session: SessionId,
    pinned: Pinned,
    _home: TempDir,
}

fn outcome(state: RunState, cause: &str) -> Outcome {
    Outcome {
        started_at: Some(at(1)),
        ..Outcome::without_process(state, cause, at(2))
    }
}

/// The API over these stores, without a worker and with its files in `home`.
pub(crate) fn over(
    (coordination, records): (Coordination, Records),
    gate: Gate,
    home: &Path,
) -> Api {
    let hooks = HooksConfig::new(KnownSecrets::new(), Arc::new(SystemClock));
    let plugins = Arc::new(PluginHost::new(hooks).unwrap());
    let rollout = Rollout::new(
        Arc::clone(&records.plugins),
        Arc::clone(&coordination.docs),
        Arc::clone(&plugins),
        home.join("plugins"),
    );
    let leads = Leads::default();
    let places = Places {
        log: Arc::clone(&records.audit),
        docs: Arc::clone(&coordination.docs),
    };
    let trail = Trail::new(places, leads.clone(), Arc::new(SystemClock), None);
    let watches = Watches::new(coordination.clone(), Arc::new(SystemClock));
    Api {
        watches: Arc::new(watches),
        recorder: None,
        rollout: Arc::new(rollout),
        go: None,
        alert_targets: BTreeSet::new(),
        leads,
        deliveries: Figures::default(),
        tls: None,
        accepted: Accepted::default(),
        telemetry: None,
        coordination,
        records,
        plugins,
        worker: None,
        spool: None,
        clock: Arc::new(SystemClock),
        pace: Arc::new(Pace::new(ApiSection::default())),
        gate: Arc::new(gate),
        trail: Arc::new(trail),
        behind_proxy: false,
        sessions: SessionSection::default().lifetimes(),
        cookies: Cookies::new(false),
        provider: None,
        default_time_zone: "UTC".to_owned(),
    }
}

impl Stage {
    async fn set() -> Self {
        sandclock_server::tls();
        let home = TempDir::new().unwrap();
        let path = home.path().join("sandclock.db");
        let store = Embedded::open(EmbeddedConfig { path }).unwrap();
        let (coordination, records) = (store.coordination(), store.records());
        let mut gate = Gate::new(Arc::clone(&coordination.docs), Arc::new(SystemClock));
        let token = gate.own_token("admin", Role::Admin);
        let stores = (coordination.clone(), records.clone());
        let url = serve(api::router(over(stores, gate, home.path()))).await;
        let job = Job::shell(JobName::parse("job").unwrap(), "true");
        let put = coordination
            .jobs
            .put(&job, Precondition::Any)
            .await
            .unwrap();
        let pinned = Pinned {
            job: Arc::new(job),
            version: put.version,
        };
        let session = coordination
            .sessions
            .open(&worker("w"), Duration::from_secs(600))
            .await
            .unwrap()
            .id;
        Self {
            coordination,
            records,
            url,
            token,
            session,
            pinned,
            _home: home,
        }
    }

    /// Asks for a run; answers its id.
    async fn request(&self, id: &str) -> String {
        let request = Request {
            id: id.to_owned(),
            by: "ann".to_owned(),
            refuse_if_busy: false,
        };
        let job = &self.pinned.job.name;
        match self.coordination.fires.trigger(job, &request).await {
            Ok(Triggered::Run(run)) => run.to_string(),
            other => panic!("{other:?}"),
        }
    }

    async fn view(&self) -> FireView {
        self.coordination.feed.snapshot().await.unwrap().0
    }

    async fn take(&self, id: &str, from: TakeFrom) -> Fence {
        let key = RunKey::Request(id.to_owned());
        let view = self.view().await;
        let open = view.open.iter().map(|seen| (&seen.value.key, seen.version));
        let wait = view.wait.iter().map(|seen| (&seen.value.key, seen.version));
        let (_, version) = open.chain(wait).find(|(of, _)| **of == key).unwrap();
        let take = Take {
            record: RecordSeen {
                job: self.pinned.job.name.clone(),
                key,
                version,
            },
            from,
            worker: "w".to_owned(),
            nonce: Nonce(u128::from(version.0)),
        };
        match self.coordination.fires.take(&self.session, &take).await {
            Ok(Taken::Held { fence, .. }) => fence,
            other => panic!("{other:?}"),
        }
    }

    fn admitted(&self) -> TakeFrom {
        TakeFrom::Wait {
            pinned: self.pinned.clone(),
            exclusive: false,
            skip: Vec::new(),
        }
    }

    /// Tells the run log that an attempt has begun.
    async fn begin(&self, id: &str, attempt: u32, fence: Fence) {
        let (job, key) = (self.pinned.job.name.clone(), RunKey::Request(id.to_owned()));
        let header = RunHeader {
            id: sandclock_core::run::RunId::of(&job, &key),
            job,
            key,
            state: RunState::Running,
            attempt,
            worker: "w".to_owned(),
            started_at: at(1),
            next_attempt_at: None,
            cause: "ann".to_owned(),
        };
        self.records.sink.begin(&header, fence).await.unwrap();
    }

    async fn end(&self, id: &str, fence: Fence, how: EndHow) -> Ended {
        let end = End {
            job: self.pinned.job.name.clone(),
            key: RunKey::Request(id.to_owned()),
            fence,
            how,
            worker: "w".to_owned(),
        };
        self.coordination.fires.end(&end).await.unwrap()
    }

    async fn answer(&self, path: &str) -> (StatusCode, Value) {
        let request = reqwest::Client::new()
            .get(format!("{}/api/v1{path}", self.url))
            .bearer_auth(&self.token);
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.answer(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    /// The run is in this state, alone and in lists, and in no list of another state.
    async fn is(&self, run: &str, state: &str) -> Value {
        let shown = self.get(&format!("/runs/{run}")).await;
        assert_eq!(shown["state"], state, "{shown}");
        for other in RunState::ALL.map(RunState::as_str) {
            let list = self.get(&format!("/runs?state={other}")).await;
            let expected = if other == state {
                json!([shown])
            } else {
                json!([])
            };
            assert_eq!(list["items"], expected, "in state {other}");
        }
        assert_eq!(self.get("/runs").await["items"], json!([shown]));
        assert_eq!(self.get("/runs?job=job").await["items"], json!([shown]));
        assert_eq!(self.get("/runs?job=other").await["items"], json!([]));
        shown
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server of a test ends with the test"
)]
pub(crate) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_run_is_shown_as_it_is_from_request_to_end_whatever_the_log_has() {
    let stage = Stage::set().await;
    let run = stage.request("a").await;
    let waiting = stage.is(&run, "queued").await;
    assert_eq!(
        (&waiting["attempt"], &waiting["request"]),
        (&json!(0), &json!("a"))
    );
    assert!(
        waiting["cause"].as_str().unwrap().starts_with("ann asked"),
        "{waiting}"
    );

    let fence = stage.take("a", stage.admitted()).await;
    let claimed = stage.is(&run, "running").await;
    assert_eq!(
        (&claimed["attempt"], &claimed["started_at"]),
        (&json!(1), &Value::Null)
    );
    stage.begin("a", 1, fence).await;
    let begun = stage.is(&run, "running").await;
    assert_eq!(begun["started_at"], at(1).to_string());

    let retry = EndHow::Retry {
        not_before: at(60),
        exclude: None,
        killed: outcome(RunState::Killed, "killed"),
    };
    assert_eq!(stage.end("a", fence, retry).await, Ended::Waiting);
    let between = stage.is(&run, "queued").await;
    assert_eq!(
        (&between["attempt"], &between["next_attempt_at"]),
        (&json!(1), &json!(at(60).to_string()))
    );

    let fence = stage.take("a", TakeFrom::Open).await;
    let second = stage.is(&run, "running").await;
    assert_eq!(
        (&second["attempt"], &second["next_attempt_at"]),
        (&json!(2), &Value::Null)
    );
    stage.begin("a", 2, fence).await;
    let end = EndHow::Terminal(outcome(RunState::TimedOut, "it took too long"));
    let Ended::Done(done) = stage.end("a", fence, end).await else {
        panic!("it has ended")
    };
    let ended = stage.is(&run, "timed_out").await;
    assert_eq!(ended["cause"], "it took too long");

    stage.records.sink.finish(&done.value).await.unwrap();
    assert_eq!(stage.is(&run, "timed_out").await, ended);
    let copied = RecordSeen {
        job: done.value.job.clone(),
        key: done.value.key.clone(),
        version: done.version,
    };
    stage
        .coordination
        .feed
        .clean(&[copied], Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(stage.is(&run, "timed_out").await, ended);
}

/// Runs that wait come first, then the log's, each once, in pages of any size.
#[tokio::test]
async fn pages_hold_every_run_once() {
    let stage = Stage::set().await;
    let mut runs = Vec::new();
    for id in ["a", "b", "c"] {
        runs.push(stage.request(id).await);
        let fence = stage.take(id, stage.admitted()).await;
        stage.begin(id, 1, fence).await;
    }
    for id in ["d", "e", "f"] {
        runs.push(stage.request(id).await);
    }
    runs.reverse();
    for limit in 1..=7 {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = stage.get(&format!("/runs?limit={limit}{cursor}")).await;
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit, "{page}");
            let ids = items
                .iter()
                .map(|run| run["id"].as_str().unwrap().to_owned());
            found.extend(ids);
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found, runs, "pages of {limit}");
    }
    let (status, problem) = stage.answer("/runs?cursor=17").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["field"], "cursor");
}

#[tokio::test]
async fn a_request_that_waits_can_be_seen_and_killed() {
    let product = Product::start(&["--no-examples"]);
    let job = json!({ "command": "sleep 3600", "grace_s": 1 });
    product.put_job("busy", &job).await;
    let first = product.start_run("busy").await;
    wait_for("the job runs", Duration::from_secs(30), async || {
        product.get(&format!("/runs/{first}")).await["state"] == "running"
    })
    .await;
    let second = product.start_run("busy").await;
    let path = format!("/runs/{second}");
    assert_eq!(product.get(&path).await["state"], "queued");
    assert_eq!(product.text(&format!("{path}/output")).await, "");
    let queued = product.get("/runs?state=queued").await;
    assert_eq!(queued["items"][0]["id"], json!(second), "{queued}");
    for command in [
        &["run", "get", &second][..],
        &["run", "explain", &second],
        &["run", "ls", "--state", "queued"],
    ] {
        let output = product.cli(command);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains("queued"), "{said}");
    }
    let killed = product.cli(&["run", "kill", &second, "--reason", "twice"]);
    assert!(killed.status.success(), "{killed:?}");
    let end = product.ended(&second).await;
    assert_eq!(end["state"], "killed");
    assert!(end["cause"].as_str().unwrap().contains("twice"), "{end}");
    assert_eq!(
        product.get(&format!("/runs/{first}")).await["state"],
        "running"
    );
    let nobody = format!("/runs/{}/kill", "0".repeat(32));
    let answer = product.request(Method::POST, &nobody).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_run_between_attempts_is_queued_with_its_next_attempt() {
    let product = Product::start(&["--no-examples"]);
    let retry = json!({ "max": 1, "backoff": { "initial_s": 3600, "max_s": 3600 } });
    let job = json!({ "command": "exit 3", "retry": retry });
    product.put_job("again", &job).await;
    let run = product.start_run("again").await;
    let path = format!("/runs/{run}");
    wait_for("it waits", Duration::from_secs(30), async || {
        product.get(&path).await["next_attempt_at"].is_string()
    })
    .await;
    let shown = product.get(&path).await;
    assert_eq!(
        (&shown["state"], &shown["attempt"]),
        (&json!("queued"), &json!(1))
    );
}
