//! Why a schedule, a time zone or a pair of bounds was refused.
//!
//! One type for all of them: a person has to be told which part is at fault, what stood there, what
//! is wrong with it and what to write instead.

/// A refused schedule, time zone or bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: '{value}' {reason}; {remedy}")]
pub struct ScheduleError {
    /// The part at fault: a cron field (`minute`, `day-of-month`, …) or a job field (`schedule`,
    /// `time_zone`, `ends_at`).
    pub field: &'static str,
    /// What stood there: the item of a list, or the whole value.
    pub value: String,
    /// What is wrong with it, as the rest of a sentence that starts with the value.
    pub reason: String,
    /// What would be accepted.
    pub remedy: String,
}

impl ScheduleError {
    pub(super) fn new(
        field: &'static str,
        value: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            field,
            value: value.into(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}
