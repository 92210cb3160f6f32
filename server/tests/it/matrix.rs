//! Who may do what, for every operation of the API's document and every kind of caller: nobody, a token that is not
//! known, one that has expired, each role, and each role limited to a prefix, inside and outside of it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::alerts::scene::{Config, Fragile, alerts_are};
use crate::openapi::{Operation, operations};
use crate::product::{Product, wait_for};

const ROLES: [&str; 4] = ["viewer", "operator", "editor", "admin"];

/// What each operation answers whom it admits, where it is asked as [`Ask::of`] does. What would end things that others of
/// the matrix need is asked so that it is refused for another reason than the caller.
const ADMITTED: [(&str, u16); 58] = [
    ("alert.ack", 404),
    ("alert.list", 200),
    ("alert.retry", 404),
    ("api.document", 200),
    ("audit.list", 200),
    ("backup.get", 200),
    ("binding.delete", 404),
    ("binding.get", 404),
    ("binding.list", 200),
    ("binding.put", 422),
    ("binding.validate", 422),
    ("event.stream", 200),
    ("job.apply", 200),
    ("job.backfill", 200),
    ("job.delete", 412),
    ("job.disable", 200),
    ("job.enable", 200),
    ("job.get", 200),
    ("job.kill", 202),
    ("job.list", 200),
    ("job.next", 200),
    ("job.patch", 200),
    ("job.put", 200),
    ("job.run", 202),
    ("job.timeline", 200),
    ("job.validate", 200),
    ("plugin.get", 404),
    ("plugin.list", 200),
    ("plugin.mode", 422),
    ("plugin.module", 404),
    ("plugin.push", 422),
    ("plugin.recordings", 200),
    ("plugin.remove", 404),
    ("plugin.replay", 200),
    ("plugin.rollback", 404),
    ("plugin.shadow", 422),
    ("plugin.unshadow", 404),
    ("plugin.validate", 422),
    ("run.explain", 200),
    ("run.get", 200),
    ("run.hooks", 200),
    ("run.kill", 409),
    ("run.list", 200),
    ("run.output", 200),
    ("run.recordings", 200),
    ("run.stream", 200),
    ("schedule.preview", 200),
    ("secret.delete", 404),
    ("secret.list", 200),
    ("secret.put", 422),
    ("session.create", 201),
    ("session.end", 404),
    ("session.get", 200),
    ("token.create", 422),
    ("token.list", 200),
    ("token.revoke", 404),
    ("worker.drain", 404),
    ("worker.list", 200),
];

/// A job of the matrix, with a run that has ended.
pub(crate) struct Target {
    pub(crate) job: String,
    pub(crate) run: String,
}

/// How an operation is asked.
pub(crate) struct Ask {
    method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    condition: Option<&'static str>,
    /// It asks for the token in its body, too.
    says_token: bool,
}

impl Ask {
    pub(crate) fn of(operation: &Operation, target: &Target) -> Self {
        let id = operation.said["operationId"].as_str().unwrap();
        let job = target.job.replace('/', "%2F");
        let path = operation
            .path
            .replace("/jobs/{name}", &format!("/jobs/{job}"))
            .replace("/runs/{id}", &format!("/runs/{}", target.run))
            .replace("{sha256}", &"0".repeat(64))
            .replace("{name}", "x")
            .replace("{id}", "x");
        let query = match id {
            "schedule.preview" => "?expr=@daily",
            // It would not end by itself, nor would the server quickly after it.
            "event.stream" => "?limit=0",
            _ => "",
        };
        let body = match id {
            "job.put" => Some(json!({ "command": "true", "schedule": "@daily" })),
            "job.apply" => Some(
                json!({ "jobs": [{ "name": target.job, "command": "true", "schedule": "@daily" }] }),
            ),
            "job.validate" => {
                Some(json!({ "name": target.job, "command": "true", "schedule": "@daily" }))
            }
            "job.backfill" => Some(json!({
                "from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "dry_run": true,
            })),
            "alert.ack" | "alert.retry" | "job.kill" | "job.run" => None,
            _ => Some(json!({})),
        };
        Self {
            path: format!("{path}{query}"),
            body: body.filter(|_| operation.method != Method::GET),
            condition: (id == "job.delete").then_some("\"999999\""),
            method: operation.method.clone(),
            says_token: id == "session.create",
        }
    }

    async fn status(&self, product: &Product, token: Option<&str>) -> u16 {
        let answer = self.request(product, token).send().await;
        answer.unwrap().status().as_u16()
    }

    pub(crate) fn request(&self, product: &Product, token: Option<&str>) -> RequestBuilder {
        let mut request = product.bare(self.method.clone(), &self.path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        }
        if let (Some(token), true) = (token, self.says_token) {
            request = request.json(&json!({ "token": token }));
        }
        if let Some(condition) = self.condition {
            request = request.header("if-match", condition);
        }
        request
    }
}

/// A token's text.
async fn token(product: &Product, asked: Value) -> String {
    let made = product.send(Method::POST, "/tokens", &asked).await;
    assert_eq!(made.status(), StatusCode::CREATED, "{asked}");
    let made: Value = made.json().await.unwrap();
    made["token"].as_str().unwrap().to_owned()
}

