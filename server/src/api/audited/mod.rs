//! The layer that puts every change into the audit trail: who asks, from where, for what, and what was before and after.
//!
//! It stands behind the question who may, so that it knows who asks, and in front of every handler. Its entry is written
//! before the handler is asked; if that cannot be, nothing is changed. What it keeps of a document is what `GET` shows of
//! it, and no more.

mod entry;
mod operations;
mod sessions;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest as _, FromRequestParts as _, RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use sandclock_core::access::{Grant, Role};
use sandclock_core::backend::{AuditEntry, AuditOutcome};
use sandclock_core::job::JobName;
use sandclock_core::{BackendError, ErrorKind};
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

pub use self::entry::{begin, end, entry, kept, outcome, to_the_end};
use self::entry::{document, word};
pub use self::operations::{ACT, CHANGE_DOCUMENTS, CHANGE_NOTHING, KEEP_NAMES, LEAVE_THEIR_OWN};
use self::operations::{Kept, MAY_BE_DRY, Operation};
pub(super) use self::sessions::leave_entry;
use super::problem::Problem;
use super::{Api, NAMELESS, PREFIX, input, tokens};
use crate::access::Caller;

/// The largest answer that passes through here, in bytes: a list of all open runs of a job.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What the layer knows.
#[derive(Debug)]
pub struct Audited {
    api: Api,
    /// The operations that leave an entry.
    operations: Vec<Operation>,
    /// The routes that show documents.
    shows: Router,
}

impl Audited {
    /// The layer for these operations. `shows` has the routes that show documents.
    pub fn new(api: Api, documented: &OpenApi, shows: Router) -> Self {
        let mut operations = Vec::new();
        for (path, item) in &documented.paths.paths {
            let all = [
                ("PUT", &item.put),
                ("POST", &item.post),
                ("PATCH", &item.patch),
                ("DELETE", &item.delete),
            ];
            for (method, operation) in all {
                let id = operation.as_ref().and_then(|it| it.operation_id.clone());
                let others = [&CHANGE_NOTHING[..], &LEAVE_THEIR_OWN].concat();
                let id = id.filter(|id| !others.contains(&&**id));
                let path = path.clone();
                operations.extend(id.map(|id| Operation { id, method, path }));
            }
        }
        operations.push(Operation {
            id: "job.delete".to_owned(),
            method: "DELETE",
            path: NAMELESS.to_owned(),
        });
        Self {
            api,
            operations,
            shows,
        }
    }

    /// The operation that a request asks for, if it leaves an entry.
    fn operation(&self, request: &Request) -> Option<String> {
        let (method, path) = (request.method().as_str(), request.uri().path());
        let path = path.strip_prefix(PREFIX).unwrap_or(path);
        let mut all = self.operations.iter();
        all.find(|one| one.is(method, path))
            .map(|one| one.id.clone())
    }

