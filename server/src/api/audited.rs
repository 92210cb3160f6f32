//! The layer that puts every change into the audit trail: who asks, from where, for what, and what was before and after.
//!
//! It stands behind the question who may, so that it knows who asks, and in front of every handler. Its entry is written
//! before the handler is asked; if that cannot be, nothing is changed. What it keeps of a document is what `GET` shows of
//! it, and no more.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest as _, FromRequestParts as _, RawPathParams, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use sandclock_core::access::{Grant, Role};
use sandclock_core::backend::audit::{MAX_AUDIT_WORD_BYTES, MAX_AUDITED_BYTES};
use sandclock_core::backend::{AuditEntry, AuditOutcome};
use sandclock_core::error::WithSources;
use sandclock_core::run::hex;
use sandclock_core::{BackendError, ErrorKind};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use utoipa::openapi::OpenApi;

use super::problem::Problem;
use super::{Api, NAMELESS, PREFIX, input};
use crate::access::Caller;
use crate::front::Peer;

/// Operations that are no `GET` and change nothing: they leave no entry.
pub const CHANGE_NOTHING: [&str; 4] = [
    "job.validate",
    "binding.validate",
    "plugin.validate",
    "plugin.replay",
];

/// Operations on something that has a document, which is kept as it was before and after.
pub const CHANGE_DOCUMENTS: [&str; 13] = [
    "job.put",
    "job.patch",
    "job.delete",
    "job.enable",
    "job.disable",
    "binding.put",
    "binding.delete",
    "plugin.push",
    "plugin.remove",
    "plugin.rollback",
    "plugin.mode",
    "plugin.shadow",
    "plugin.unshadow",
];

/// Operations that do something: what was asked and what was answered is kept. There must be no secret in either.
pub const ACT: [&str; 6] = [
    "job.run",
    "job.kill",
    "run.kill",
    "worker.drain",
    "alert.retry",
    "alert.ack",
];

/// Operations of whose answer nothing is kept, because it is a secret: only what was asked.
pub const ANSWER_SECRETS: [&str; 1] = ["token.create"];

/// Operations that say everything by what they are about.
pub const SAY_ALL: [&str; 1] = ["token.revoke"];

/// The largest answer that passes through here, in bytes: a list of all open runs of a job.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// How much of too large a document is kept, in bytes of its JSON. As text it takes twice as much at most.
const BEGINNING_BYTES: usize = 24 << 10;

/// What is kept of an operation beside who asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// What it changes, before and after.
    Document,
    /// What was asked and answered.
    Answer,
    /// What was asked.
    Asked,
    /// Nothing. An operation that is in no list may be about secrets.
    Nothing,
}

impl Kept {
    fn of(operation: &str) -> Self {
        if CHANGE_DOCUMENTS.contains(&operation) {
            Self::Document
        } else if ACT.contains(&operation) {
            Self::Answer
        } else if ANSWER_SECRETS.contains(&operation) {
            Self::Asked
        } else {
            Self::Nothing
        }
    }
}

/// An operation that leaves an entry.
#[derive(Debug)]
struct Operation {
    id: String,
    method: &'static str,
    /// As the document has it.
    path: String,
}

impl Operation {
    /// Whether a request with this method and path asks for it.
    fn is(&self, method: &str, path: &str) -> bool {
        let (mut own, mut theirs) = (self.path.split('/'), path.split('/'));
        let is_parameter = |own: &str| own.starts_with('{');
        self.method == method
            && loop {
                match (own.next(), theirs.next()) {
                    (None, None) => break true,
                    (Some(own), Some(their)) if own == their => {}
                    (Some(own), Some(their)) if is_parameter(own) && !their.is_empty() => {}
                    _ => break false,
                }
            }
    }
}

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
                let id = id.filter(|id| !CHANGE_NOTHING.contains(&&**id));
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
        let (request, mut entry) = self.begun(action, request).await;
        let (request, asked) = match kept {
            Kept::Answer | Kept::Asked => match read(request).await {
                Ok((request, asked)) => (Ok(request), asked),
                Err(problem) => (Err(problem), None),
            },
            _ => (Ok(request), None),
        };
        entry.asked = asked;
        if let Some(document) = &document {
            entry.before = self.shown(document).await;
        }
        if let Err(error) = self.api.trail.write(&entry).await {
            return unwritten(&error).into_response();
        }
        let response = match request {
            Ok(request) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
        let status = response.status();
        entry.outcome = outcome(status);
        entry.status = Some(status.as_u16());
        let (response, answered) = match kept {
            Kept::Answer if entry.outcome == AuditOutcome::Done => answer(response).await,
            _ => (response, None),
        };
        entry.after = match &document {
            Some(document) => self.shown(document).await,
            None => answered,
        };
        if let Err(error) = self.api.trail.write(&entry).await {
            let error = WithSources(&error);
            let (action, subject) = (entry.action, entry.subject);
            tracing::error!(%error, action, subject, "the audit trail does not learn what came of a change");
        }
        response
    }

    /// The entry of a request that has only begun.
    async fn begun(&self, action: String, request: Request) -> (Request, AuditEntry) {
        let (mut parts, body) = request.into_parts();
        let parameters = RawPathParams::from_request_parts(&mut parts, &()).await;
        let subject = match &parameters {
            Ok(all) => all.iter().next().map_or("", |(_, value)| value),
            // It is refused as no UTF-8.
            Err(_) => parts.uri.path(),
        };
        let at = self.api.clock.now();
        let who = parts.extensions.get::<Caller>();
        let peer = parts.extensions.get::<Peer>();
        let proxied = self.api.behind_proxy.then(|| forwarded(&parts.headers));
        let from = proxied.flatten().map(str::to_owned);
        let from = from.or_else(|| peer.map(|Peer(address)| address.to_string()));
        let entry = AuditEntry {
            id: format!("{:012x}-{}", at.as_millis(), crate::random::token_hex(8)),
            at,
            who: word(who.map_or("", |who| &who.name)),
            token: who.and_then(|who| who.id.clone()),
            from: word(&from.unwrap_or_default()),
            action,
            subject: word(subject),
            outcome: AuditOutcome::Begun,
            status: None,
            asked: None,
            before: None,
            after: None,
        };
        (Request::from_parts(parts, body), entry)
    }

    /// What `GET` shows there to whoever may see everything; `None` if nothing is there.
    async fn shown(&self, document: &str) -> Option<Value> {
        let trail = Caller {
            id: None,
            name: "audit".to_owned(),
            grant: Grant::unlimited(Role::Viewer),
        };
        let request = Request::get(document).extension(trail);
        let request = request.body(Body::empty()).ok()?;
        let shows = TowerToHyperService::new(self.shows.clone());
        let Ok(response) = shows.call(request).await;
        if response.status() == StatusCode::NOT_FOUND {
            return None;
        }
        answer(response).await.1
    }
}

