//! Liveness and readiness, for those who watch the process; open to all, and they tell nothing else.

use std::future::Future;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sandclock_core::backend::Result;
use sandclock_core::fleet::WorkerHandle;
use sandclock_core::job::JobName;
use sandclock_core::run::{RunId, RunKey};
use sandclock_core::{ErrorKind, Timestamp};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Api;

/// `GET /healthz`: the process answers.
pub async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// How long a store may take to answer before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /readyz`: 200 if coordination answers and the worker in this process, if there is one, trusts its
/// session and knows the jobs and records; else 503. A run log that is away is said, but jobs go on without it.
pub async fn ready(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    let nothing = JobName::existing("");
    let no_run = RunId::of(&nothing, &RunKey::Tick(Timestamp::from_millis(0)));
    let (coordination, run_log) = tokio::join!(
        answers(api.coordination.jobs.get(&nothing)),
        answers(api.records.runs.get(&no_run)),
    );
    let status = api.worker.as_ref().map(WorkerHandle::status);
    let working = status
        .as_ref()
        .is_none_or(|status| status.ready && status.trusted);
    let ready = working && coordination;
    let code = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let said = |is_there| if is_there { "ok" } else { "away" };
    let draining = status.is_some_and(|status| status.draining);
    (
        code,
        Json(json!({
            "ready": ready,
            "draining": draining,
            "coordination": said(coordination),
            "run_log": said(run_log),
        })),
    )
}

/// Whether a store says anything but that it is away.
async fn answers<T>(call: impl Future<Output = Result<T>>) -> bool {
    match timeout(PATIENCE, call).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => !matches!(
            error.kind,
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled
        ),
        Err(_) => false,
    }
}
