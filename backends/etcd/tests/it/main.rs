//! The etcd backend from outside, on a real etcd: the conformance suite, what stands on the wire, and what it
//! costs.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use sandclock_testkit::conformance;

mod beside_go;
mod cost;
mod fleet_cost;
mod fresh;
mod frozen;
mod mutants;
mod places;
#[cfg(test)]
mod refused;
mod scene;
mod wire;

use fresh::{Apart, Fresh, Layered};

conformance!(coordination: Fresh);

mod apart {
    use super::{Apart, conformance};

    conformance!(coordination: Apart);
}

mod layered {
    use super::{Layered, conformance};

    conformance!(coordination: Layered);
}
