//! `[sessions]`: how long people stay signed in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::access::Lifetimes;
use crate::document::FieldError;

/// The longest session, in seconds: thirty days.
const MAX_S: u64 = 30 * 86_400;

/// `[sessions]`
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionSection {
    /// How long a session lasts, in seconds.
    pub lifetime_s: u64,
    /// How long it lasts unused, in seconds.
    pub idle_s: u64,
}

impl Default for SessionSection {
    fn default() -> Self {
        Self {
            lifetime_s: 12 * 3_600,
            idle_s: 3_600,
        }
    }
}

impl SessionSection {
    /// How long sessions last.
    pub fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            whole: Duration::from_secs(self.lifetime_s),
            idle: Duration::from_secs(self.idle_s),
        }
    }

    /// Whether they last at all, and end.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        for (field, given) in [
            ("sessions.lifetime_s", self.lifetime_s),
            ("sessions.idle_s", self.idle_s),
        ] {
            if !(1..=MAX_S).contains(&given) {
                let accepted = format!("seconds from 1 to {MAX_S}");
                return Err(FieldError::new(field, given, accepted));
            }
        }
        Ok(())
    }
}