async fn target(product: &Product, job: &'static str) -> Target {
    let escaped = job.replace('/', "%2F");
    let named = product
        .put_job(
            &escaped,
            &json!({ "command": "true", "schedule": "@daily" }),
        )
        .await;
    assert_eq!(named["name"], job);
    let run = product.run_job(&escaped).await;
    Target {
        job: job.to_owned(),
        run: run["id"].as_str().unwrap().to_owned(),
    }
}

#[tokio::test]
async fn every_operation_admits_exactly_those_whom_the_document_names() {
    let product = Product::start(&["--no-examples"]);
    let document = product.get("/openapi.json").await;
    let (inside, outside) = (
        target(&product, "in/job").await,
        target(&product, "out/job").await,
    );
    let short = json!({ "name": "short", "role": "admin", "expires_in_s": 1 });
    let expired = token(&product, short).await;
    let mut unlimited = Vec::new();
    let mut limited = Vec::new();
    for role in ROLES {
        let all = json!({ "name": role, "role": role });
        unlimited.push(token(&product, all).await);
        let some = json!({ "name": role, "role": role, "prefixes": ["in/", "other/"] });
        limited.push(token(&product, some).await);
    }
    wait_for("the token expires", Duration::from_secs(60), async || {
        let asked = product
            .bare(Method::GET, "/api/v1/jobs")
            .bearer_auth(&expired);
        asked.send().await.unwrap().status() == StatusCode::UNAUTHORIZED
    })
    .await;
    let admitted: BTreeMap<_, _> = ADMITTED.into();
    let operations = operations(&document);
    assert_eq!(operations.len(), admitted.len());
    let unknown = format!("sandclock_1a2b3c4d_{}", "0".repeat(64));
    let mut asked = 0;
    for operation in &operations {
        let said = |member: &str| operation.said[member].as_str().unwrap();
        let id = said("operationId");
        let needed = ROLES
            .iter()
            .position(|role| *role == said("x-role"))
            .unwrap();
        let fleet = said("x-scope") == "fleet";
        let of_one = ["job.validate", "job.apply"].contains(&id)
            || ["/jobs/{name}", "/runs/{id}"]
                .iter()
                .any(|of| operation.path.contains(of));
        assert!(!(fleet && of_one), "{id} is about one job");
        let admitted = admitted[id];
        let (within, beyond) = (Ask::of(operation, &inside), Ask::of(operation, &outside));
        for nobody in [None, Some(&*unknown), Some(&*expired)] {
            assert_eq!(
                within.status(&product, nobody).await,
                401,
                "{id} {nobody:?}"
            );
        }
        for (at, role) in ROLES.iter().enumerate() {
            let wanted = |may: bool| if may { admitted } else { 403 };
            let (all, some) = (Some(&*unlimited[at]), Some(&*limited[at]));
            let may = at >= needed;
            assert_eq!(
                within.status(&product, all).await,
                wanted(may),
                "{id} {role}"
            );
            let may = may && !fleet;
            let status = within.status(&product, some).await;
            assert_eq!(status, wanted(may), "{id} {role} within");
            let may = may && !of_one;
            let status = beyond.status(&product, some).await;
            assert_eq!(status, wanted(may), "{id} {role} outside");
            asked += 3;
        }
        asked += 3;
    }
    println!("{} operations, {asked} requests", operations.len());
}

#[tokio::test]
async fn lists_show_a_limited_caller_the_own_part() {
    let product = Product::start(&["--no-examples"]);
    let inside = target(&product, "in/job").await;
    target(&product, "out/job").await;
    let some = json!({ "name": "some", "role": "viewer", "prefixes": ["in/"] });
    let some = token(&product, some).await;
    let get = async |path: &str| {
        let asked = product.bare(Method::GET, &format!("/api/v1{path}"));
        asked.bearer_auth(&some).send().await.unwrap()
    };
    let jobs: Value = get("/jobs").await.json().await.unwrap();
    let items = jobs["items"].as_array().unwrap();
    assert!(items.len() == 1 && items[0]["name"] == "in/job", "{jobs}");
    let runs: Value = get("/runs").await.json().await.unwrap();
    let items = runs["items"].as_array().unwrap();
    assert!(items.len() == 1 && items[0]["id"] == *inside.run, "{runs}");
    let refused = get("/runs?job=out/job").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let problem: Value = refused.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("in/") && detail.contains("out/job"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_limited_operator_answers_for_alerts_of_the_own_jobs() {
    let config = Config::new("[alerts.targets.ops]\ntype = \"log\"\n");
    let product = config.dev();
    let some = json!({ "name": "some", "role": "operator", "prefixes": ["in/"] });
    let some = token(&product, some).await;
    for (job, status) in [("in%2Fjob", 204), ("out%2Fjob", 403)] {
        let job = Fragile::put(&product, job, "ops").await;
        let run = job.fail(&product).await;
        let raised = alerts_are(&product, "it is raised", |all| {
            all.iter().any(|alert| alert["run"] == *run)
        });
        let raised = raised.await;
        let alert = raised.iter().find(|alert| alert["run"] == *run).unwrap();
        for what in ["retry", "ack"] {
            let path = format!("/api/v1/alerts/{}/{what}", alert["id"].as_str().unwrap());
            let asked = product.bare(Method::POST, &path).bearer_auth(&some).send();
            let answer = asked.await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{what} {}", job.name);
        }
    }
}
