//! The contract between the scheduler and a store, in prose and as traits.
//!
//! Rules that every method obeys:
//!
//! - Every write is conditional or idempotent. A repeated request with the same nonce gets the same
//!   answer (S6).
//! - A backend decides nothing (A2): no schedule, policy, retry, hook, metric or log per call. Those
//!   are core, or wrappers around the contracts.
//! - Time in a contract is a duration, judged by the store's clock, or a value that is data, such as
//!   a fire time. No method takes the caller's wall-clock "now" (A5).
//! - Cursors and session ids are never parsed or compared outside their backend (A6).
//! - A record that cannot be read stops what it stands for and nothing else: no snapshot, list or watch of
//!   others fails because of it.
//! - Dropping a call's future leaves its effect unknown, the same as a lost answer.
//! - One contract per concern, few methods, none with a default.
//!
//! The claim protocol in one page: per job there is a **mark**, the last decided fire time. It moves
//! only by compare-and-swap from the value the planner used, and the same step records the fate of
//! every tick it passes (S2, S7). A run is one **open record**, owned or waiting, that survives
//! sessions; "busy" means that one exists (S5). A run's end moves it to a **done record** (S8), which
//! anybody copies to the run log and then deletes. Every change of a record compares its version, and
//! that version is the fence (S1).

use std::fmt;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;

use crate::error::BackendError;

pub mod alerts;
pub mod audit;
pub mod docs;
pub mod fires;
pub mod go;
pub mod in_progress;
pub mod jobs;
pub mod kills;
pub mod kv;
pub mod layer;
pub mod leadership;
#[cfg(feature = "test-util")]
pub mod memory;
pub mod plugins;
pub mod protocol;
pub mod recordings;
pub mod records;
pub mod runs;
pub mod sessions;

pub use alerts::{
    Alert, AlertId, AlertKind, AlertOutbox, AlertState, ClaimEnd, ClaimedAlert, Later,
};
pub use audit::{AuditEntry, AuditFilter, AuditLog, AuditOutcome};
pub use docs::{Doc, DocKind, Docs};
pub use fires::{
    Adopt, Adopted, Decide, DecideFate, Decided, End, EndHow, Ended, FireEvent, FireFeed, FireView,
    Fires, Request, Settle, SettleAs, Settled, Take, TakeFrom, Taken, Triggered,
};
pub use go::{GoFleet, GoLog, GoStored};
pub use in_progress::InProgress;
pub use jobs::{BrokenJob, JobEvent, JobRecord, JobSnapshot, JobStore, StoredJob};
pub use kills::{Kill, Kills};
pub use kv::{PluginKv, Swap};
pub use leadership::{Candidate, Leadership, Seat};
pub use plugins::{ModuleDigest, PluginMode, PluginStore, Release, StoredPlugin};
pub use recordings::{Recording, Recordings};
pub use records::{
    DoneRecord, Generation, Mark, Nonce, OpenRecord, OpenState, Pinned, RecordSeen, Span,
    WaitRecord, owed_since,
};
pub use runs::{
    LogPage, OutputChunk, Page, PageToken, RunFilter, RunHeader, RunQuery, RunRecord, RunSink,
};
pub use sessions::{Session, SessionEvent, SessionId, Sessions, WorkerInfo};

/// The result of a contract method.
pub type Result<T> = std::result::Result<T, BackendError>;

/// A stream of changes. After an `Err` it ends.
pub type Events<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

/// Grows with every change of a record and is never reused, not even across delete and recreate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// Strictly greater for each later holder of the same run (S1): the version of the open record
/// after the holder's last write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub NonZeroU64);

impl Fence {
    /// The fence that a record at `version` gives its holder. Versions of records start at 1.
    pub fn at(version: Version) -> Self {
        Self(NonZeroU64::new(version.0).unwrap_or(NonZeroU64::MIN))
    }

    /// As a plain number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record with the version it had when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The version.
    pub version: Version,
    /// The record.
    pub value: T,
}

/// Where a watch resumes. Opaque; belongs to one backend (A6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Bytes);

/// What a write expects of the record it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Anything or nothing.
    Any,
    /// Nothing.
    Absent,
    /// Exactly this version.
    Matches(Version),
}

impl Precondition {
    /// Whether it holds of a record at `version`, or of none.
    pub fn holds(self, version: Option<Version>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => version.is_none(),
            Self::Matches(expected) => version == Some(expected),
        }
    }
}

/// Whether other processes can share the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Many workers agree through it.
    Fleet,
    /// It lives in this process.
    SingleProcess,
}

/// What a store of coordination offers.
#[derive(Clone, Debug)]
pub struct Coordination {
    /// Definitions.
    pub jobs: Arc<dyn JobStore>,
    /// Liveness of workers.
    pub sessions: Arc<dyn Sessions>,
    /// The claim protocol's writes.
    pub fires: Arc<dyn Fires>,
    /// The claim protocol's reads.
    pub feed: Arc<dyn FireFeed>,
    /// Kill marks.
    pub kills: Arc<dyn Kills>,
    /// The election of a leader.
    pub leadership: Arc<dyn Leadership>,
    /// Other documents of the fleet.
    pub docs: Arc<dyn Docs>,
    /// Who can share it.
    pub scope: Scope,
}

/// What a store of records offers.
#[derive(Clone, Debug)]
pub struct Records {
    /// Run log, writes.
    pub sink: Arc<dyn RunSink>,
    /// Run log, reads.
    pub runs: Arc<dyn RunQuery>,
    /// Alerts on their way.
    pub outbox: Arc<dyn AlertOutbox>,
    /// The fleet's plugins.
    pub plugins: Arc<dyn PluginStore>,
    /// What plugins were asked and what they said.
    pub recordings: Arc<dyn Recordings>,
    /// What plugins keep.
    pub kv: Arc<dyn PluginKv>,
    /// Who changed what.
    pub audit: Arc<dyn AuditLog>,
}
