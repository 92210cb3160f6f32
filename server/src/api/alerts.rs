//! The alert outbox: what was raised, where it went, and a person's word on it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sandclock_core::backend::{AlertId, AlertState, PageToken};
use serde::Deserialize;

use super::Api;
use super::dto::run::{AlertDto, ListDto};
use super::input::{Id, Paging, Query, unreadable};
use super::problem::Problem;
use crate::document::FieldError;

/// The query of `GET /alerts`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertsQuery {
    state: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /alerts`, newest first.
pub async fn list(
    State(api): State<Api>,
    Query(query): Query<AlertsQuery>,
) -> Result<Json<ListDto<AlertDto>>, Problem> {
    let state = match query.state.as_deref() {
        None => None,
        Some(text) => Some(AlertState::parse(text).ok_or_else(|| {
            let known = "pending, delivered, failed, acknowledged, grouped or moved";
            FieldError::new("state", text, known)
        })?),
    };
    let paging = Paging::new(query.limit, query.cursor);
    let token = paging.cursor().map(|cursor| PageToken(cursor.to_owned()));
    let page = api
        .records
        .outbox
        .list(state, token.as_ref(), paging.limit()?)
        .await
        .map_err(|error| unreadable(paging.cursor(), error))?;
    let items = page.items.into_iter().map(AlertDto::from_core).collect();
    let next = page.next.map(|token| token.0);
    Ok(Json(ListDto::new(items, next)))
}

/// `POST /alerts/{id}/retry`: sends it (again) now.
pub async fn retry(State(api): State<Api>, Id(id): Id) -> Result<StatusCode, Problem> {
    set(&api, id, AlertState::Pending).await
}

/// `POST /alerts/{id}/ack`: a person has seen it.
pub async fn acknowledge(State(api): State<Api>, Id(id): Id) -> Result<StatusCode, Problem> {
    set(&api, id, AlertState::Acknowledged).await
}

async fn set(api: &Api, id: String, state: AlertState) -> Result<StatusCode, Problem> {
    api.records
        .outbox
        .set(&AlertId(id.clone()), state)
        .await
        .map_err(|error| match error.kind {
            sandclock_core::ErrorKind::NotFound => {
                Problem::not_found(format!("there is no alert {id}"))
            }
            sandclock_core::ErrorKind::Conflict => Problem::conflict(format!(
                "alert {id} is part of another, or another goes in its place: retry or acknowledge the one that its \
                 part_of names"
            )),
            _ => Problem::from(error),
        })?;
    Ok(StatusCode::NO_CONTENT)
}
