//! The wire types of the API and their conversions.
//!
//! Nothing from core is serialised directly (A3): a wire type may stay as it is while core changes, and
//! the other way round. Unknown members are refused by every type that is read.

pub mod binding;
pub mod decision;
pub mod job;
pub mod plugin;
pub mod policy;
pub mod run;

use std::time::Duration;

use crate::document::FieldError;

/// A duration given in seconds, in whole milliseconds.
///
/// # Errors
/// If it is not a number from `least` to ten years.
pub fn seconds(field: &str, value: f64, least: f64) -> Result<Duration, FieldError> {
    const TEN_YEARS: f64 = 315_576_000.0;
    if value.is_finite() && (least..=TEN_YEARS).contains(&value) {
        return Ok(Duration::from_secs_f64((value * 1000.0).round() / 1000.0));
    }
    let accepted = format!("a number of seconds from {least} to {TEN_YEARS}");
    Err(FieldError::new(field, value, accepted))
}

/// A duration in seconds, for documents.
pub fn as_seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
