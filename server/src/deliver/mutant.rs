//! Faults that can be switched on, to show that the tests see them. Builds without debug assertions have none.

/// A promise of delivery that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(debug_assertions),
    expect(
        unreachable_pub,
        reason = "only tests name a fault, and a release has none"
    )
)]
pub enum Mutant {
    /// An alert is recorded as delivered before it is sent.
    MarkedFirst,
    /// Each try has another idempotency key.
    NewKey,
    /// What was sent is forgotten if the outbox does not take it at once.
    Forgotten,
    /// An alert is sent under a claim that may be over before the try is.
    LateSend,
}
