//! The contracts of a Go fleet's stores behind a layer: each method hands its call to the layer, and does nothing else.

#![deny(clippy::missing_trait_methods)]

use async_trait::async_trait;

use super::{Layer, Layered, Op};
use crate::backend::{GoFleet, GoLog, GoStored, Precondition, Result};
use crate::go::{GoJob, LogEntry};
use crate::job::JobName;

#[async_trait]
impl<L: Layer, T: GoFleet + ?Sized> GoFleet for Layered<L, T> {
    async fn jobs(&self) -> Result<Vec<GoJob>> {
        (self.layer).call(Op::GoJobs, || self.inner.jobs()).await
    }

    async fn job(&self, name: &JobName) -> Result<Option<GoStored>> {
        (self.layer).call(Op::GoJob, || self.inner.job(name)).await
    }

    async fn save(&self, name: &JobName, value: &GoJob, pre: Precondition) -> Result<()> {
        (self.layer)
            .call(Op::GoSave, || self.inner.save(name, value, pre))
            .await
    }

    async fn kill(&self, name: &JobName) -> Result<()> {
        (self.layer)
            .call(Op::GoKill, || self.inner.kill(name))
            .await
    }

    async fn workers(&self) -> Result<Vec<String>> {
        (self.layer)
            .call(Op::GoWorkers, || self.inner.workers())
            .await
    }

    async fn go_workers(&self) -> Result<Vec<String>> {
        (self.layer)
            .call(Op::GoGoWorkers, || self.inner.go_workers())
            .await
    }
}

#[async_trait]
impl<L: Layer, T: GoLog + ?Sized> GoLog for Layered<L, T> {
    async fn entries(&self, job: &str, skip: u64, limit: u32) -> Result<Vec<LogEntry>> {
        (self.layer)
            .call(Op::GoEntries, || self.inner.entries(job, skip, limit))
            .await
    }
}
