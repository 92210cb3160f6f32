//! A worker's surroundings in which nothing takes time: no plugins, and each run succeeds as soon as it starts.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sandclock_core::backend::DoneRecord;
use sandclock_core::ports::{
    AlertDraft, Channel, Executor, History, Hooks, ProcessEnd, Redactor, RunPolicy, Running,
    StartError,
};
use sandclock_core::run::{OutputSummary, RunContext};

/// Hooks and executor of a worker whose store is what a test or a measurement is about.
#[derive(Debug)]
pub struct NoWork;

#[async_trait]
impl Hooks for NoWork {
    async fn before_run(
        &self,
        _run: &RunContext,
        _history: &History,
        _default_limit: Option<Duration>,
    ) -> RunPolicy {
        RunPolicy {
            limit: None,
            warn: None,
            grace: Duration::ZERO,
            reason: String::new(),
            refuse: None,
            notes: Vec::new(),
        }
    }

    async fn redactor(&self, _run: &RunContext, _channel: Channel) -> Box<dyn Redactor> {
        panic!("nothing is printed")
    }

    async fn after_run(&self, _done: &DoneRecord, _tail: &Bytes) -> Vec<AlertDraft> {
        Vec::new()
    }
}

#[async_trait]
impl Executor for NoWork {
    async fn start(
        &self,
        _run: &RunContext,
        _alive_for: Duration,
    ) -> Result<Box<dyn Running>, StartError> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl Running for NoWork {
    async fn wait(&mut self) -> ProcessEnd {
        ProcessEnd {
            exit_code: Some(0),
            signal: None,
            fault: None,
            core_dumped: false,
            leftovers_ended: 0,
            output: OutputSummary::default(),
            tail: Bytes::new(),
            notes: Vec::new(),
        }
    }

    fn terminate(&mut self, _grace: Duration) {}

    fn extend(&mut self, _alive_for: Duration) {}
}
