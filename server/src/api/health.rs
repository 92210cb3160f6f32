//! Liveness and readiness, for those who watch the process; open to all, and they tell nothing else.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Api;

/// `GET /healthz`: the process answers.
pub async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: 200 if the worker trusts its session and knows the jobs and records, else 503.
pub async fn ready(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    let status = api.worker.status();
    let ready = status.ready && status.trusted;
    let code = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        code,
        Json(json!({ "ready": ready, "draining": status.draining })),
    )
}
