//! The guards by name, so that tests can take one out and see that somebody notices.
//!
//! A guard that nobody misses is not needed or not tested. The product keeps all of them.

/// What a transaction makes sure of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    not(feature = "test-util"),
    expect(unreachable_pub, reason = "only tests name one from outside")
)]
pub enum Guard {
    /// The caller's session lives (S4).
    Session,
    /// The job's mark is where it was (S2, S7).
    Mark,
    /// The job is what it was (no claim after a disable).
    Job,
    /// The run's record is what it was; its number is the fence (S1, S3).
    Record,
    /// No kill has come (no start after an acknowledged kill).
    Kill,
    /// The owner's session is gone (S1).
    Owner,
    /// The request was not made before (S9).
    Request,
    /// No run of the job is open (S5).
    Free,
    /// No tick of the job waits.
    NoneWaits,
    /// A saved job replaces what its writer has seen.
    Saved,
    /// A deleted job is what its deleter has seen.
    Deleted,
    /// A cleaned record is what the run log has.
    Cleaned,
    /// A kill is the first of its run.
    FirstKill,
    /// No Go worker holds the job's lock.
    Lock,
    /// Nobody leads.
    Leader,
    /// A document that is written or deleted is what its writer has seen.
    Document,
}

/// Which guards are kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Guards {
    #[cfg(feature = "test-util")]
    pub(crate) without: Option<Guard>,
}

impl Guards {
    /// Whether the guard is kept, which it is in the product.
    #[cfg_attr(
        not(feature = "test-util"),
        expect(clippy::unused_self, reason = "the answer depends on it in tests")
    )]
    pub(crate) fn keep(self, guard: Guard) -> bool {
        #[cfg(feature = "test-util")]
        return self.without != Some(guard);
        #[cfg(not(feature = "test-util"))]
        {
            let _ = guard;
            true
        }
    }

    /// The condition of a guard, if it is kept.
    pub(crate) fn only<T>(self, guard: Guard, condition: T) -> Option<T> {
        self.keep(guard).then_some(condition)
    }
}
