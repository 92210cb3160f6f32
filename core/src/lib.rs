//! The domain of Sandclock, its contracts and its scheduling logic.
//!
//! This crate performs no I/O and reads no clock, environment or randomness except through its
//! arguments (A1). Everything outside is behind a trait:
//!
//! - [`backend`]: what a store of coordination or of records must do; implemented by `backends/*`.
//! - [`ports`]: what the scheduler calls but does not implement: hooks and the executor.
//! - [`time`]: wall clock; monotonic time is tokio's, so that a simulation can own both.
//! - [`stored`]: the bytes of records, for backends that keep bytes.
//! - [`go`]: what the older Go fleet reads and writes, for backends that share a cluster with it.
//!
//! [`job`], [`schedule`], [`policy`], [`binding`], [`alerting`], [`access`] and [`run`] are the vocabulary.

pub mod access;
pub mod alerting;
pub mod backend;
pub mod binding;
pub mod error;
pub mod fleet;
pub mod go;
pub mod invariant;
pub mod job;
pub mod policy;
pub mod ports;
pub mod random;
pub mod run;
pub mod schedule;
pub mod stored;
pub mod time;
pub mod vault;

pub use error::{BackendError, Effect, ErrorKind, Part};
pub use time::Timestamp;
