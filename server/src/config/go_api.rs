//! `[go_api]`: the routes of a Go fleet's master, which a server over etcd and MongoDB answers beside its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::document::FieldError;

/// `[go_api]`
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct GoApiSection {
    /// They need no token: whoever reaches them can have any command run.
    pub open: bool,
    /// How long a request may take to arrive, in milliseconds.
    pub read_timeout_ms: u64,
    /// How long it may take to be answered, in milliseconds.
    pub write_timeout_ms: u64,
}

impl Default for GoApiSection {
    fn default() -> Self {
        Self {
            open: false,
            read_timeout_ms: 5_000,
            write_timeout_ms: 5_000,
        }
    }
}

impl GoApiSection {
    /// Refuses times in which nobody can ask.
    pub(super) fn check(self) -> Result<(), FieldError> {
        for (field, ms) in [
            ("go_api.read_timeout_ms", self.read_timeout_ms),
            ("go_api.write_timeout_ms", self.write_timeout_ms),
        ] {
            if ms == 0 {
                return Err(FieldError::new(field, ms, "milliseconds, from 1"));
            }
        }
        Ok(())
    }

    /// How long a request may take to arrive.
    pub fn read_timeout(&self) -> Duration {
        Duration::from_millis(self.read_timeout_ms)
    }

    /// How long it may take to be answered, its arrival included.
    pub fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }
}
