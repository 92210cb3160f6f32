//! Wrong versions of the parts that keep secrets hidden.
//!
//! A promise is worth what its tests would notice. With the feature `mutants`, which only tests
//! switch on, each of these mistakes can be made on purpose, and the suite shows that it is caught.
//! Without the feature the question costs nothing: the answer is a constant.

/// A mistake to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The mask releases the beginning of a secret at the end of a piece.
    HoldNothingBack,
    /// Of two overlapping secrets the mask hides the first only.
    OverlapsApart,
    /// The mask does not see that base64 or hexadecimal goes on in the next line.
    LineByLine,
    /// The second failure of a redaction plugin releases the window.
    ReleaseOnFailure,
    /// Nothing masks what the plugins have made of a stream.
    MaskBeforePluginsOnly,
    /// A plugin that is only monitored decides all the same.
    EnforceMonitored,
    /// A compiled plugin is loaded whoever wrote it.
    TrustTheCache,
}

/// Which mistake is made here, if any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mutation {
    #[cfg(feature = "mutants")]
    mutant: Option<Mutant>,
}

impl Mutation {
    #[cfg(feature = "mutants")]
    pub(crate) fn of(mutant: Mutant) -> Self {
        Self {
            mutant: Some(mutant),
        }
    }

    #[cfg_attr(
        not(feature = "mutants"),
        expect(
            unused_variables,
            clippy::unused_self,
            reason = "a constant without the feature"
        )
    )]
    pub(crate) fn is(self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        {
            self.mutant == Some(mutant)
        }
        #[cfg(not(feature = "mutants"))]
        {
            false
        }
    }
}
