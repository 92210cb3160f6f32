//! After a run: whom to tell?
//!
//! A plugin returns messages as data. The host keeps them, adds the credentials of the named target, sends them and
//! retries, so that a plugin neither waits for a network nor ever sees a token.

use crate::{Result, RunInfo};

pub use crate::bindings::alert::exports::sandclock::plugin::run_end::{Delivery, End};

/// Asked after every end of every run, success too.
pub trait RunEnd {
    /// The messages to send: usually none.
    ///
    /// # Errors
    /// After retries on fresh instances the host sends its own plain alert, which names this error as well.
    fn on_end(run: RunInfo, end: End) -> Result<Vec<Delivery>>;
}

/// The states of a run that ended badly without a person's wish. `killed` and `skipped` are decisions, not failures.
pub const FAILURES: [&str; 4] = ["failed", "timed_out", "lost", "missed"];

/// What an end means for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The job goes on as before: a success after a success, or an end that says nothing about its health.
    Unchanged,
    /// The job fails now and did not before.
    FirstFailure,
    /// The job fails still; the number counts its failures in a row, this one included.
    Failure(u32),
    /// The job succeeds after this many failures in a row.
    Recovery(u32),
}

impl Transition {
    /// Reads `end`, with the states in `failures` (usually [`FAILURES`]) as failures.
    #[must_use]
    pub fn of(end: &End, failures: &[impl AsRef<str>]) -> Self {
        let failed = |state: &str| failures.iter().any(|failure| failure.as_ref() == state);
        let failed_before = end.previous_state.as_deref().is_some_and(failed);
        match (failed(&end.state), failed_before) {
            (true, false) => Self::FirstFailure,
            (true, true) => Self::Failure(end.failures_in_a_row),
            (false, true) if end.state == "succeeded" => Self::Recovery(end.failures_in_a_row),
            (false, _) => Self::Unchanged,
        }
    }
}

impl Delivery {
    /// A JSON message for `target`.
    #[must_use]
    pub fn json(target: impl Into<String>, body: &serde_json::Value) -> Self {
        Self::new(target, "application/json", body.to_string())
    }

    /// A plain text for `target`.
    #[must_use]
    pub fn text(target: impl Into<String>, body: impl Into<String>) -> Self {
        Self::new(target, "text/plain; charset=utf-8", body.into())
    }

    /// A message of any content type.
    #[must_use]
    pub fn new(target: impl Into<String>, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            target: target.into(),
            dedupe_key: None,
            content_type: content_type.to_owned(),
            body: body.into(),
            headers: Vec::new(),
        }
    }

    /// Deliveries with one key are one as long as it is undelivered.
    #[must_use]
    pub fn dedupe_key(self, key: impl Into<String>) -> Self {
        Self {
            dedupe_key: Some(key.into()),
            ..self
        }
    }

    /// Adds a header. Credentials do not belong here: the target has them.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}
