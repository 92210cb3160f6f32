//! The conformance suite on the reference model, and proof that it finds known defects.

use sandclock_testkit::conformance;
use sandclock_testkit::memory::Memory;

mod mutants;

conformance!(coordination: Memory, (start_paused = true));
conformance!(records: Memory, (start_paused = true));
