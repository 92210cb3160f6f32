//! Faults that can be switched on, to show that the tests see them. Builds without debug assertions have none.

/// A promise of the spool that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(debug_assertions),
    expect(
        unreachable_pub,
        reason = "only tests name a fault, and a release has none"
    )
)]
pub enum Mutant {
    /// What waits from a former life of the worker is not sent.
    NotReplayed,
    /// An end that finds no room is acknowledged and gone.
    EndDroppedWhenFull,
    /// A run's later output goes to the log while earlier output waits.
    Overtaking,
    /// An end does not wait for the run's output.
    EndFirst,
}
