//! The conformance suite on the reference model, and proof that it finds known defects.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use sandclock_testkit::conformance;
use sandclock_testkit::memory::Memory;

mod kept;
mod layered;
mod model;
mod mutants;
mod registered;
mod retried;

conformance!(coordination: Memory, (start_paused = true));
conformance!(records: Memory, (start_paused = true));
