//! Known defects, for showing that the tests would find them.

use std::sync::Arc;

use sandclock_core::backend::{Records, Result};

use crate::config::MongoConfig;
use crate::guards::Guards;
use crate::store::Store;

/// A promise that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A beginning with a lower fence takes the run over (S3).
    FenceIgnored,
    /// A second end, or a beginning after the end, replaces the terminal record (S8).
    EndOverwritten,
    /// A list fails for one document that is not as expected.
    StrictReader,
    /// The middle of an output stays.
    MiddleKept,
    /// A claim does not keep others from claiming.
    NoLease,
    /// Requests are sent together however large they are (W20).
    Unbounded,
    /// A Go master does not see output that comes after the end.
    LateOutputHidden,
    /// A release serves whatever serves meanwhile.
    ServedBlindly,
    /// A module is handed out without a look at its digest.
    Unverified,
    /// A value changes whatever is there.
    SwappedBlindly,
    /// A value whose time has run out stays until somebody takes it away.
    NoExpiry,
}

impl Mutant {
    fn guards(self) -> Guards {
        let mut guards = Guards::default();
        let guard = match self {
            Self::FenceIgnored => &mut guards.fence,
            Self::EndOverwritten => &mut guards.write_once,
            Self::StrictReader => &mut guards.lenient,
            Self::MiddleKept => &mut guards.cut,
            Self::NoLease => &mut guards.lease,
            Self::Unbounded => &mut guards.bounded,
            Self::LateOutputHidden => &mut guards.late_output,
            Self::ServedBlindly => &mut guards.as_seen,
            Self::Unverified => &mut guards.digest,
            Self::SwappedBlindly => &mut guards.expected,
            Self::NoExpiry => &mut guards.expiry,
        };
        *guard = false;
        guards
    }
}

/// As [`crate::connect`], with a defect.
///
/// # Errors
/// As [`crate::connect`].
pub async fn connect_with_mutant(config: &MongoConfig, mutant: Mutant) -> Result<Records> {
    let store = Store::lend(config, mutant.guards()).await?;
    store.open().await?;
    Ok(crate::records(Arc::new(store)))
}
