//! Call a hook without wasm: for the unit tests of a plugin.
//!
//! ```ignore
//! let host = mock::Host::new().config(json!({ "factor": 3 }));
//! let decision = host.call(|| Doubler::decide(mock::run(), None, past))?;
//! let output = mock::check_chunkings::<Tokens>(&host, b"key AKIA0123456789ABCDEF")?;
//! ```

pub(crate) mod effects;
pub(crate) mod host;
#[cfg(feature = "schema")]
mod schema;
mod stream;

pub use effects::Request;
pub use host::Host;
#[cfg(feature = "schema")]
pub use schema::{check_schema, config_schema};
pub use stream::{Stream, begin, check_chunkings, redact};

use crate::alert::End;
use crate::{History, RunInfo};

/// A run to call hooks with: first attempt of job `nightly-backup`.
#[must_use]
pub fn run() -> RunInfo {
    RunInfo {
        job_id: "nightly-backup".to_owned(),
        job_name: "Nightly backup".to_owned(),
        run_id: "nightly-backup-20261120T020000Z".to_owned(),
        attempt: 1,
        scheduled_at: "2026-11-20T02:00:00Z".to_owned(),
        labels: vec![("team".to_owned(), "data".to_owned())],
    }
}

/// A history of `runs` successes whose durations are the given ones, in milliseconds.
#[must_use]
pub const fn history(runs: u32, p50_ms: u32, p95_ms: u32, p99_ms: u32, max_ms: u32) -> History {
    History {
        runs,
        failures: 0,
        p50_ms,
        p95_ms,
        p99_ms,
        max_ms,
    }
}

/// An end in `state` after a run of 1.5 s: exit code 1 and one failure in a row when `state` is `failed`, exit code 0 and
/// none before it when it is `succeeded`.
#[must_use]
pub fn end(state: &str) -> End {
    let succeeded = state == "succeeded";
    End {
        state: state.to_owned(),
        cause: if succeeded {
            "exit code 0"
        } else {
            "exit code 1"
        }
        .to_owned(),
        exit_code: match state {
            "succeeded" => Some(0),
            "failed" => Some(1),
            _ => None,
        },
        signal: None,
        duration_ms: 1500,
        previous_state: None,
        failures_in_a_row: u32::from(!succeeded),
        output_tail: "the last line\n".to_owned(),
    }
}
