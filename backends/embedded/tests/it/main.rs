//! The embedded backend from outside: the conformance suite, durability, crashes, faults of the disk,
//! and reopening.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use sandclock_testkit::conformance;

mod crash;
mod damage;
mod displaced;
mod durability;
mod faults;
mod fresh;
mod outage;
mod reopen;
mod scene;
mod spool_forms;
mod syscalls;

use fresh::{Fresh, Layered};

conformance!(coordination: Fresh);
conformance!(records: Fresh);

mod layered {
    use super::{Layered, conformance};

    conformance!(coordination: Layered);
    conformance!(records: Layered);
}
