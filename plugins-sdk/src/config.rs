//! The plugin's configuration for this job: one JSON object, read into the types of the plugin.

use serde::de::DeserializeOwned;

use crate::Result;

/// The value of `key`, or none when it is absent or null.
///
/// # Errors
/// The value is of another type; the text names the key.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>> {
    let Some(json) = raw(key) else {
        return Ok(None);
    };
    serde_json::from_str(&json).map_err(|error| format!("config \"{key}\": {error}").into())
}

/// The value of `key`, or `default` when it is absent.
///
/// # Errors
/// The value is of another type; the text names the key.
pub fn get_or<T: DeserializeOwned>(key: &str, default: T) -> Result<T> {
    Ok(get(key)?.unwrap_or(default))
}

/// The whole configuration as one type, usually a struct with `#[serde(default, deny_unknown_fields)]`, so that a
/// misspelt key is refused.
///
/// # Errors
/// The object does not fit the type.
pub fn all<T: DeserializeOwned>() -> Result<T> {
    serde_json::from_str(&raw_all()).map_err(|error| format!("config: {error}").into())
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::timeout::sandclock::plugin::config::{all as raw_all, get as raw};

#[cfg(not(target_arch = "wasm32"))]
use crate::mock::host::{config_all as raw_all, config_get as raw};
