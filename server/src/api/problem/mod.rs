//! What the API says when it refuses: problem documents (RFC 9457).
//!
//! Every error of every route passes through [`Problem`], so that status codes are decided in one
//! place. A document names the field, the value and what would be accepted; an unexpected failure
//! shows an id that also stands in the log, never the text of a driver. What stores say is turned into one in [`stores`].

mod fault;
mod stores;

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sandclock_core::job::Unfit;
use serde::Serialize;
use utoipa::ToSchema;

pub use self::fault::Fault;
use crate::document::FieldError;
use crate::request::Request;

/// All that is said of what nobody has foreseen.
const IN_THE_LOG: &str = "the instance names the entry in the server's log";

/// The type of what comes too early.
const TOO_FAST: &str = "/problems/too-fast";

/// A refusal, ready to be sent.
#[derive(Debug)]
pub struct Problem(Box<Document>);

/// The members of RFC 9457, and ours about a field.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// What kind of refusal it is; stable.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong with this request, and what to do.
    detail: String,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What stands there, shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// What would be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<String>,
    /// The fields at fault, where there may be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// What was changed before it failed, of a request that changes several things.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<Vec<String>>,
    /// The part of the installation that is away: `coordination` or `run_log`. What needs only the other one goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'static str>,
    /// With `part`, of a request that changes something: `none` if it certainly changed nothing, `unknown` if it may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<&'static str>,
    /// What the server's log calls it.
    instance: String,
    /// What the server's log calls the request; `X-Request-Id` of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// After how many seconds another try makes sense; a header of the answer.
    #[serde(skip)]
    #[schema(ignore)]
    retry_after_s: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: String) -> Self {
        let instance = format!("urn:sandclock:error:{}", crate::random::token_hex(6));
        Self(Box::new(Document {
            kind,
            title,
            status: status.as_u16(),
            detail,
            field: None,
            value: None,
            accepted: None,
            errors: Vec::new(),
            done: None,
            part: None,
            effect: None,
            instance,
            request_id: Request::current().map(|request| request.id().to_owned()),
            retry_after_s: None,
        }))
    }

    /// 400: the request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        let title = "the request cannot be read";
        Self::new(
            StatusCode::BAD_REQUEST,
            "/problems/malformed",
            title,
            detail.into(),
        )
    }

    /// 401: no token, or one that is not known.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        let title = "a valid token is required";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "/problems/unauthorized",
            title,
            detail.into(),
        )
    }

    /// 403: the token's role does not allow it.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        let title = "the token does not allow this";
        Self::new(
            StatusCode::FORBIDDEN,
            "/problems/forbidden",
            title,
            detail.into(),
        )
    }

    /// 403: a browser's request, of which nothing shows that the console makes it.
    pub fn foreign(why: &str) -> Self {
        let title = "the request does not come from the console";
        let detail = format!(
            "{why}: a request that has a session's cookie and changes something says the session's csrf_token (told \
             once, by the answer to POST /api/v1/session) as its header X-CSRF-Token, and comes from a page of this server"
        );
        Self::new(StatusCode::FORBIDDEN, "/problems/foreign", title, detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "/problems/not-found",
            "not found",
            what.into(),
        )
    }

    /// 404: no route has this path.
    pub fn no_route(path: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "/problems/no-route",
            "there is no such route",
            format!("this server has no {path}"),
        )
    }

    /// 405: the route exists, but not with this method.
    pub fn method_not_allowed() -> Self {
        let detail =
            "this route has no such method; its header Allow names those that it has".to_owned();
        let title = "method not allowed";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "/problems/method-not-allowed",
            title,
            detail,
        )
    }

    /// 416: the text has no such bytes.
    pub fn no_such_range(total: usize) -> Self {
        let detail = format!("Range asks for bytes beyond the {total} that there are");
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "/problems/no-such-range",
            "no such range",
            detail,
        )
    }

    /// 408: the body did not come to its end in this time.
    pub fn too_slow(patience: Duration) -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "/problems/too-slow",
            "the body did not arrive in time",
            format!("a body must arrive within {} s", patience.as_secs()),
        )
    }

    /// 429: too much was asked; again after this.
    pub fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_secs().max(1);
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "/problems/too-many",
            "too many wrong tokens",
            format!(
                "this one is wrong, and so were others from this address; try again in {seconds} s"
            ),
        );
        problem.0.retry_after_s = Some(seconds);
        problem
    }

    /// 429: this caller asks faster than it may.
    pub fn too_fast(wait: Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            TOO_FAST,
            "too many requests",
            format!(
                "this caller asks faster than api.requests_per_s allows; try again in {seconds} s"
            ),
        );
        problem.0.retry_after_s = Some(seconds);
        problem
    }

    /// 409: the state of things does not allow it now.
    pub fn conflict(detail: impl Into<String>) -> Self {
        let title = "in conflict with the current state";
        Self::new(
            StatusCode::CONFLICT,
            "/problems/conflict",
            title,
            detail.into(),
        )
    }

    /// 409: what is stored of the job is not a definition.
    pub fn broken_job(detail: impl Into<String>) -> Self {
        let title = "the job's stored definition cannot be read";
        Self::new(
            StatusCode::CONFLICT,
            "/problems/broken-job",
            title,
            detail.into(),
        )
    }

    /// 412: the resource has another version than the request expects.
    pub fn precondition(detail: impl Into<String>) -> Self {
        let title = "the resource has changed";
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "/problems/precondition",
            title,
            detail.into(),
        )
    }

    /// 413: the body is larger than this.
    pub fn too_large(most_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "/problems/too-large",
            "the body is too large",
            format!("a body may have {most_bytes} bytes at most"),
        )
    }

    /// 415: the body is compressed.
    pub fn encoded(how: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "/problems/encoded-body",
            "the body is encoded",
            format!("Content-Encoding is {how:?}; send the body as it is, without this header"),
        )
    }

    /// 500: what nobody has foreseen. Whoever makes it writes it to the log.
    pub fn unexpected() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "/problems/unexpected",
            "unexpected failure",
            IN_THE_LOG.to_owned(),
        )
    }

    /// What it says, for answers that are no documents.
    pub fn told(&self) -> String {
        let Document {
            title,
            detail,
            instance,
            ..
        } = &*self.0;
        match self.status() {
            StatusCode::INTERNAL_SERVER_ERROR => {
                format!("{title}; the server's log says more under {instance}")
            }
            StatusCode::SERVICE_UNAVAILABLE => format!("{title}: {detail}"),
            _ => detail.clone(),
        }
    }

    /// Whether it is for the caller to wait.
    pub fn is_too_fast(&self) -> bool {
        self.0.kind == TOO_FAST
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Unfit> for FieldError {
    fn from(unfit: Unfit) -> Self {
        Self::new(unfit.field, unfit.value, unfit.accepted)
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        let title = "a field is not accepted";
        let detail = error.to_string();
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "/problems/invalid-field",
            title,
            detail,
        );
        problem.0.field = Some(error.field);
        problem.0.value = Some(error.value);
        problem.0.accepted = Some(error.accepted);
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let retry_after = self.0.retry_after_s;
        let mut response = (status, Json(self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
