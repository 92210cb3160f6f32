//! What tests of several crates share: the conformance suite of the backends, faults, real servers, the schedule oracle, and plugins in other languages.
//!
//! Nothing here is part of the product; production crates never depend on this one.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a case fails"
)]

pub mod conformance;
pub mod fault;
pub mod languages;
pub mod memory;
pub mod no_work;
pub mod oracle;
pub mod schemathesis;
pub mod services;
