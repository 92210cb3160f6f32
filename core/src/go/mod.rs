//! What the older Go fleet reads and writes, as pure functions over bytes.
//!
//! Sandclock shares an etcd cluster and a run log with that fleet, or takes one over, so these forms are facts,
//! lenience included. The rest of the product sees only [`Job`](crate::job::Job)s. The fleet's cron dialect is
//! in [`schedule`](crate::schedule).

mod entry;
pub mod envelope;
pub mod form;
mod job;
mod like;
pub mod log;
mod quote;

pub use entry::LogEntry;
pub use job::{GoDefaults, GoJob, GoJobError};

/// What the fleet's keys in etcd begin with, as most of its copies have it; names follow without any escaping.
pub mod prefix {
    /// Jobs.
    pub const JOBS: &str = "/cron/jobs/";
    /// Locks.
    pub const LOCKS: &str = "/cron/lock/";
    /// Kill marks.
    pub const KILLS: &str = "/cron/killer/";
    /// Registered workers.
    pub const WORKERS: &str = "/cron/workers/";
}
