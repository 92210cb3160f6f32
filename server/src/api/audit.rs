//! The audit trail, as it is read.

use axum::Json;
use axum::extract::State;
use sandclock_core::backend::{AuditEntry, AuditFilter, PageToken};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Api;
use super::dto::run::ListDto;
use super::input::{MAX_LIMIT_OF_LARGE, Paging, Query, instant, limit, unreadable};
use super::problem::Problem;

/// An entry of the audit trail.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditDto {
    /// Its own.
    pub id: String,
    /// When the request was admitted, RFC 3339.
    pub at: String,
    /// The name of the token that asked.
    pub who: String,
    /// The token's id, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The address that the request came from, as the server sees it; behind a proxy, as that says.
    pub from: String,
    /// The operation, by its `operationId`.
    pub action: String,
    /// What it was about: the name of a job, a plugin or a binding, or the id of a run, a worker or an alert.
    pub subject: String,
    /// `done`, `refused`, `failed` (what of it was done is not known), or `begun`: nobody has said what came of it, because
    /// it goes on or because its server ended.
    pub outcome: String,
    /// The status of the answer, once there is one.
    pub status: Option<u16>,
    /// The body of a request that does something, such as a kill.
    pub asked: Option<Value>,
    /// What `GET` showed of the subject before. Of more than 64 KiB only `cut`: how it begins, its `bytes`, its `sha256`.
    pub before: Option<Value>,
    /// The same afterwards; of a request that does something, what was answered.
    pub after: Option<Value>,
}

impl AuditDto {
    fn from_core(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at.to_string(),
            who: entry.who,
            token: entry.token,
            from: entry.from,
            action: entry.action,
            subject: entry.subject,
            outcome: entry.outcome.as_str().to_owned(),
            status: entry.status,
            asked: entry.asked,
            before: entry.before,
            after: entry.after,
        }
    }
}

/// The query of `GET /audit`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Asked by the token of this name.
    who: Option<String>,
    /// Of this operation, such as `job.put`.
    action: Option<String>,
    /// About this, such as a job's name.
    subject: Option<String>,
    /// From this instant on, RFC 3339.
    since: Option<String>,
    /// And before this one.
    until: Option<String>,
    /// How many at most, from 1 to 200; default 100.
    limit: Option<u32>,
    /// What `next` of the page before says.
    cursor: Option<String>,
}

/// Who changed what, newest first.
///
/// What was changed while the run log was away is here some seconds after it is back.
#[utoipa::path(
    get,
    path = "/audit",
    operation_id = "audit.list",
    tag = "audit",
    params(AuditQuery),
    responses((status = 200, description = "The entries", body = ListDto<AuditDto>)),
)]
pub async fn list(
    State(api): State<Api>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<ListDto<AuditDto>>, Problem> {
    let filter = AuditFilter {
        since: instant("since", query.since.as_deref())?,
        until: instant("until", query.until.as_deref())?,
        who: query.who,
        action: query.action,
        subject: query.subject,
    };
    let most = limit(query.limit, MAX_LIMIT_OF_LARGE)?;
    let paging = Paging::new(None, query.cursor);
    let token = paging.cursor().map(|cursor| PageToken(cursor.to_owned()));
    let listed = api.records.audit;
    let page = listed
        .list(&filter, token.as_ref(), most)
        .await
        .map_err(|error| unreadable(paging.cursor(), error))?;
    let items = page.items.into_iter().map(AuditDto::from_core).collect();
    Ok(Json(ListDto::new(items, page.next.map(|token| token.0))))
}
