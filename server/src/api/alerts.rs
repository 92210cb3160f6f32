//! The alert outbox: what was raised, where it went, and a person's word on it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sandclock_core::backend::{AlertId, AlertState, PageToken};
use serde::Deserialize;

use super::Api;
use super::dto::run::{AlertDto, ListDto};
use super::input::{Alert, Paging, Query, no_alert, unreadable};
use super::problem::Problem;
use crate::access::Caller;
use crate::document::FieldError;

/// The query of `GET /alerts`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AlertsQuery {
    /// In this state.
    state: Option<String>,
    /// How many at most, from 1 to 1000; default 100.
    limit: Option<u32>,
    /// What `next` of the page before says.
    cursor: Option<String>,
}

/// The alerts, newest first.
///
/// A page has fewer where some are of jobs that the token is not for.
#[utoipa::path(
    get,
    path = "/alerts",
    operation_id = "alert.list",
    tag = "alerts",
    params(AlertsQuery),
    responses((status = 200, description = "The alerts", body = ListDto<AlertDto>)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
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
    let items = page.items.into_iter();
    let theirs = items.filter(|alert| caller.grant.covers(&alert.job));
    let items = theirs.map(AlertDto::from_core).collect();
    let next = page.next.map(|token| token.0);
    Ok(Json(ListDto::new(items, next)))
}

/// Sends an alert (again) now.
#[utoipa::path(
    post,
    path = "/alerts/{id}/retry",
    operation_id = "alert.retry",
    tag = "alerts",
    params(Alert),
    responses((status = 204, description = "It is about to be sent")),
)]
pub async fn retry(State(api): State<Api>, Alert(id): Alert) -> Result<StatusCode, Problem> {
    set(&api, id, AlertState::Pending).await
}

/// Says that a person has seen an alert.
#[utoipa::path(
    post,
    path = "/alerts/{id}/ack",
    operation_id = "alert.ack",
    tag = "alerts",
    params(Alert),
    responses((status = 204, description = "It is acknowledged")),
)]
pub async fn acknowledge(State(api): State<Api>, Alert(id): Alert) -> Result<StatusCode, Problem> {
    set(&api, id, AlertState::Acknowledged).await
}

async fn set(api: &Api, id: AlertId, state: AlertState) -> Result<StatusCode, Problem> {
    api.records
        .outbox
        .set(&id, state)
        .await
        .map_err(|error| match error.kind {
            sandclock_core::ErrorKind::NotFound => no_alert(&id),
            sandclock_core::ErrorKind::Conflict => Problem::conflict(format!(
                "alert {id} is part of another, or another goes in its place: retry or acknowledge the one that its \
                 part_of names"
            )),
            _ => Problem::from(error),
        })?;
    Ok(StatusCode::NO_CONTENT)
}
