//! A run as a Go master's log lists it.

use serde_json::{Value, json};

/// One entry of the log. What its document does not say is empty, or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEntry {
    /// The job's name.
    pub job: String,
    /// The command text.
    pub command: String,
    /// Empty after success, else what went wrong (see [`log`](super::log)).
    pub err: String,
    /// The beginning of the output.
    pub output: String,
    /// The tick, in Unix milliseconds.
    pub planned_ms: i64,
    /// When the tick was acted on, in Unix milliseconds.
    pub scheduled_ms: i64,
    /// When the command began, in Unix milliseconds.
    pub started_ms: i64,
    /// When it ended, in Unix milliseconds.
    pub ended_ms: i64,
}

impl LogEntry {
    /// The entry in an answer.
    pub fn to_value(&self) -> Value {
        json!({
            "jobName": self.job,
            "command": self.command,
            "err": self.err,
            "output": self.output,
            "planTime": self.planned_ms,
            "scheduleTime": self.scheduled_ms,
            "startTime": self.started_ms,
            "endTime": self.ended_ms,
        })
    }
}
