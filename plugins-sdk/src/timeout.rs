//! Before a run: how long may it take?

use crate::{History, Result, RunInfo};

pub use crate::bindings::timeout::exports::sandclock::plugin::timeout_policy::Decision;

/// Decides the limits of each run before it starts.
pub trait TimeoutPolicy {
    /// `Ok(None)` keeps what the job declares; `declared_ms` is none for a job without a limit of its own.
    ///
    /// # Errors
    /// The run goes on under its declared limit, or the operator's default, and is marked `plugin_fallback`.
    fn decide(run: RunInfo, declared_ms: Option<u32>, past: History) -> Result<Option<Decision>>;
}

impl Decision {
    /// Ends the run after `limit_ms` milliseconds.
    #[must_use]
    pub fn limit_ms(limit_ms: u32) -> Self {
        Self {
            limit_ms: Some(limit_ms),
            ..Self::keep()
        }
    }

    /// Changes nothing yet: for a decision that only warns or only sets the grace period.
    #[must_use]
    pub const fn keep() -> Self {
        Self {
            limit_ms: None,
            warn_ms: None,
            grace_ms: None,
            reason: String::new(),
        }
    }

    /// Reports the run as slow after `warn_ms` milliseconds.
    #[must_use]
    pub fn warn_ms(self, warn_ms: u32) -> Self {
        Self {
            warn_ms: Some(warn_ms),
            ..self
        }
    }

    /// Gives the process tree `grace_ms` milliseconds between SIGTERM and SIGKILL.
    #[must_use]
    pub fn grace_ms(self, grace_ms: u32) -> Self {
        Self {
            grace_ms: Some(grace_ms),
            ..self
        }
    }

    /// Says why, for a person who reads why the run was ended.
    #[must_use]
    pub fn reason(self, reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            ..self
        }
    }
}
