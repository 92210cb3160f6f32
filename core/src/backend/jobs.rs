//! The job store: versioned definitions, and a watch that misses nothing.
//!
//! A record that cannot be read is a [`BrokenJob`]: it has its place in every answer beside the jobs, and
//! never makes the answer fail. So one bad record stops one job, and is there to be repaired.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Cursor, Events, Precondition, Result, Version, Versioned};
use crate::error::{BackendError, ErrorKind};
use crate::job::{Job, JobName};
use crate::stored::StoredError;

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

/// A stored record that is no job: damaged, or written by a program that this one does not understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenJob {
    /// What it is stored under: any text, the empty one too.
    pub name: JobName,
    /// Grows with every change; a repair names it.
    pub version: Version,
    /// The version at which this life of the name began.
    pub created: Version,
    /// What is wrong with it, for people: one line of bounded length.
    pub reason: String,
    /// A newer program wrote it. It can be deleted but not replaced: an older program would destroy what
    /// it does not understand.
    pub newer: bool,
}

impl BrokenJob {
    /// The record under this name, which could not be read because of `why`.
    pub fn new(name: JobName, version: Version, created: Version, why: &StoredError) -> Self {
        Self {
            name,
            version,
            created,
            reason: why.reason(),
            newer: matches!(why, StoredError::Newer { .. }),
        }
    }

    /// What a call answers that cannot do without the definition.
    pub fn error(&self, op: &'static str) -> BackendError {
        let (name, reason) = (self.name.as_str(), &self.reason);
        BackendError::new(op, ErrorKind::Corrupt).context(format!("job {name:?}: {reason}"))
    }
}

/// What a store holds under a name.
#[derive(Clone, Debug, PartialEq)]
pub enum JobRecord {
    /// A job.
    Job(StoredJob),
    /// A record that cannot be read.
    Broken(BrokenJob),
}

impl JobRecord {
    /// What it is stored under.
    pub fn name(&self) -> &JobName {
        match self {
            Self::Job(stored) => &stored.job.name,
            Self::Broken(broken) => &broken.name,
        }
    }

    /// Grows with every change.
    pub fn version(&self) -> Version {
        match self {
            Self::Job(stored) => stored.version,
            Self::Broken(broken) => broken.version,
        }
    }

    /// The version at which this life of the name began.
    pub fn created(&self) -> Version {
        match self {
            Self::Job(stored) => stored.created,
            Self::Broken(broken) => broken.created,
        }
    }

    /// The job.
    ///
    /// # Errors
    /// `Corrupt` with the reason if it cannot be read.
    pub fn readable(self, op: &'static str) -> Result<StoredJob> {
        match self {
            Self::Job(stored) => Ok(stored),
            Self::Broken(broken) => Err(broken.error(op)),
        }
    }
}

/// All jobs at one moment.
#[derive(Clone, Debug)]
pub struct JobSnapshot {
    /// The jobs, by name.
    pub jobs: Vec<StoredJob>,
    /// The records that cannot be read, by name.
    pub broken: Vec<BrokenJob>,
    /// Where a watch continues without a gap.
    pub cursor: Cursor,
}

impl JobSnapshot {
    /// Sorts what a store holds, by name, into jobs and broken records.
    pub fn of(records: impl IntoIterator<Item = JobRecord>, cursor: Cursor) -> Self {
        let (mut jobs, mut broken) = (Vec::new(), Vec::new());
        for record in records {
            match record {
                JobRecord::Job(stored) => jobs.push(stored),
                JobRecord::Broken(record) => broken.push(record),
            }
        }
        Self {
            jobs,
            broken,
            cursor,
        }
    }
}

/// A change of the job store.
#[derive(Clone, Debug, PartialEq)]
pub enum JobEvent {
    /// Created or changed.
    Put(StoredJob),
    /// Changed into a record that cannot be read.
    Broken(BrokenJob),
    /// Deleted, at this version.
    Deleted(JobName, Version),
    /// Nothing changed; only the cursor moves, so that an idle watch keeps up with compaction.
    Progress,
}

impl From<JobRecord> for JobEvent {
    fn from(record: JobRecord) -> Self {
        match record {
            JobRecord::Job(stored) => Self::Put(stored),
            JobRecord::Broken(broken) => Self::Broken(broken),
        }
    }
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
    ///
    /// # Errors
    /// `Corrupt` with the reason if its record cannot be read.
    async fn get(&self, name: &JobName) -> Result<Option<StoredJob>>;

    /// Creates or replaces a job. The returned version is above every earlier one of the store.
    ///
    /// A record that cannot be read is replaced as a whole, and the life of its name goes on: of bytes that
    /// nobody understands nothing can be kept.
    ///
    /// # Errors
    /// `Conflict` if `pre` does not hold; the effect may be unknown: then read again. `Corrupt` if what is
    /// there is of a newer program ([`BrokenJob::newer`]).
    async fn put(&self, job: &Job, pre: Precondition) -> Result<Versioned<()>>;

    /// Deletes a job, or a record that cannot be read. Its mark stays, so that a job created again never repeats a tick. Waiting
    /// ticks are left for the fleet to record as skipped; open runs go on.
    ///
    /// # Errors
    /// `NotFound` if it is not there, `Conflict` if `pre` does not hold.
    async fn delete(&self, name: &JobName, pre: Precondition) -> Result<()>;
}
