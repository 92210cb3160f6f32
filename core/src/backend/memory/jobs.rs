//! The job store of the model.

use std::sync::Arc;

use async_trait::async_trait;

use super::MemoryStore;
use super::history::{Event, cursor};
use super::state::State;
use super::watch::Kind;
use crate::backend::{
    BrokenJob, Cursor, Events, JobEvent, JobRecord, JobSnapshot, JobStore, Precondition, Result,
    StoredJob, Versioned,
};
use crate::error::{BackendError, ErrorKind};
use crate::job::{Job, JobName};

impl MemoryStore {
    /// Leaves a record under the name that nobody can read, or with `newer` one that a later program wrote.
    /// Of a job that is there it is a change.
    pub fn break_job(&self, name: &JobName, newer: bool) {
        let reason = match newer {
            true => "stored job has form 99, this program knows older ones: upgrade it",
            false => "stored job is malformed: it is here to be so",
        };
        self.shared.change(|state| {
            let version = state.next_version();
            let created = state.jobs.get(name).map(JobRecord::created);
            let broken = BrokenJob {
                name: name.clone(),
                version,
                created: created.unwrap_or(version),
                reason: reason.to_owned(),
                newer,
            };
            state.keep_job(JobRecord::Broken(broken));
        });
    }
}

impl State {
    /// Puts the record under its name, and says so.
    fn keep_job(&mut self, record: JobRecord) {
        let name = record.name().clone();
        self.jobs.insert(name.clone(), record.clone());
        self.job_lives(&name, true);
        self.history.push(Event::Job(record.into()));
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn snapshot(&self) -> Result<JobSnapshot> {
        self.shared.change(|state| {
            if let Some(broken) = state.stopped_by() {
                return Err(broken.error("jobs.snapshot"));
            }
            let records = state.jobs.values().cloned();
            Ok(JobSnapshot::of(records, cursor(state.history.end())))
        })
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
        let found = (self.shared).change(|state| state.jobs.get(name).cloned());
        found.map(|record| record.readable("jobs.get")).transpose()
    }

    async fn put(&self, job: &Job, pre: Precondition) -> Result<Versioned<()>> {
        self.shared.change(|state| {
            let old = state.jobs.get(&job.name);
            if !pre.holds(old.map(JobRecord::version)) {
                return Err(BackendError::new("jobs.put", ErrorKind::Conflict).context(&job.name));
            }
            if let Some(JobRecord::Broken(broken)) = old
                && state.keeps(broken)
            {
                return Err(broken.error("jobs.put"));
            }
            let created = old.map(JobRecord::created);
            let version = state.next_version();
            state.keep_job(JobRecord::Job(StoredJob {
                job: Arc::new(job.clone()),
                version,
                created: created.unwrap_or(version),
            }));
            Ok(Versioned { version, value: () })
        })
    }

    async fn delete(&self, name: &JobName, pre: Precondition) -> Result<()> {
        self.shared.change(|state| {
            let refuse = |kind| Err(BackendError::new("jobs.delete", kind).context(name));
            let Some(old) = state.jobs.get(name) else {
                return refuse(ErrorKind::NotFound);
            };
            if !pre.holds(Some(old.version())) {
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
