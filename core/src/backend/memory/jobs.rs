//! The job store of the model.

use std::sync::Arc;

use async_trait::async_trait;

use super::MemoryStore;
use super::history::{Event, cursor};
use super::watch::Kind;
use crate::backend::{
    Cursor, Events, JobEvent, JobSnapshot, JobStore, Precondition, Result, StoredJob, Version,
    Versioned,
};
use crate::error::{BackendError, ErrorKind};
use crate::job::{Job, JobName};

fn holds(pre: Precondition, version: Option<Version>) -> bool {
    match pre {
        Precondition::Any => true,
        Precondition::Absent => version.is_none(),
        Precondition::Matches(expected) => version == Some(expected),
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn snapshot(&self) -> Result<JobSnapshot> {
        Ok(self.shared.change(|state| JobSnapshot {
            jobs: state.jobs.values().cloned().collect(),
            cursor: cursor(state.history.end()),
        }))
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, JobEvent)>> {
        let kind = Kind {
            op: "jobs.watch",
            pick: |after, event| match event {
                Event::Job(event) => Some((cursor(after), event.clone())),
                _ => None,
            },
            progress: Some(|at| (cursor(at), JobEvent::Progress)),
            expiry: |_| None,
        };
        self.shared.follow(kind, &from)
    }

    async fn get(&self, name: &JobName) -> Result<Option<StoredJob>> {
        Ok(self.shared.change(|state| state.jobs.get(name).cloned()))
    }

    async fn put(&self, job: &Job, pre: Precondition) -> Result<Versioned<()>> {
        self.shared.change(|state| {
            let old = state.jobs.get(&job.name);
            if !holds(pre, old.map(|old| old.version)) {
                return Err(BackendError::new("jobs.put", ErrorKind::Conflict).context(&job.name));
            }
            let created = old.map(|old| old.created);
            let version = state.next_version();
            let stored = StoredJob {
                job: Arc::new(job.clone()),
                version,
                created: created.unwrap_or(version),
            };
            state.jobs.insert(job.name.clone(), stored.clone());
            state.job_lives(&job.name, true);
            state.history.push(Event::Job(JobEvent::Put(stored)));
            Ok(Versioned { version, value: () })
        })
    }

    async fn delete(&self, name: &JobName, pre: Precondition) -> Result<()> {
        self.shared.change(|state| {
            let refuse = |kind| Err(BackendError::new("jobs.delete", kind).context(name));
            let Some(old) = state.jobs.get(name) else {
                return refuse(ErrorKind::NotFound);
            };
            if !holds(pre, Some(old.version)) {
                return refuse(ErrorKind::Conflict);
            }
            state.jobs.remove(name);
            state.job_lives(name, false);
            let event = JobEvent::Deleted(name.clone(), state.next_version());
            state.history.push(Event::Job(event));
            Ok(())
        })
    }
}
