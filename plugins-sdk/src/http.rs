//! Requests of an alert plugin to targets that the operator has set up, for what has an answer, such as who is on call.
//!
//! Ask for targets in `plugin.toml` (`http = ["oncall"]` below `[capabilities]`); the operator grants them, and adds the
//! credentials. What can wait is better a [`Delivery`](crate::alert::Delivery), which the host keeps and retries.

use crate::Result;

/// What a target answers, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status. It is never that of a redirect: those are errors.
    pub status: u16,
    /// At most 64 KiB, without the secrets that the host knows.
    pub body: Vec<u8>,
}

/// Asks a target. `path` begins with `/` or `?`, or is empty, and is put behind the target's address.
///
/// # Errors
/// Begins with `denied` for what must not be sent, `limit` beyond a bound, or `unavailable` if there is no answer.
pub fn get(target: &str, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
    let answer = raw::get(target, path, &owned(headers))?;
    Ok(Response {
        status: answer.status,
        body: answer.body,
    })
}

/// Sends a body to a target and reads its answer.
///
/// # Errors
/// As [`get`]. After `unavailable` it may have arrived.
pub fn post(
    target: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Result<Response> {
    let answer = raw::post(target, path, &owned(headers), body.as_ref())?;
    Ok(Response {
        status: answer.status,
        body: answer.body,
    })
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    headers.iter().map(owned).collect()
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::effects::sandclock::plugin::http as raw;

#[cfg(not(target_arch = "wasm32"))]
use crate::mock::effects::http as raw;
