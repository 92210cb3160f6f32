//! Workers: who lives, and how one is asked to drain.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use sandclock_core::backend::{SessionEvent, SessionId};

use super::Api;
use super::dto::run::{ListDto, WorkerDto};
use super::input::Id;
use super::problem::Problem;
use crate::access::Caller;

/// The workers that live.
#[utoipa::path(
    get,
    path = "/workers",
    operation_id = "worker.list",
    tag = "workers",
    responses((status = 200, description = "The workers", body = ListDto<WorkerDto>)),
)]
pub async fn list(State(api): State<Api>) -> Result<Json<ListDto<WorkerDto>>, Problem> {
    let mut live = api.coordination.sessions.live().await?;
    let mut items = std::collections::BTreeMap::new();
    while let Some(event) = live.next().await {
        match event? {
            SessionEvent::Live(id, info) => {
                let worker = WorkerDto::from_core(&id, info);
                items.insert(id, worker);
            }
            SessionEvent::Gone(id) => drop(items.remove(&id)),
            SessionEvent::DrainAsked(_) => {}
            SessionEvent::Synced => break,
        }
    }
    Ok(Json(ListDto::new(items.into_values().collect(), None)))
}

/// Asks a worker to take nothing new. The acknowledgement is that it says `draining` of itself.
#[utoipa::path(
    post,
    path = "/workers/{id}/drain",
    operation_id = "worker.drain",
    tag = "workers",
    params(("id" = String, Path, description = "The worker")),
    responses((status = 202, description = "It is asked to drain")),
)]
pub async fn drain(State(api): State<Api>, who: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    let session = SessionId(id);
    if !api.coordination.sessions.ask_to_drain(&session).await? {
        let detail = format!("no worker has the id {session}; GET /workers names those that live");
        return Err(Problem::not_found(detail));
    }
    tracing::info!(%session, by = who.name, "a worker is asked to drain");
    Ok(StatusCode::ACCEPTED)
}
