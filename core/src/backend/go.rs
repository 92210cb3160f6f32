//! What a Go fleet's master does with its stores, for a server in its place.
//!
//! These contracts are about that fleet's records as they are, and about nothing of ours: only stores that such a
//! fleet uses offer them.

use std::fmt::Debug;

use async_trait::async_trait;

use super::{Precondition, Result, Version};
use crate::go::{GoJob, LogEntry};
use crate::job::JobName;

/// What stands under a job's key.
#[derive(Clone, Debug, PartialEq)]
pub struct GoStored {
    /// What a save that rests on this names.
    pub version: Version,
    /// The value, with our definition even if a Go master's save has dropped it from there. `None` if not even
    /// that master could read it.
    pub value: Option<GoJob>,
}

/// Where a Go fleet's processes agree.
#[async_trait]
pub trait GoFleet: Debug + Send + Sync + 'static {
    /// Every job whose value that fleet's master could read, in the order of the keys, each by the name that its
    /// key has.
    async fn jobs(&self) -> Result<Vec<GoJob>>;

    /// What stands under a job's key, or `None`.
    async fn job(&self, name: &JobName) -> Result<Option<GoStored>>;

    /// Creates or replaces a job's value, which readers of [`JobStore`](super::JobStore) then see.
    ///
    /// # Errors
    /// `Conflict` if `pre` does not hold; `InvalidConfig` if the value is too large.
    async fn save(&self, name: &JobName, value: &GoJob, pre: Precondition) -> Result<()>;

    /// Asks the fleet's workers to end what they run of a job: a mark that is gone after a second or two. Who does
    /// not see it by then does not hear of it.
    async fn kill(&self, name: &JobName) -> Result<()>;

    /// The workers that are registered, as their keys name them, in the order of the keys.
    async fn workers(&self) -> Result<Vec<String>>;

    /// Those of them that are workers of the Go fleet and not ours.
    async fn go_workers(&self) -> Result<Vec<String>>;
}

/// Where a Go fleet's workers log what they ran.
#[async_trait]
pub trait GoLog: Debug + Send + Sync + 'static {
    /// Entries of a job, the one that began last first: `limit` of them after the first `skip`, or less if they are
    /// large. What cannot be read of one is empty.
    async fn entries(&self, job: &str, skip: u64, limit: u32) -> Result<Vec<LogEntry>>;
}
