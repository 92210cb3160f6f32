//! The backend on MongoDB from outside, on real servers: the conformance suite, what others read and write
//! in the same collection, large records beside small ones, and the defects that these tests would find.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use sandclock_testkit::conformance;

mod alerts;
mod foreign;
mod fresh;
mod frozen;
mod large;
mod modules;
mod mutants;
mod open;
mod proxy;
mod races;
mod scene;
mod wire;

use fresh::{Fresh, Layered, Single};

conformance!(records: Fresh);

mod layered {
    use super::{Layered, conformance};

    conformance!(records: Layered);
}

/// On one server without a replica set, which refuses each query that no index answers.
mod single {
    use super::{Single, conformance};

    conformance!(records: Single);
}
