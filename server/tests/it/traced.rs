//! Traces, as a receiver of OTLP sees them: one from a tick to its alert, one from a request to what its command is told; no
//! secret in either; and receivers that are dead, or slow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use reqwest::Method;
use sandclock_core::run::hex;
use serde_json::json;
use tempfile::TempDir;

use crate::product::{Product, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// What must be in no span.
const SECRET: &str = "correct-horse-battery";

/// What came, and with which credentials.
#[derive(Clone, Debug, Default)]
struct Receiver(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    receiver.0.lock().unwrap().push((headers, body));
    StatusCode::OK
}

impl Receiver {
    /// One that listens, and its address.
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let routes = Router::new().route("/v1/traces", post(take));
        let router = routes.with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        drop(tokio::spawn(
            async move { axum::serve(listener, router).await },
        ));
        (receiver, url)
    }

    fn spans(&self) -> Vec<Span> {
        let all = self.0.lock().unwrap();
        let requests = all
            .iter()
            .map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        let scopes = requests
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The spans of this trace by their names; of several of one name the last.
    fn of(&self, trace: &str) -> BTreeMap<String, Span> {
        let all = self.spans().into_iter();
        let of = all.filter(|span| hex(&span.trace_id, 16) == trace);
        of.map(|span| (span.name.clone(), span)).collect()
    }
}

fn product(folder: &TempDir, url: &str, more: &str) -> Product {
    let config = folder.path().join("sandclock.toml");
    let text = format!(
        "[telemetry]\notlp_endpoint = {url:?}\nheaders = {{ Authorization = \"Bearer {SECRET}\" }}\n{more}"
    );
    std::fs::write(&config, text).unwrap();
    Product::start(&["--no-examples", "--config", config.to_str().unwrap()])
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key == key)?;
    match found.value.clone()?.value? {
        Any::StringValue(text) => Some(text),
        Any::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_tick_to_its_alert_and_tells_no_secret() {
    let (receiver, url) = Receiver::start().await;
    let folder = TempDir::new().unwrap();
    let product = product(&folder, &url, "");
    let hook = json!({ "plugin": "webhook-alert", "config": { "every": 1, "target": "log" } });
    let job = json!({
        "command": format!("echo {SECRET}; exit 3"),
        "env": { "PASSWORD": SECRET },
        "schedule": "* * * * * * *",
        "hooks": [hook],
    });
    product.put_job("fails", &job).await;
    let names = [
        "decide",
        "hooks before run",
        "start",
        "run",
        "end",
        "copy",
        "hooks after run",
        "deliver alert",
        "tick",
    ];
    let mut whole = None;
    wait_for("a trace is whole", PATIENCE, async || {
        for run in product.runs("job=fails&state=failed").await {
            let trace = run["id"].as_str().unwrap().to_owned();
            let spans = receiver.of(&trace);
            if names.iter().all(|name| spans.contains_key(*name)) {
                whole = Some((trace, spans));
                return true;
            }
        }
        false
    })
    .await;
    let (run, spans) = whole.unwrap();
    let root = &spans["tick"];
    assert!(root.parent_span_id.is_empty(), "{root:?}");
    for (name, span) in &spans {
        assert_eq!(attribute(span, "sandclock.run").unwrap(), run, "{name}");
        assert_eq!(attribute(span, "sandclock.job").unwrap(), "fails", "{name}");
        let above = match name.as_str() {
            "tick" => continue,
            "start" => &spans["run"],
            _ => root,
        };
        assert_eq!(span.parent_span_id, above.span_id, "{name}");
    }
    assert_eq!(attribute(&spans["run"], "process.exit.code").unwrap(), "3");
    assert_eq!(attribute(root, "sandclock.state").unwrap(), "failed");
    assert_eq!(
        attribute(&spans["decide"], "sandclock.decided").unwrap(),
        "claimed"
    );
    for (headers, body) in &*receiver.0.lock().unwrap() {
        assert_eq!(headers["authorization"], format!("Bearer {SECRET}"));
        assert!(memchr::memmem::find(body, SECRET.as_bytes()).is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_leads_to_its_run_and_to_what_the_command_is_told() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let given = format!("00-{TRACE}-b7ad6b7169203331-01");
    let (receiver, url) = Receiver::start().await;
    let folder = TempDir::new().unwrap();
    let product = product(&folder, &url, "");
    let told = printed_by_a_run(&product, &given).await;
    let names = ["API request", "request for a run", "run"];
    wait_for("the trace is there", PATIENCE, async || {
        let spans = receiver.of(TRACE);
        names.iter().all(|name| spans.contains_key(*name))
    })
    .await;
    let spans = receiver.of(TRACE);
    let [asked, whole, run] = names.map(|name| &spans[name]);
    assert_eq!(hex(&asked.parent_span_id, 8), "b7ad6b7169203331");
    assert_eq!(whole.parent_span_id, asked.span_id);
    assert_eq!(run.parent_span_id, whole.span_id);
    assert_eq!(told, format!("00-{TRACE}-{}-01", hex(&run.span_id, 8)));
    let path = attribute(asked, "url.path").unwrap();
    assert!(path.ends_with("/jobs/prints/run"), "{path}");
}

/// What a command prints of its `TRACEPARENT` whose run was asked for with this one.
async fn printed_by_a_run(product: &Product, given: &str) -> String {
    let job = json!({ "command": "printf %s \"$TRACEPARENT\"" });
    product.put_job("prints", &job).await;
    let request = product.request(Method::POST, "/jobs/prints/run");
    let answer = request.header("traceparent", given).send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    let run = answer["run"].as_str().unwrap();
    assert_eq!(product.ended(run).await["state"], "succeeded");
    product.text(&format!("/runs/{run}/output")).await
}

#[tokio::test]
async fn without_a_receiver_a_command_is_told_what_its_client_said() {
    let product = Product::start(&["--no-examples"]);
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    assert_eq!(printed_by_a_run(&product, given).await, given);
    assert_eq!(printed_by_a_run(&product, "nonsense").await, "");
}

/// How many spans of the product ended so.
async fn counted(product: &Product, outcome: &str) -> u64 {
    let metrics = product.bare(Method::GET, "/metrics");
    let metrics = metrics.bearer_auth(&product.token).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let name = format!("sandclock_spans_total{{outcome={outcome:?}}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap().parse().unwrap()
}

/// Nothing waits for a receiver that takes connections and says nothing, the end of the process neither.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_holds_nothing_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let folder = TempDir::new().unwrap();
    let mut product = product(&folder, &url, "");
    product
        .put_job("works", &json!({ "command": "true" }))
        .await;
    // A request with spans has come, and is not answered from here on.
    let (asked, _) = silent.accept().await.unwrap();
    assert_eq!(product.run_job("works").await["state"], "succeeded");
    assert_eq!(counted(&product, "sent").await, 0);
    assert!(product.stop().await.success());
    drop(asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let mut product = product(&folder, "http://127.0.0.1:1", "[log]\nformat = \"json\"\n");
    product
        .put_job("works", &json!({ "command": "true" }))
        .await;
    for _ in 0..3 {
        let run = product.run_job("works").await;
        assert_eq!(run["state"], "succeeded");
    }
    wait_for(
        "it is said, and what is dropped is counted",
        PATIENCE,
        async || {
            let said = "the receiver of traces does not take them";
            let counted = counted(&product, "not_taken").await;
            String::from_utf8(product.log()).unwrap().contains(said) && counted > 0
        },
    )
    .await;
    assert!(product.stop().await.success());
    let log = String::from_utf8(product.log()).unwrap();
    assert_eq!(
        log.matches("the receiver of traces does not take").count(),
        1
    );
    // What is not of the log, such as the first token, is for people.
    let lines = log.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.iter().any(|line| line["level"] == "WARN"), "{log}");
    for line in lines {
        assert!(line["timestamp"].is_string() && line["message"].is_string());
    }
}
