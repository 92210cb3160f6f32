//! A host whose contract has grown: version 0.1.1, which there is not, with one import more than 0.1.0 has. What was built for
//! 0.1.0 works on it as it does today, and what needs the import has it.
//!
//! The contract of a host is compiled in, so this needs the feature `later-contract` and is a step of its own of the test run.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "../it/fixture.rs"]
#[expect(dead_code, reason = "it serves another process's tests, too")]
mod fixture;
#[path = "../it/frozen.rs"]
mod frozen;
#[path = "../it/guests.rs"]
#[expect(dead_code, reason = "it serves another process's tests, too")]
mod guests;

use std::time::Duration;

use sandclock_hooks::KnownSecrets;

use crate::fixture::{host, install, limits, run};
use crate::guests::Guest;

/// The import is there, and the host is what this file takes it for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_built_for_more_has_it() {
    let host = host(&KnownSecrets::new());
    install(&host, "calendar", &Guest::of_the_year()).await;
    let policy = limits(&host, &run(&["calendar"])).await;
    assert_eq!(
        policy.limit,
        Some(Duration::from_millis(2_026)),
        "{policy:?}"
    );
}
