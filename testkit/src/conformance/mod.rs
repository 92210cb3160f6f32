//! The conformance suite: what every backend must do, as cases that run on any of them.
//!
//! A case is `pub async fn name(env: &…)` that panics if the backend is wrong. The list in `cases` is the only
//! one: from it come the tests (`conformance!`) and the registry ([`COORDINATION`], [`RECORDS`]). A
//! backend implements [`CoordinationBackend`], [`RecordsBackend`] or both and writes one line for each:
//!
//! ```text
//! conformance!(coordination: MyBackend);
//! conformance!(records: MyBackend);
//! ```
//!
//! Cases never sleep to wait for something: they wait for a state, with a deadline. Each case gets an
//! empty store of its own. In the few that let a lease run out, time itself is the subject.

use std::any::Any;
use std::fmt::Debug;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use sandclock_core::backend::{Coordination, Records, SessionId};
use sandclock_core::job::JobName;

pub mod adopt;
pub mod alert_lists;
pub mod audit;
pub mod broken;
#[macro_use]
mod cases;
pub mod decide;
pub mod definitions;
pub mod docs;
pub mod end;
mod events;
pub mod feed;
pub mod job_watch;
pub mod jobs;
pub mod kills;
pub mod kv;
pub mod leadership;
pub mod lockstep;
pub mod outbox;
pub mod output;
mod plain;
pub mod plugins;
pub mod policy;
pub mod recordings;
pub mod run_lists;
mod run_log;
pub mod runs;
mod scene;
pub mod sessions;
pub mod settle;
pub mod take;
pub mod trigger;
mod walker;

pub use scene::{at, worker};

/// What a test may do to a store behind the contracts' back.
#[async_trait]
pub trait Powers: Debug + Send + Sync {
    /// Lets the lease of the session run out before its time.
    async fn expire(&self, session: &SessionId);
    /// Breaks every open watch, as a lost connection does. Nothing else is lost.
    async fn disturb(&self);
    /// Forgets old changes, so that a watch can only continue from the present.
    async fn forget_history(&self);
    /// Leaves a record under the name that nobody can read, or with `newer` one of a later program, as a
    /// program that is not ours might. Watches learn of it; of a job that is there it is a change.
    async fn break_job(&self, name: &JobName, newer: bool);
}

/// An empty store of coordination.
#[derive(Clone, Debug)]
pub struct CoordinationEnv {
    /// Its contracts.
    pub store: Coordination,
    /// What a test may do to it.
    pub powers: Arc<dyn Powers>,
}

impl Deref for CoordinationEnv {
    type Target = Coordination;

    fn deref(&self) -> &Coordination {
        &self.store
    }
}

/// An empty store of records.
#[derive(Clone, Debug)]
pub struct RecordsEnv {
    /// Its contracts.
    pub store: Records,
    /// What must live as long as the case runs, such as a temporary directory.
    pub keep: Arc<dyn Any + Send + Sync>,
}

impl Deref for RecordsEnv {
    type Target = Records;

    fn deref(&self) -> &Records {
        &self.store
    }
}

/// A backend that offers coordination.
pub trait CoordinationBackend {
    /// An empty store that nothing else uses. What it needs to live (a directory, a server) is kept by its
    /// [`Powers`].
    fn fresh() -> impl Future<Output = CoordinationEnv> + Send;
}

/// A backend that offers records.
pub trait RecordsBackend {
    /// An empty store that nothing else uses.
    fn fresh() -> impl Future<Output = RecordsEnv> + Send;
}

/// A case of the suite, by name.
#[derive(Clone, Copy, Debug)]
pub struct Case<E: 'static> {
    /// Module and function.
    pub name: &'static str,
    /// The case; panics if the backend is wrong.
    pub run: for<'a> fn(&'a E) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

/// Emits one test for each case: `conformance!(coordination: Backend)` or `conformance!(records: Backend)`,
/// with arguments for `#[tokio::test]` in parentheses if the backend needs some:
/// `conformance!(records: Backend, (start_paused = true))`.
#[macro_export]
macro_rules! conformance {
    ($what:ident: $backend:ty) => {
        $crate::conformance!($what: $backend, (flavor = "current_thread"));
    };
    (coordination: $backend:ty, $test:tt) => {
        $crate::coordination_cases!([$crate::conformance] @coordination $backend, $test,);
    };
    (records: $backend:ty, $test:tt) => {
        $crate::records_cases!([$crate::conformance] @records $backend, $test,);
    };
    (@coordination $backend:ty, $test:tt, $($module:ident: { $($case:ident)+ })+) => {
        $crate::conformance!(@tests CoordinationBackend, $backend, $test, $($module: { $($case)+ })+);
    };
    (@records $backend:ty, $test:tt, $($module:ident: { $($case:ident)+ })+) => {
        $crate::conformance!(@tests RecordsBackend, $backend, $test, $($module: { $($case)+ })+);
    };
    (@tests $contract:ident, $backend:ty, $test:tt, $($module:ident: { $($case:ident)+ })+) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test $test]
            async fn $case() {
                let env = <$backend as $crate::conformance::$contract>::fresh().await;
                $crate::conformance::$module::$case(&env).await;
            })+
        })+
    };
}

macro_rules! registry {
    ($env:ty, $($module:ident: { $($case:ident)+ })+) => {
        &[$($(Case {
            name: concat!(stringify!($module), "::", stringify!($case)),
            run: |env: &$env| Box::pin($module::$case(env)),
        },)+)+]
    };
}

/// Every case on coordination.
pub const COORDINATION: &[Case<CoordinationEnv>] = coordination_cases!([registry] CoordinationEnv,);

/// Every case on records.
pub const RECORDS: &[Case<RecordsEnv>] = records_cases!([registry] RecordsEnv,);
