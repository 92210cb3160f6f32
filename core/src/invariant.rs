//! The numbered invariants as identifiers, so that code and tests cite the same thing.
//!
//! The sentences stand in `ARCHITECTURE.md`. `cargo xtask tidy` checks that every identifier is
//! cited by a test.

use std::fmt;

/// An invariant of the fleet that holds in every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InvariantId {
    /// One run has at most one trusted holder; later holders have greater fences.
    S1,
    /// A decided fire time is never decided again.
    S2,
    /// A write with a smaller fence never changes a run record.
    S3,
    /// Nothing is claimed or started outside the trust window.
    S4,
    /// An exclusive job never has two runs at once.
    S5,
    /// After an unknown effect the same request is repeated until a definite answer.
    S6,
    /// Every due tick ends in exactly one recorded decision.
    S7,
    /// A run has one terminal record; the run log is a write-once copy.
    S8,
    /// A run's id follows from its job and fire time or request.
    S9,
    /// The catalogue equals the store after a resync.
    S10,
    /// When faults stop, every due tick is decided soon.
    L1,
    /// A kill of a live run ends it.
    L2,
    /// A drain finishes; that of a worker that leaves closes the session.
    L3,
}

impl fmt::Display for InvariantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Checks an invariant where it could break: panics in debug builds, logs an error in release.
#[macro_export]
macro_rules! check_invariant {
    ($id:expr, $holds:expr, $($why:tt)+) => {
        if !$holds {
            tracing::error!(invariant = %$id, $($why)+);
            debug_assert!(false, "invariant {} broken: {}", $id, format_args!($($why)+));
        }
    };
}
