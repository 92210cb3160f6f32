//! The audit trail: whatever changes something leaves one entry with who, from where, before and after; as a list of
//! what the API's document has, so that no operation is forgotten.

mod away;
mod listed;

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder, StatusCode};
use sandclock_server::api::audited::{
    ACT, CHANGE_DOCUMENTS, CHANGE_NOTHING, KEEP_NAMES, LEAVE_THEIR_OWN,
};
use serde_json::{Value, json};

use crate::alerts::scene::{Config, Fragile, alerts_are};
use crate::openapi::{Operation, operations};
use crate::product::Product;

/// The name of the token that `sandclock dev` makes.
const ADMIN: &str = "admin";

/// A target that nobody answers at.
const TARGETS: &str = "[alerts.targets.ops]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\n";

/// The entries that this query asks for, newest first.
pub(super) async fn entries(product: &Product, query: &str) -> Vec<Value> {
    let mut page = product.get(&format!("/audit?{query}")).await;
    assert_eq!(page["next"], Value::Null, "one page");
    serde_json::from_value(page["items"].take()).unwrap()
}

/// What is there; `null` for nothing.
async fn shown(product: &Product, path: &str) -> Value {
    let answer = product.request(Method::GET, path).send().await.unwrap();
    match answer.status() {
        StatusCode::OK => answer.json().await.unwrap(),
        status => {
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            Value::Null
        }
    }
}

/// The operations that are to leave an entry.
fn changes(document: &Value) -> Vec<(String, Operation)> {
    let named = |operation: Operation| {
        let id = operation.said["operationId"].as_str().unwrap().to_owned();
        (id, operation)
    };
    operations(document)
        .into_iter()
        .filter(|operation| operation.method != Method::GET)
        .map(named)
        .filter(|(id, _)| !CHANGE_NOTHING.contains(&&**id))
        .filter(|(id, _)| !LEAVE_THEIR_OWN.contains(&&**id))
        .collect()
}

/// A product that has been asked for each operation.
struct Asked {
    product: Product,
    done: BTreeSet<String>,
}

