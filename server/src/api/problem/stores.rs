//! From what a store says to a refusal: which part is away, whether anything was changed, and what to do.

use axum::http::StatusCode;
use sandclock_core::error::WithSources;
use sandclock_core::{BackendError, Effect, ErrorKind};

use super::Problem;
use crate::request::Request;

/// The type of what fails because a part is away.
const UNAVAILABLE: &str = "/problems/unavailable";

/// The same in words.
const TITLE: &str = "the store does not answer now";

/// After how many seconds it makes sense to ask a part again that was away.
const AGAIN_S: u64 = 5;

/// What to do about a change that may have been made.
const REPEAT: &str = "it is not known whether this request has changed anything: read before you repeat it, or repeat it with the \
                      Idempotency-Key that it had";

impl Problem {
    /// 503: the time of a request was over, and no store has said why.
    pub fn unanswered() -> Self {
        let detail =
            "the answer took longer than a request may take; /readyz says which part is away"
                .to_owned();
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, TITLE, detail);
        problem.with_effect(Effect::Unknown)
    }

    /// Says whether the request has changed anything, if it was to.
    fn with_effect(mut self, effect: Effect) -> Self {
        let request = Request::current();
        self.0.retry_after_s = Some(AGAIN_S);
        if request.as_ref().is_some_and(|request| request.reads()) {
            return self;
        }
        let changed = request.is_some_and(|request| request.may_have_changed());
        let (effect, remedy) = match effect {
            Effect::None if !changed => ("none", "nothing was changed"),
            _ => ("unknown", REPEAT),
        };
        self.0.effect = Some(effect);
        self.0.detail = format!("{}; {remedy}", self.0.detail);
        self
    }
}

impl From<BackendError> for Problem {
    fn from(error: BackendError) -> Self {
        let (status, kind, title) = match error.kind {
            ErrorKind::Conflict => (
                StatusCode::PRECONDITION_FAILED,
                "/problems/precondition",
                "the resource has changed",
            ),
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, "/problems/not-found", "not found"),
            ErrorKind::InvalidConfig => (
                StatusCode::BAD_REQUEST,
                "/problems/malformed",
                "the request cannot be carried out",
            ),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled => {
                return away(&error);
            }
            _ => {
                let problem = Self::unexpected();
                let instance = &problem.0.instance;
                tracing::error!(instance, error = %WithSources(&error), "request failed");
                return problem;
            }
        };
        let detail = error.without_op(&error.to_string()).to_owned();
        Self::new(status, kind, title, detail)
    }
}

/// 503: a part does not answer, or not yet.
fn away(error: &BackendError) -> Problem {
    let said = error.to_string();
    let said = error.without_op(&said);
    let detail = match error.part {
        Some(part) => format!("{}: {said}", part.title),
        None => said.to_owned(),
    };
    let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, TITLE, detail);
    problem.0.part = error.part.map(|part| part.name);
    problem.with_effect(error.effect)
}
