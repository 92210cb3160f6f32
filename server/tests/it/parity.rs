//! What the API can do, the command line can: for every operation of the document the command that reaches it, seen by a
//! proxy between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use reqwest::Client;
use serde_json::json;

use crate::openapi::{Operation, operations};
use crate::product::{Product, client, told};
use crate::progress::serve;

/// What a document of the API calls an operation, and the command for it. `{…}` is what the test has at hand. Without a
/// command of their own are the document itself, and what a command does without asking the server for it: `schedule
/// next` and `plugin replay`; the decisions of a run, which `run explain` has with all else; and sessions, which are for
/// browsers.
const COMMANDS: [(&str, &str); 58] = [
    ("alert.ack", "alert ack none"),
    ("alert.list", "alert ls"),
    ("alert.retry", "alert retry none"),
    ("api.document", "api /openapi.json"),
    ("audit.list", "audit ls"),
    ("backup.get", "backup /dev/null"),
    ("event.stream", "events -n 1"),
    ("token.create", "token create other --role viewer"),
    ("secret.put", "secret set db --key {key}"),
    ("secret.list", "secret ls"),
    ("secret.delete", "secret rm db"),
    ("token.list", "token ls"),
    ("token.revoke", "token revoke 12345678"),
    ("session.create", "api /session -X POST"),
    ("session.get", "api /session"),
    ("session.end", "api /session -X DELETE"),
    ("worker.list", "worker ls"),
    ("schedule.preview", "api /schedule/preview?expr=@daily"),
    ("job.apply", "job apply -f {job}"),
    ("job.list", "job ls"),
    ("job.get", "job get team/a"),
    ("job.next", "job next team/a"),
    ("job.timeline", "job timeline team/a"),
    ("job.patch", "job set team/a description=nightly"),
    ("job.disable", "job disable team/a"),
    ("job.enable", "job enable team/a"),
    ("job.run", "job run team/a"),
    (
        "job.backfill",
        "job backfill team/a --from 2026-01-01T00:00:00Z --until 2026-01-02T00:00:00Z --dry-run",
    ),
    ("job.kill", "job kill team/a"),
    (
        "plugin.push",
        "plugin push {module} --name ladder --version 1",
    ),
    ("binding.put", "plugin bind ladder --all"),
    ("binding.list", "plugin bindings"),
    ("binding.get", "plugin bindings ladder"),
    ("run.list", "run ls"),
    ("run.get", "run get {run}"),
    ("run.explain", "run explain {run}"),
    ("run.hooks", "api /runs/any/hooks"),
    ("run.output", "run logs {run}"),
    ("run.stream", "run logs {run} --follow"),
    ("run.kill", "run kill {run}"),
    ("run.recordings", "plugin replay {run}"),
    ("plugin.module", "plugin replay {run}"),
    ("plugin.list", "plugin ls"),
    ("plugin.get", "plugin ls ladder"),
    ("plugin.recordings", "plugin diff ladder"),
    ("plugin.replay", "api /plugins/ladder/replay -X POST"),
    ("plugin.mode", "plugin mode ladder monitor"),
    ("plugin.shadow", "plugin shadow ladder 2"),
    ("plugin.unshadow", "plugin shadow ladder --off"),
    ("plugin.rollback", "plugin rollback ladder"),
    ("binding.delete", "plugin unbind ladder"),
    ("plugin.remove", "plugin rm ladder"),
    ("plugin.validate", "import {export} --dry-run"),
    ("binding.validate", "import {export} --dry-run"),
    ("job.validate", "crontab import {tab}"),
    ("job.put", "crontab import {tab} --apply"),
    ("job.delete", "job rm team/a"),
    ("worker.drain", "worker drain {worker}"),
];

/// Passes requests on, and remembers their methods and paths.
#[derive(Clone)]
struct Proxy {
    to: String,
    http: Client,
    seen: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl Proxy {
    fn take(&self) -> BTreeSet<(String, String)> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let seen = (parts.method.to_string(), path);
    proxy.seen.lock().unwrap().insert(seen);
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("host");
    let to = format!("{}{}", proxy.to, parts.uri);
    let asked = proxy.http.request(parts.method, to).headers(headers);
    let answer = asked.body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    response
        .headers_mut()
        .unwrap()
        .extend(answer.headers().clone());
    response
        .body(Body::from_stream(answer.bytes_stream()))
        .unwrap()
}

fn is(operation: &Operation, (method, path): &(String, String)) -> bool {
    let (own, their): (Vec<_>, Vec<_>) = (
        operation.path.split('/').collect(),
        path.split('/').collect(),
    );
    let same = |(own, their): (&&str, &&str)| own.starts_with('{') || own == their;
    operation.method.as_str() == method
        && own.len() == their.len()
        && own.iter().zip(&their).all(same)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_a_command_that_reaches_it() {
    let product = Product::start(&["--no-examples"]);
    let document = product.get("/openapi.json").await;
    let seen = Arc::default();
    let to = product.url.clone();
    let http = client();
    let proxy = Proxy { to, http, seen };
    let url = serve(Router::new().fallback(pass).with_state(proxy.clone())).await;
    let file = |name: &str| product.home().join(name).to_str().unwrap().to_owned();
    let job = json!({ "name": "team/a", "command": "true", "schedule": "@yearly" });
    std::fs::write(file("job.json"), job.to_string()).unwrap();
    std::fs::write(file("tab"), "0 3 * * * true\n").unwrap();
    let module = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/plugins/artifacts/timeout-ladder.wasm"
    );
    let mut known = BTreeMap::from([
        ("{job}", file("job.json")),
        ("{module}", module.to_owned()),
        ("{export}", file("export.json")),
        ("{tab}", file("tab")),
        ("{key}", file("secrets.key")),
    ]);
    let made = product.cli(&["secret", "keygen", &known["{key}"]]);
    assert!(made.status.success(), "{}", told(&made));
    let workers = product.get("/workers").await;
    let worker = workers["items"][0]["name"].as_str().unwrap();
    known.insert("{worker}", worker.to_owned());
    let operations = operations(&document);
    let by_id = |id: &str| operations.iter().find(|one| one.said["operationId"] == id);
    let mut reached = BTreeSet::new();
    for (id, command) in COMMANDS {
        let words = command
            .split(' ')
            .map(|word| known.get(word).cloned().unwrap_or_else(|| word.to_owned()));
        let words: Vec<_> = ["--url".to_owned(), url.clone()]
            .into_iter()
            .chain(words)
            .collect();
        proxy.take();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let said = product.cli_told(&words, "hunter22");
        let operation = by_id(id).unwrap_or_else(|| panic!("{id} is no operation"));
        let asked = proxy.take();
        let hit = asked.iter().any(|asked| is(operation, asked));
        assert!(hit, "{id}: `{command}` asked {asked:?}\n{}", told(&said));
        assert!(reached.insert(id), "{id} twice");
        if id == "binding.put" {
            // A run that has asked a plugin, and all that there is as one document.
            let run = product.run_job("team%2Fa").await;
            known.insert("{run}", run["id"].as_str().unwrap().to_owned());
            let exported = product.cli(&["export", &known["{export}"]]);
            assert!(exported.status.success(), "{}", told(&exported));
        }
    }
    let all = operations
        .iter()
        .map(|one| one.said["operationId"].as_str().unwrap());
    let missing: Vec<_> = all.filter(|id| !reached.contains(id)).collect();
    assert!(missing.is_empty(), "no command reaches {missing:?}");
}
