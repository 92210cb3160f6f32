//! The one error of all backend contracts.
//!
//! It carries what a caller must decide on: the kind, and whether the request may have taken
//! effect. What a driver said is the source; it is never interpreted outside its backend.

use std::fmt;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A precondition did not hold.
    Conflict,
    /// The record is not there.
    NotFound,
    /// The session is gone, for ever: open a new one.
    SessionLost,
    /// A write came with a fence below the stored one (S3).
    Fenced,
    /// The watch's history is gone: take a new snapshot.
    CursorExpired,
    /// The store cannot be reached now.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// The store asks for a slower pace.
    Throttled,
    /// The credentials do not allow it.
    Denied,
    /// The configuration or an argument can never work.
    InvalidConfig,
    /// Stored bytes are not what they must be.
    Corrupt,
    /// None of the others; a bug or an unknown answer.
    Unexpected,
}

/// Whether the failed request may have changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It certainly changed nothing.
    None,
    /// It may have, or may still: repeat the same request with the same nonce, or read again (S6).
    Unknown,
}

/// A part of an installation, which may be away while the others are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// What programs call it, such as `run_log`.
    pub name: &'static str,
    /// What people call it, with what it is on, such as `the run log (MongoDB)`.
    pub title: &'static str,
}

/// A failed call of a backend contract.
#[derive(Debug, thiserror::Error)]
#[error("{op}: {}{context}", KindText(*kind))]
pub struct BackendError {
    /// What kind of failure it was.
    pub kind: ErrorKind,
    /// Whether it may have taken effect.
    pub effect: Effect,
    /// The contract method, such as `fires.decide`.
    pub op: &'static str,
    /// What the caller should know besides, ready to be appended to a sentence (`": …"`), or empty.
    pub context: String,
    /// The part of the installation that failed, if whoever put the parts together has said it.
    pub part: Option<&'static Part>,
    /// What the driver said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
}

impl BackendError {
    /// A failure that certainly changed nothing.
    pub fn new(op: &'static str, kind: ErrorKind) -> Self {
        Self {
            kind,
            effect: Effect::None,
            op,
            context: String::new(),
            part: None,
            source: None,
        }
    }

    /// The same, with an effect that is not known.
    #[must_use]
    pub fn effect_unknown(mut self) -> Self {
        self.effect = Effect::Unknown;
        self
    }

    /// Adds what the caller should know besides.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.context = format!(": {context}");
        self
    }

    /// Adds which part of the installation failed.
    #[must_use]
    pub fn of_part(mut self, part: &'static Part) -> Self {
        self.part.get_or_insert(part);
        self
    }

    /// Adds what the driver said.
    #[must_use]
    pub fn source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What was said of it without the operation, whose name is ours and not that of who asked.
    pub fn without_op<'a>(&self, said: &'a str) -> &'a str {
        let own = said.strip_prefix(self.op);
        own.and_then(|said| said.strip_prefix(": ")).unwrap_or(said)
    }

    /// Whether a later try may work without anything being changed by people.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled
        )
    }
}

/// An error with what caused it, in one line: for logs, and for operators.
#[derive(Debug)]
pub struct WithSources<'a>(pub &'a dyn std::error::Error);

impl fmt::Display for WithSources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

struct KindText(ErrorKind);

impl fmt::Display for KindText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            ErrorKind::Conflict => "a precondition does not hold",
            ErrorKind::NotFound => "not found",
            ErrorKind::SessionLost => "the session is gone",
            ErrorKind::Fenced => "a later holder has written",
            ErrorKind::CursorExpired => "the history of the watch is gone",
            ErrorKind::Unavailable => "the store cannot be reached",
            ErrorKind::Timeout => "no answer in time",
            ErrorKind::Throttled => "the store is overloaded",
            ErrorKind::Denied => "access denied",
            ErrorKind::InvalidConfig => "invalid configuration",
            ErrorKind::Corrupt => "stored data is corrupt",
            ErrorKind::Unexpected => "unexpected failure",
        })
    }
}
