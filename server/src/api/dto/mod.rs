//! The wire types of the API and their conversions.
//!
//! Nothing from core is serialised directly (A3): a wire type may stay as it is while core changes, and
//! the other way round. Unknown members are refused by every type that is read.

pub mod job;
pub mod policy;
pub mod run;

use std::time::Duration;

use super::problem::FieldError;

/// Reads JSON into a wire type; the error names the path of the member at fault.
///
/// # Errors
/// With what is accepted there, in serde's words.
pub fn from_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, FieldError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." {
            "(the document)".to_owned()
        } else {
            path
        };
        let inner = error.into_inner();
        let what = if inner.is_data() {
            "this member"
        } else {
            "the body"
        };
        FieldError::new(field, what, inner.to_string())
    })?;
    json.end().map_err(|error| {
        FieldError::new(
            "(the document)",
            "the body",
            format!("one JSON document: {error}"),
        )
    })?;
    Ok(value)
}

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