impl Asked {
    /// Makes a change and looks at its entry; answers what was answered.
    async fn change(&mut self, id: &str, subject: &str, request: RequestBuilder) -> Value {
        let product = &self.product;
        let query = format!("action={id}");
        let others = entries(product, &query).await.len();
        let request = request.build().unwrap();
        let asked = request.body().and_then(|body| body.as_bytes());
        let asked: Value = asked
            .and_then(|body| serde_json::from_slice(body).ok())
            .unwrap_or_default();
        let url = request.url().path().to_owned();
        let path = url.strip_prefix("/api/v1").unwrap();
        let document: Vec<&str> = path.split('/').take(3).collect();
        let document = document.join("/");
        let is_document = CHANGE_DOCUMENTS.contains(&id);
        let before = match is_document {
            true => shown(product, &document).await,
            false => Value::Null,
        };
        let answer = reqwest::Client::new().execute(request).await.unwrap();
        let status = answer.status();
        let answer = answer.text().await.unwrap();
        assert!(status.is_success(), "{id}: {status} {answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();

        let now = entries(product, &query).await;
        assert_eq!(now.len(), others + 1, "one entry of {id}");
        let entry = &now[0];
        assert_eq!(entry["who"], ADMIN);
        let from = entry["from"].as_str().unwrap();
        assert_eq!(from, "127.0.0.1");
        assert_eq!(entry["action"], id);
        // Of what is made, the entry says the id.
        let made = subject.is_empty().then(|| answer["id"].as_str().unwrap());
        assert_eq!(entry["subject"], made.unwrap_or(subject), "{entry}");
        assert_eq!(
            (&entry["outcome"], &entry["status"]),
            (&json!("done"), &json!(status.as_u16()))
        );
        if is_document {
            assert_eq!(entry["asked"], Value::Null, "{entry}");
            assert_eq!(entry["before"], before, "{id}");
            assert_eq!(entry["after"], shown(product, &document).await, "{id}");
            assert_ne!(entry["before"], entry["after"], "{id}");
        } else {
            let of_token = id.starts_with("token.");
            if KEEP_NAMES.contains(&id) {
                for part in ["asked", "before", "after"] {
                    assert_eq!(entry[part], Value::Null, "{entry}");
                }
                self.done.insert(id.to_owned());
                return answer;
            }
            assert!(ACT.contains(&id) || of_token, "{id} is in no list");
            assert_eq!(entry["asked"], asked, "{id}");
            if of_token {
                let part = if status == StatusCode::CREATED {
                    "after"
                } else {
                    "before"
                };
                assert_eq!(entry[part]["name"], "deploys", "{entry}");
                assert_eq!(entry[part]["token"], Value::Null, "{entry}");
            } else {
                assert_eq!(entry["before"], Value::Null, "{id}");
                assert_eq!(entry["after"], answer, "{id}");
            }
        }
        self.done.insert(id.to_owned());
        answer
    }

    async fn send(
        &mut self,
        id: &str,
        subject: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> Value {
        let mut request = self.product.request(method, path);
        if !body.is_null() {
            request = request.json(&body);
        }
        self.change(id, subject, request).await
    }

    async fn jobs(&mut self) {
        const JOB: &str = "team/nightly";
        let path = |what: &str| format!("/jobs/team%2Fnightly{what}");
        let job = json!({ "command": "sleep 600", "env": { "LEVEL": "3" } });
        let put = Method::PUT;
        self.send("job.put", JOB, put, &path(""), job).await;
        let patch = json!({ "description": "every year", "schedule": "0 0 1 1 *" });
        let patched = Method::PATCH;
        self.send("job.patch", JOB, patched, &path(""), patch).await;
        for (id, what) in [("job.disable", "/disable"), ("job.enable", "/enable")] {
            let none = Value::Null;
            self.send(id, JOB, Method::POST, &path(what), none).await;
        }
        let asked = json!({ "if_busy": "wait" });
        let post = Method::POST;
        let started = self
            .send("job.run", JOB, post.clone(), &path("/run"), asked)
            .await;
        let run = started["run"].as_str().unwrap();
        let why = json!({ "reason": "it hangs" });
        let kill = format!("/runs/{run}/kill");
        self.send("run.kill", run, post.clone(), &kill, why).await;
        self.product.ended(run).await;
        self.product.start_run("team%2Fnightly").await;
        let killed = self
            .send("job.kill", JOB, post, &path("/kill"), Value::Null)
            .await;
        assert_eq!(killed["items"].as_array().unwrap().len(), 1);
        let (post, delete) = (Method::POST, Method::DELETE);
        let window = json!({ "from": "2026-02-01T00:00:00Z", "until": "2026-03-01T00:00:00Z" });
        self.send("job.backfill", JOB, post, &path("/backfill"), window)
            .await;
        self.send("job.delete", JOB, delete, &path(""), Value::Null)
            .await;
    }

    async fn tokens(&mut self) {
        let asked = json!({ "name": "deploys", "role": "editor" });
        let made = self.send("token.create", "", Method::POST, "/tokens", asked);
        let made = made.await;
        let (id, token) = (
            made["id"].as_str().unwrap(),
            made["token"].as_str().unwrap(),
        );
        let path = format!("/tokens/{id}");
        self.send("token.revoke", id, Method::DELETE, &path, Value::Null)
            .await;
        let trail = self.product.get("/audit").await.to_string();
        let secret = token.rsplit('_').next().unwrap();
        assert!(!trail.contains(secret), "{trail}");
    }

    async fn plugins(&mut self) {
        const PLUGIN: &str = "ladder";
        for version in ["1", "2"] {
            let artifacts = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/plugins/artifacts");
            let module = std::fs::read(format!("{artifacts}/timeout-ladder.wasm")).unwrap();
            let path = format!("/plugins/{PLUGIN}?version={version}");
            let push = self.product.request(Method::PUT, &path).body(module);
            self.change("plugin.push", PLUGIN, push).await;
        }
        let none = || Value::Null;
        let path = |what: &str| format!("/plugins/{PLUGIN}{what}");
        let (post, put, delete) = (Method::POST, Method::PUT, Method::DELETE);
        self.send("plugin.rollback", PLUGIN, post, &path("/rollback"), none())
            .await;
        let mode = json!({ "mode": "monitor" });
        self.send("plugin.mode", PLUGIN, put.clone(), &path("/mode"), mode)
            .await;
        let shadow = path("/shadow?version=2");
        self.send("plugin.shadow", PLUGIN, put.clone(), &shadow, none())
            .await;
        let shadow = path("/shadow");
        self.send("plugin.unshadow", PLUGIN, delete.clone(), &shadow, none())
            .await;
        let binding = json!({ "selector": { "all": true }, "plugin": PLUGIN });
        self.send("binding.put", "all", put, "/bindings/all", binding)
            .await;
        let gone = "/bindings/all";
        self.send("binding.delete", "all", delete.clone(), gone, none())
            .await;
        self.send("plugin.remove", PLUGIN, delete, &path(""), none())
            .await;
    }

    async fn secrets(&mut self) {
        let sealed = json!({ "key": "1a2b3c4d", "sealed": "c2VhbGVk" });
        for (id, method, body) in [
            ("secret.put", Method::PUT, sealed),
            ("secret.delete", Method::DELETE, Value::Null),
        ] {
            self.send(id, "db", method, "/secrets/db", body).await;
        }
    }

    async fn alerts(&mut self) {
        let job = Fragile::put(&self.product, "fragile", "ops").await;
        job.fail(&self.product).await;
        let raised = alerts_are(&self.product, "it is raised", |all| all.len() == 1).await;
        let alert = raised[0]["id"].as_str().unwrap();
        for (id, what) in [("alert.retry", "retry"), ("alert.ack", "ack")] {
            let path = format!("/alerts/{alert}/{what}");
            self.send(id, alert, Method::POST, &path, Value::Null).await;
        }
    }

    async fn workers(&mut self) {
        let workers = self.product.get("/workers").await;
        let worker = workers["items"][0]["id"].as_str().unwrap();
        let path = format!("/workers/{worker}/drain");
        self.send("worker.drain", worker, Method::POST, &path, Value::Null)
            .await;
    }
}

#[tokio::test]
async fn every_change_leaves_one_entry_with_who_and_what() {
    let config = Config::new(TARGETS);
    let product = config.dev();
    let document = product.get("/openapi.json").await;
    let mut asked = Asked {
        product,
        done: BTreeSet::new(),
    };
    asked.jobs().await;
    asked.plugins().await;
    asked.tokens().await;
    asked.secrets().await;
    asked.alerts().await;
    asked.workers().await;
    // Whoever adds an operation adds it above, or says that it changes nothing.
    let all: BTreeSet<_> = changes(&document).into_iter().map(|(id, _)| id).collect();
    assert_eq!(asked.done, all);
}

/// What was refused is as worth knowing as what was done.
#[tokio::test]
async fn every_refused_change_leaves_one_entry() {
    let product = Product::start(&["--no-examples"]);
    let document = product.get("/openapi.json").await;
    for (id, operation) in changes(&document) {
        let path = format!("{}?no=such", operation.url());
        let nonsense = json!({ "no": "such" });
        let request = product.bare(operation.method, &path).json(&nonsense);
        let answer = request.bearer_auth(&product.token).send().await.unwrap();
        let status = answer.status();
        assert!(status.is_client_error(), "{id}: {status}");
        let left = entries(&product, &format!("action={id}")).await;
        assert_eq!(left.len(), 1, "{id}");
        let entry = &left[0];
        assert_eq!(
            (&entry["who"], &entry["outcome"], &entry["status"]),
            (&json!(ADMIN), &json!("refused"), &json!(status.as_u16())),
            "{id}"
        );
        assert_eq!(entry["before"], entry["after"], "{id}");
    }
    // The job without a name is in no document.
    let nameless = product.request(Method::DELETE, "/jobs/");
    assert_eq!(nameless.send().await.unwrap().status(), 404);
    let left = entries(&product, "action=job.delete&subject=").await;
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn what_changes_nothing_leaves_no_entry() {
    let product = Product::start(&["--no-examples"]);
    let document = product.get("/openapi.json").await;
    for operation in operations(&document) {
        let id = operation.said["operationId"].as_str().unwrap();
        if operation.method != Method::GET && !CHANGE_NOTHING.contains(&id) {
            continue;
        }
        if id == "run.stream" {
            continue;
        }
        let request = product.bare(operation.method.clone(), &operation.url());
        let request = request.bearer_auth(&product.token);
        request.send().await.unwrap();
    }
    let asked = operations(&document).into_iter();
    for operation in asked.filter(|operation| operation.method != Method::GET) {
        for token in ["", "sandclock_unknown"] {
            let request = product.bare(operation.method.clone(), &operation.url());
            let answer = request.bearer_auth(token).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
    }
    assert_eq!(entries(&product, "").await, Vec::<Value>::new());
}
