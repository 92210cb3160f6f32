//! Answers as a Go master's clients read them.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sandclock_core::BackendError;
use sandclock_core::go::envelope;
use sandclock_core::go::form::InvalidEscape;
use serde_json::Value;

use super::super::problem::Problem;
use crate::document::FieldError;

/// What a handler answers.
pub(super) type Answer = Result<Done, Refusal>;

/// It was done; this is the route's `data`.
#[derive(Debug)]
pub(super) struct Done(pub(super) Value);

/// It was not done, and this is why.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) String);

impl Refusal {
    /// With another status than a Go master's, which is 200: for those who are no clients of one.
    pub(super) fn with_status(self, status: StatusCode) -> Response {
        let mut response = self.into_response();
        *response.status_mut() = status;
        response
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem.told())
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        Self(error.to_string())
    }
}

impl From<InvalidEscape> for Refusal {
    fn from(error: InvalidEscape) -> Self {
        Self(error.to_string())
    }
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        Problem::from(error).into()
    }
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        sent(envelope::success(self.0))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        sent(envelope::failure(&self.0))
    }
}

/// The type that a Go master's answers have, which no browser is to take for another: outputs are any text.
fn sent(body: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}