    /// Does what is asked, between two words of the trail.
    async fn done(&self, action: String, request: Request, next: Next) -> Response {
        let kept = Kept::of(&action);
        let document = (kept == Kept::Document).then(|| resource(request.uri().path()));
        let (request, mut entry) = self.begun(&action, request).await;
        let (request, asked) = match kept {
            Kept::Answer | Kept::NewToken => match read(request).await {
                Ok((request, asked)) => (Ok(request), asked),
                Err(problem) => (Err(problem), None),
            },
            _ => (Ok(request), None),
        };
        let is_dry = |asked: &Value| asked["dry_run"] == true;
        if MAY_BE_DRY.contains(&&*action) && asked.as_ref().is_some_and(is_dry) {
            return match request {
                Ok(request) => next.run(request).await,
                Err(problem) => problem.into_response(),
            };
        }
        entry.asked = asked;
        entry.before = match (&document, kept) {
            (Some(document), _) => self.shown(document).await,
            (None, Kept::OldToken) => self.token(&entry.subject).await,
            _ => None,
        };
        if let Err(problem) = begin(&self.api, &entry).await {
            return problem.into_response();
        }
        let response = match request {
            Ok(request) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
        let status = response.status();
        entry.outcome = outcome(status);
        entry.status = Some(status.as_u16());
        let (response, answered) = match kept {
            Kept::Answer | Kept::NewToken if entry.outcome == AuditOutcome::Done => {
                answer(response).await
            }
            _ => (response, None),
        };
        let answered = match kept {
            Kept::NewToken => answered.map(|made| without_token(made, &mut entry)),
            _ => answered,
        };
        entry.after = match &document {
            Some(document) => self.shown(document).await,
            None => answered,
        };
        end(&self.api, &entry).await;
        response
    }

    /// The entry of a request that has only begun.
    async fn begun(&self, action: &str, request: Request) -> (Request, AuditEntry) {
        let (mut parts, body) = request.into_parts();
        let parameters = RawPathParams::from_request_parts(&mut parts, &()).await;
        let subject = match &parameters {
            Ok(all) => all.iter().next().map_or("", |(_, value)| value),
            // It is refused as no UTF-8.
            Err(_) => parts.uri.path(),
        };
        let entry = entry(&self.api, &parts, action, subject);
        (Request::from_parts(parts, body), entry)
    }

    /// What is kept of a token.
    async fn token(&self, id: &str) -> Option<Value> {
        let token = tokens::shown(&self.api, id).await?;
        serde_json::to_value(token).ok()
    }

    /// Whether a request is about a job that its caller is not for: its handler refuses it, and reads nothing.
    async fn is_beyond(&self, request: Request) -> (Request, bool) {
        let limited = |who: &&Caller| who.grant.is_limited();
        let who = request
            .extensions()
            .get::<Caller>()
            .filter(limited)
            .cloned();
        let Some(who) = who else {
            return (request, false);
        };
        let (mut parts, body) = request.into_parts();
        let parameters = RawPathParams::from_request_parts(&mut parts, &()).await;
        let first = parameters.iter().flatten().next();
        let name = first.filter(|(key, _)| *key == "name");
        let beyond = name.is_some_and(|(_, name)| !who.grant.covers(&JobName::existing(name)));
        (Request::from_parts(parts, body), beyond)
    }

    /// What `GET` shows there to whoever may see everything; `None` if nothing is there.
    async fn shown(&self, document: &str) -> Option<Value> {
        let trail = Caller {
            id: None,
            session: None,
            name: "audit".to_owned(),
            grant: Grant::unlimited(Role::Viewer),
        };
        let request = Request::get(document).extension(trail);
        let request = request.body(Body::empty()).ok()?;
        let shows = TowerToHyperService::new(self.shows.clone());
        let Ok(response) = shows.call(request).await;
        let status = response.status();
        if status == StatusCode::NOT_FOUND {
            return None;
        }
        let said = answer(response).await.1;
        match status.is_success() {
            true => said,
            // No document, and not to be taken for one.
            false => Some(json!({ "unknown": said })),
        }
    }
}

/// Lets a request pass, and records it if it is to change something.
pub async fn record(State(audited): State<Arc<Audited>>, request: Request, next: Next) -> Response {
    let Some(action) = audited.operation(&request) else {
        return next.run(request).await;
    };
    let (request, beyond) = audited.is_beyond(request).await;
    if beyond {
        return next.run(request).await;
    }
    let api = Api::clone(&audited.api);
    let done = async move { Ok(audited.done(action, request, next).await) };
    let answered = to_the_end(&api, done).await;
    answered.unwrap_or_else(Problem::into_response)
}

/// What is kept of a new token, which the entry is about from now on.
fn without_token(mut made: Value, entry: &mut AuditEntry) -> Value {
    if let Some(members) = made.as_object_mut() {
        members.remove("token");
        if let Some(id) = members.get("id").and_then(Value::as_str) {
            entry.subject = word(id);
        }
    }
    made
}

/// What a path is about: its first two segments, as they came.
fn resource(path: &str) -> String {
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    let end = path
        .match_indices('/')
        .nth(2)
        .map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or(path).to_owned()
}

/// A request with its body, and what that says; a body that cannot be read is refused as a handler refuses it.
async fn read(request: Request) -> Result<(Request, Option<Value>), Problem> {
    let (parts, body) = request.into_parts();
    let input::Body(body) = input::Body::from_request(Request::new(body), &()).await?;
    let asked = document(&body);
    Ok((Request::from_parts(parts, Body::from(body)), asked))
}

/// An answer, and what it says.
async fn answer(response: Response) -> (Response, Option<Value>) {
    let (parts, body) = response.into_parts();
    match to_bytes(body, MAX_ANSWER_BYTES).await {
        Ok(body) => {
            let said = document(&body);
            (Response::from_parts(parts, Body::from(body)), said)
        }
        Err(error) => {
            let error = BackendError::new("audit", ErrorKind::Unexpected).source(error);
            (Problem::from(error).into_response(), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_about_its_first_two_segments() {
        for (path, about) in [
            ("/api/v1/jobs/a%2Fb/enable", "/jobs/a%2Fb"),
            ("/jobs/a", "/jobs/a"),
            ("/jobs/", "/jobs/"),
            ("/plugins/p/shadow", "/plugins/p"),
        ] {
            assert_eq!(resource(path), about, "{path}");
        }
    }
}
