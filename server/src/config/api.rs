//! `[api]`: how fast callers of the API may ask.

use serde::{Deserialize, Serialize};

use crate::document::FieldError;

/// `[api]`
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSection {
    /// How many requests a second each token may make for long, and each address without one; 0 is no limit.
    pub requests_per_s: u32,
    /// How many it may make at once after a pause.
    pub burst: u32,
}

impl Default for ApiSection {
    fn default() -> Self {
        Self {
            requests_per_s: 200,
            burst: 1_000,
        }
    }
}

impl ApiSection {
    /// Refuses limits that let nobody in.
    ///
    /// # Errors
    /// Says what would be accepted.
    pub(super) fn check(self) -> Result<(), FieldError> {
        if self.requests_per_s > 0 && self.burst == 0 {
            return Err(FieldError::new("api.burst", 0, "a number from 1"));
        }
        Ok(())
    }
}
