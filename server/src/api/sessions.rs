//! A person's session: begun with a token, shown, ended. How one begins at the provider stands in [`super::sign_in`].

use std::net::IpAddr;

use axum::Json;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sandclock_core::access::{Grant, SignIn};
use serde::{Deserialize, Serialize};

use super::Api;
use super::audited::leave_entry;
use super::auth::{origin, refused, says_csrf};
use super::foreign::is_foreign;
use super::input::Body;
use super::pace::Asker;
use super::problem::Problem;
use super::sign_in::{self, no_store};
use super::tokens::RoleDto;
use crate::access::{Caller, Denied, Person};
use crate::document;

/// A session to be begun.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = NewSession)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// The token that it is for. The session ends with it.
    #[schema(required)]
    token: Option<String>,
}

/// Who asks, and for how long they are known.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = Session)]
pub struct SessionDto {
    /// What records call them.
    name: String,
    /// What they may do.
    role: RoleDto,
    /// What the names of their jobs begin with; none is all.
    prefixes: Vec<String>,
    /// When the session ends; a request with a token has none.
    expires_at: Option<String>,
    /// In how many seconds it ends if it is not used.
    idle_s: Option<u64>,
    /// What a request that changes something and has the session's cookie says as its header `X-CSRF-Token`. It is told
    /// once, when the session begins: keep it.
    csrf_token: Option<String>,
    /// Whether this request has said that as the header, so that it might have changed something. One with a token need
    /// not.
    has_csrf_token: bool,
}

impl SessionDto {
    fn new(name: String, grant: Grant) -> Self {
        Self {
            name,
            role: grant.role.into(),
            prefixes: grant.prefixes,
            expires_at: None,
            idle_s: None,
            csrf_token: None,
            has_csrf_token: false,
        }
    }

    fn of(kept: &SignIn, name: String, grant: Grant) -> Self {
        Self {
            expires_at: Some(kept.expires_at.to_string()),
            idle_s: Some(kept.idle.as_secs()),
            ..Self::new(name, grant)
        }
    }
}

/// Begins a session with a token, for browsers: the answer sets a cookie.
///
/// Requests with the cookie may do what the token allows, for 12 hours at most and an hour unused unless the server is
/// told otherwise. Those that change something also say the answer's `csrf_token` as the header `X-CSRF-Token`; nothing
/// else tells it. This operation needs no other token than the one in its body.
#[utoipa::path(
    post,
    path = "/session",
    operation_id = "session.create",
    tag = "session",
    security(()),
    request_body = NewSession,
    responses((status = 201, description = "It has begun", body = SessionDto)),
)]
pub async fn create(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if is_foreign(&parts.headers) {
        return Err(Problem::foreign("it comes from the page of another site"));
    }
    let Body(body) = Body::from_request(Request::from_parts(parts.clone(), body), &()).await?;
    let asked = match body.is_empty() {
        true => NewSession { token: None },
        false => document::read(&document::parse_json(&body)?)?,
    };
    let from = origin(&api, &parts);
    // Whoever it is: each that succeeds is written down.
    let pace = api.pace.count(&Asker::at(from));
    pace.map_err(Problem::too_fast)?;
    let token = asked.token.ok_or_else(|| {
        Problem::unauthorized("say the token in the body: {\"token\": \"sandclock_…\"}")
    })?;
    let who = admit(&api, token.trim(), from).await?;
    let begun = sign_in::begin(&api, &parts, who).await?;
    let kept = &begun.kept;
    let shown = SessionDto {
        csrf_token: Some(begun.csrf.clone()),
        ..SessionDto::of(kept, kept.name.clone(), kept.grant.clone())
    };
    let cookie = api.cookies.of_session(&begun);
    let headers = [(header::SET_COOKIE, cookie), no_store()];
    Ok((StatusCode::CREATED, headers, Json(shown)).into_response())
}

/// Whose token it is. Who guesses, whatever id they guess, is told to wait.
async fn admit(api: &Api, token: &str, from: IpAddr) -> Result<Person, Problem> {
    let caller = match api.gate.admit(token, from).await {
        Err(Denied::Unknown) => {
            let wait = api.gate.failed_to_sign_in(from);
            return Err(refused(wait.map_or(Denied::Unknown, Denied::Throttled)));
        }
        admitted => admitted.map_err(refused)?,
    };
    let id = caller.id.as_deref().unwrap_or_default();
    Ok(Person {
        subject: format!("token:{id}"),
        name: caller.name,
        grant: caller.grant,
        token: caller.id,
    })
}

/// Who asks: the session's person, or whose token it is.
#[utoipa::path(
    get,
    path = "/session",
    operation_id = "session.get",
    tag = "session",
    responses((status = 200, description = "Who it is", body = SessionDto)),
)]
pub async fn get(State(api): State<Api>, who: Caller, headers: HeaderMap) -> Response {
    let kept = who.session.as_ref().and_then(|id| api.gate.session(id));
    let shown = match kept {
        Some(kept) => SessionDto {
            has_csrf_token: says_csrf(&headers, &kept),
            ..SessionDto::of(&kept, who.name, who.grant)
        },
        None => SessionDto::new(who.name, who.grant),
    };
    ([no_store()], Json(shown)).into_response()
}

/// Ends the session that the request has, on every server.
#[utoipa::path(
    delete,
    path = "/session",
    operation_id = "session.end",
    tag = "session",
    responses((status = 204, description = "It has ended")),
)]
pub async fn end(
    State(api): State<Api>,
    who: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let kept = who.session.as_ref().and_then(|id| api.gate.session(id));
    let kept = kept.ok_or_else(|| {
        Problem::not_found("this request has no session: it carries a token, which can be revoked")
    })?;
    let id = kept.id.clone();
    let person = Person {
        subject: kept.subject,
        name: who.name,
        grant: who.grant,
        token: who.id,
    };
    leave_entry(&api, "session.end", &person, origin(&api, &parts)).await?;
    api.gate.end(&id).await?;
    let cookie = [(header::SET_COOKIE, api.cookies.no_session())];
    Ok((StatusCode::NO_CONTENT, cookie).into_response())
}
