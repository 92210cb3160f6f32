//! What changes is told as it changes, to whom it concerns, without a gap that nobody hears of.

use std::time::Duration;

use futures_util::StreamExt as _;
use nix::sys::signal::Signal;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::product::Product;
use crate::stores::Stores;
use crate::worker::Worker;

const ARGS: &[&str] = &["--no-examples"];

/// An event: what it is called, its id, and what it says.
type Told = (String, String, Value);

fn event(lines: &str) -> Option<Told> {
    let member = |name: &str| {
        let mut lines = lines.lines();
        lines.find_map(|line| line.strip_prefix(name))
    };
    let data = serde_json::from_str(member("data: ")?).unwrap();
    let of = |name| member(name).unwrap().to_owned();
    Some((of("event: "), of("id: "), data))
}

/// The events of a stream as they come.
struct Reader {
    stream: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Reader {
    async fn open(product: &Product, token: &str, last: Option<&str>) -> Self {
        let mut asked = product.bare(Method::GET, "/api/v1/events");
        if let Some(last) = last {
            asked = asked.header("last-event-id", last);
        }
        let answer: Response = asked.bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        Self {
            stream: answer.bytes_stream().boxed(),
            text: String::new(),
        }
    }

    async fn next(&mut self) -> Told {
        loop {
            if let Some((lines, rest)) = self.text.split_once("\n\n") {
                let (found, rest) = (event(lines), rest.to_owned());
                self.text = rest;
                if let Some(found) = found {
                    return found;
                }
                continue;
            }
            let piece = timeout(Duration::from_secs(60), self.stream.next()).await;
            let piece = piece.unwrap().unwrap().unwrap();
            self.text += std::str::from_utf8(&piece).unwrap();
        }
    }

    /// The next one of this kind about this job; what was told before it.
    async fn until(&mut self, kind: &str, job: &str) -> (Told, Vec<Told>) {
        let mut before = Vec::new();
        loop {
            let told = self.next().await;
            if told.0 == kind && told.2["job"] == job {
                return (told, before);
            }
            before.push(told);
        }
    }
}

async fn viewer(product: &Product, prefixes: Value) -> (String, String) {
    let asked = json!({ "name": "eye", "role": "viewer", "prefixes": prefixes });
    let made = product.send(Method::POST, "/tokens", &asked).await;
    let made: Value = made.json().await.unwrap();
    let of = |member: &str| made[member].as_str().unwrap().to_owned();
    (of("token"), of("id"))
}

#[tokio::test]
async fn jobs_and_runs_are_told_to_whom_they_concern_and_a_reader_goes_on_where_it_was() {
    jobs_and_runs_are_told(&Product::start(ARGS)).await;
}

#[tokio::test]
async fn a_server_of_a_fleet_tells_what_others_do() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let mut reader = Reader::open(&server, &server.token, None).await;
    assert_eq!(reader.next().await.0, "resync");
    let worker = Worker::start("only", &stores);
    loop {
        let (kind, _, said) = reader.next().await;
        if (kind.as_str(), &said["worker"]) == ("worker.came", &json!("only")) {
            break;
        }
    }
    jobs_and_runs_are_told(&server).await;
    worker.signal(Signal::SIGTERM);
    while reader.next().await.0 != "worker.went" {}
}

async fn jobs_and_runs_are_told(product: &Product) {
    let (some, some_id) = viewer(product, json!(["in/"])).await;
    let mut all = Reader::open(product, &product.token, None).await;
    let mut own = Reader::open(product, &some, None).await;
    let (began, _) = (all.next().await, own.next().await);
    assert_eq!(began.0, "resync");
    let job = json!({ "command": "exit 3" });
    for name in ["out%2Fa", "in%2Fa"] {
        product.put_job(name, &job).await;
    }
    let (saved, before) = all.until("job.saved", "in/a").await;
    assert!(before.iter().any(|told| told.2["job"] == "out/a"));
    assert!(saved.2["version"].is_u64(), "{saved:?}");
    product.run_job("out%2Fa").await;
    let run = product.run_job("in%2Fa").await;
    let (claimed, _) = all.until("run.claimed", "in/a").await;
    assert_eq!(claimed.2["run"], run["id"]);
    let (ended, _) = all.until("run.ended", "in/a").await;
    assert_eq!(
        (&ended.2["run"], &ended.2["state"], &ended.2["cause"]),
        (&run["id"], &json!("failed"), &run["cause"])
    );
    let (own_end, told) = own.until("run.ended", "in/a").await;
    assert_eq!(own_end.1, ended.1, "one event has one id");
    let of_own = |told: &Told| told.2["job"].is_null() || told.2["job"] == "in/a";
    assert!(told.iter().all(of_own), "{told:?}");

    // Behind what a reader has: everything after it, and nothing twice.
    let mut again = Reader::open(product, &product.token, Some(&saved.1)).await;
    let (_, told) = again.until("run.ended", "in/a").await;
    assert!(
        told.iter()
            .all(|told| told.0 != "resync" && told.1 != saved.1)
    );
    assert!(told.iter().any(|told| told.1 == claimed.1), "{told:?}");
    // What nobody knows is no silence.
    for unknown in ["x", "0123456789abcdef-1", "-"] {
        let mut other = Reader::open(product, &product.token, Some(unknown)).await;
        assert_eq!(other.next().await.0, "resync", "{unknown}");
    }
    let gone = product.request(Method::DELETE, "/jobs/in%2Fa").send();
    assert_eq!(gone.await.unwrap().status(), StatusCode::NO_CONTENT);
    all.until("job.deleted", "in/a").await;

    // A reader who may no longer read is let go.
    let path = format!("/tokens/{some_id}");
    let revoked = product.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(revoked.status(), StatusCode::NO_CONTENT);
    let ends = async { while own.stream.next().await.is_some() {} };
    timeout(Duration::from_secs(60), ends).await.unwrap();
}

#[tokio::test]
async fn the_command_prints_so_many_events_and_ends() {
    let product = Product::start(ARGS);
    let said = product.cli(&["events", "-n", "1"]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(
        said.contains("resync") && said.lines().count() == 1,
        "{said}"
    );
    let said = product.cli(&["events", "-n", "1", "--output", "json"]);
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said["event"], "resync");
}
