//! Faults that can be switched on, to show that the tests see them. Builds without debug assertions
//! have none.

/// One fault of the executor, or one of its defences left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(debug_assertions),
    expect(
        unreachable_pub,
        reason = "only tests name a fault, and a release has none"
    )
)]
pub enum Mutant {
    /// No control groups: not a fault, but how it is where no version 2 hierarchy is writable. All
    /// faults imply it.
    NoGroups,
    /// Spawner and supervisors are no subreapers.
    NoSubreaper,
    /// Only the command's own process group is signalled.
    GroupOnly,
    /// The dead man's deadline is not looked at.
    NoDeadline,
    /// A supervisor that was stopped stays so.
    LeaveStopped,
    /// A supervisor is killed when it has started a command and has not said so.
    DieUnheard,
    /// An order is obeyed whatever run it is for.
    AnyRun,
}

impl Mutant {
    /// The argument that tells a spawner.
    pub(super) fn name(self) -> &'static str {
        match self {
            Mutant::NoGroups => "no-groups",
            Mutant::NoSubreaper => "no-subreaper",
            Mutant::GroupOnly => "group-only",
            Mutant::NoDeadline => "no-deadline",
            Mutant::LeaveStopped => "leave-stopped",
            Mutant::DieUnheard => "die-unheard",
            Mutant::AnyRun => "any-run",
        }
    }

    /// Whether this process is a spawner, or a supervisor, with this fault.
    pub(super) fn is_on(self) -> bool {
        cfg!(debug_assertions)
            && std::env::args_os()
                .nth(1)
                .is_some_and(|argument| argument == self.name() || self == Mutant::NoGroups)
    }
}
