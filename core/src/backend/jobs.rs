//! The job store: versioned definitions, and a watch that misses nothing.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Cursor, Events, Precondition, Result, Version, Versioned};
use crate::job::{Job, JobName};

/// A stored job as readers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredJob {
    /// The definition.
    pub job: Arc<Job>,
    /// Grows with every change.
    pub version: Version,
    /// The version at which this life of the name began; differs after delete and recreate.
    pub created: Version,
}

/// All jobs at one moment.
#[derive(Clone, Debug)]
pub struct JobSnapshot {
    /// The jobs, by name.
    pub jobs: Vec<StoredJob>,
    /// Where a watch continues without a gap.
    pub cursor: Cursor,
}

/// A change of the job store.
#[derive(Clone, Debug, PartialEq)]
pub enum JobEvent {
    /// Created or changed.
    Put(StoredJob),
    /// Deleted, at this version.
    Deleted(JobName, Version),
    /// Nothing changed; only the cursor moves, so that an idle watch keeps up with compaction.
    Progress,
}

/// Versioned definitions.
#[async_trait]
pub trait JobStore: Debug + Send + Sync + 'static {
    /// All jobs and the cursor from which [`JobStore::watch`] continues. Idempotent.
    async fn snapshot(&self) -> Result<JobSnapshot>;

    /// Every change after `from`, at least once and in order for each name. Duplicates are allowed:
    /// the reader drops a version that is not above the one it has.
    ///
    /// # Errors
    /// `CursorExpired`, as the call's error or as the stream's last item, if the history is gone.
    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, JobEvent)>>;

    /// One job, or `None`.
    async fn get(&self, name: &JobName) -> Result<Option<StoredJob>>;

    /// Creates or replaces a job. The returned version is above every earlier one of the store.
    ///
    /// # Errors
    /// `Conflict` if `pre` does not hold; the effect may be unknown: then read again.
    async fn put(&self, job: &Job, pre: Precondition) -> Result<Versioned<()>>;

    /// Deletes a job. Its mark stays, so that a job created again never repeats a tick. Waiting
    /// ticks are left for the fleet to record as skipped; open runs go on.
    ///
    /// # Errors
    /// `NotFound` if it is not there, `Conflict` if `pre` does not hold.
    async fn delete(&self, name: &JobName, pre: Precondition) -> Result<()>;
}