/// Lets a request pass, and records it if it is to change something.
pub async fn record(State(audited): State<Arc<Audited>>, request: Request, next: Next) -> Response {
    let Some(action) = audited.operation(&request) else {
        return next.run(request).await;
    };
    let (answer, answered) = oneshot::channel();
    let trail = Arc::clone(&audited.api.trail);
    trail.go_on(async move {
        // Nobody listens if the client has gone.
        let _ = answer.send(audited.done(action, request, next).await);
    });
    answered.await.unwrap_or_else(|_| {
        let error = BackendError::new("audit", ErrorKind::Unexpected);
        Problem::from(error.context("a request ended without an answer")).into_response()
    })
}

/// The address that the proxy in front says the request came from: the last one, which is its own word.
fn forwarded(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all("x-forwarded-for").iter().next_back()?;
    let last = all.to_str().ok()?.rsplit(',').next()?.trim();
    Some(last).filter(|last| !last.is_empty())
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

/// As much of a word as an entry has room for.
fn word(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_AUDIT_WORD_BYTES);
    text.get(..end).unwrap_or_default().to_owned()
}

fn outcome(status: StatusCode) -> AuditOutcome {
    if status.is_server_error() {
        AuditOutcome::Failed
    } else if status.is_client_error() {
        AuditOutcome::Refused
    } else {
        AuditOutcome::Done
    }
}

/// The refusal of a change that would leave no trace.
fn unwritten(error: &BackendError) -> Problem {
    let away = BackendError::new("audit", ErrorKind::Unavailable);
    let why = format!(
        "nothing was changed, because the audit trail cannot be written: {}",
        error.without_op(&WithSources(error).to_string())
    );
    away.context(why).into()
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

/// The document in these bytes, if they are one; of too large a one how it begins, how large it is, and its digest.
fn document(bytes: &[u8]) -> Option<Value> {
    let whole: Value = serde_json::from_slice(bytes).ok()?;
    let text = whole.to_string();
    if text.len() <= MAX_AUDITED_BYTES {
        return Some(whole);
    }
    let beginning = text.get(..text.floor_char_boundary(BEGINNING_BYTES))?;
    Some(json!({
        "cut": {
            "bytes": text.len(),
            "sha256": hex(&Sha256::digest(text.as_bytes()), 32),
            "begins": beginning,
        },
    }))
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

    #[test]
    fn a_large_document_is_cut_so_that_it_can_be_kept() {
        let whole = |bytes: usize| json!({ "text": "\"\u{1}ä".repeat(bytes / 10) });
        let small = whole(MAX_AUDITED_BYTES - 100);
        assert_eq!(document(small.to_string().as_bytes()), Some(small));
        let large = whole(4 * MAX_AUDITED_BYTES);
        let text = large.to_string();
        let cut = document(text.as_bytes()).unwrap();
        assert!(cut.to_string().len() <= MAX_AUDITED_BYTES);
        assert_eq!(cut["cut"]["bytes"], text.len());
        let begins = cut["cut"]["begins"].as_str().unwrap();
        assert!(begins.len() > BEGINNING_BYTES - 4 && text.starts_with(begins));
        assert_eq!(document(b"no document"), None);
    }

    #[test]
    fn the_last_proxy_says_where_a_request_came_from() {
        let headers = |lines: &[&str]| {
            let line = |line: &&str| {
                let name = axum::http::HeaderName::from_static("x-forwarded-for");
                (name, line.parse().unwrap())
            };
            HeaderMap::from_iter(lines.iter().map(line))
        };
        assert_eq!(forwarded(&headers(&[])), None);
        assert_eq!(forwarded(&headers(&[""])), None);
        let said = headers(&["10.0.0.1", "198.51.100.1, 192.0.2.7"]);
        assert_eq!(forwarded(&said), Some("192.0.2.7"));
    }
}
