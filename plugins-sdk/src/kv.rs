//! What an alert plugin keeps between its calls, shared by the whole fleet and seen by no other plugin.
//!
//! Ask for it in `plugin.toml` (`kv = true` below `[capabilities]`); the operator grants it. A value changes only against what
//! you have seen of it, so that of two workers that count at once both count: when [`swap`] says false, look again.
//!
//! A call may come again for the same run, on this worker or another, after what it has kept was kept: keep something
//! that tells you so, such as the ids of the runs that you have counted.

use core::time::Duration;

use crate::Result;

/// The value under this key; none if there is nothing, or if its time has run out. A key has 1 to 256 bytes.
///
/// # Errors
/// Begins with `denied` without a grant, `limit` beyond a bound, or `unavailable` when the store does not answer.
pub fn get(key: &str) -> Result<Option<Vec<u8>>> {
    Ok(raw::get(key)?)
}

/// Puts `value` in the place of `expect`, where none is nothing. False if something else is there.
///
/// # Errors
/// As [`get`]. After `unavailable` it may have been done.
pub fn swap(key: &str, expect: Option<&[u8]>, value: Option<&[u8]>) -> Result<bool> {
    Ok(raw::swap(key, expect, value, None)?)
}

/// As [`swap`], and the value goes by itself after this time, in whole seconds and at least one.
///
/// # Errors
/// As [`swap`].
pub fn swap_for(ttl: Duration, key: &str, expect: Option<&[u8]>, value: &[u8]) -> Result<bool> {
    let seconds = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX);
    Ok(raw::swap(key, expect, Some(value), Some(seconds))?)
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::effects::sandclock::plugin::kv as raw;

#[cfg(not(target_arch = "wasm32"))]
use crate::mock::effects::kv as raw;
