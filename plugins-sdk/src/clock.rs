//! The time at the start of the call. It stands still during a call, so that a call can be replayed.

/// RFC 3339 in UTC with milliseconds: `2026-11-20T18:00:00.000Z`.
#[must_use]
pub fn now() -> String {
    raw_now()
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a whole number far below 2^53"
)]
pub fn now_ms() -> i64 {
    raw_now_ms() as i64
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::timeout::sandclock::plugin::clock::{now as raw_now, now_ms as raw_now_ms};

#[cfg(not(target_arch = "wasm32"))]
use crate::mock::host::{now as raw_now, now_ms as raw_now_ms};
