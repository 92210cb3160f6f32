//! When a job is due: the vocabulary of schedules.

/// Which rules read an expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Sandclock's own: crontab's, with more.
    #[default]
    Native,
    /// The Go fleet's.
    Go,
}

/// What happens to ticks in the gap and in the repeated hour of a change of the clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DstPolicy {
    /// As crontab does: wildcard jobs follow elapsed time; for the others all times inside a gap are one
    /// fire at its end, and the repeated hour counts once, in its first pass.
    #[default]
    Vixie,
    /// Times in a gap never fire; the repeated hour counts once, in its first pass.
    Skip,
    /// Gaps as `Vixie`; the repeated hour fires in both passes.
    Both,
}
