//! The job store over the Go fleet's keys.
//!
//! A job stands under the Go fleet's key in its JSON, with our definition as one member more (see
//! [`sandclock_core::go`]). A Go master's save drops that member, so each of our saves also keeps the same value
//! below our prefix, in the same transaction; readers take the definition from there while command and schedule
//! are the same and the copy was written in this life of the key.
//!
//! The key is the job's name. A value that is not a job is told of as broken and hides no other; a Go worker would
//! go on with what it had before (W10 of that fleet's faults).

use std::sync::Arc;

use async_trait::async_trait;
use etcd_client::{KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse};
use sandclock_core::backend::{
    BrokenJob, Cursor, Events, JobEvent, JobRecord, JobSnapshot, JobStore, Precondition, Result,
    StoredJob, Version, Versioned,
};
use sandclock_core::go::{GoJob, GoJobError};
use sandclock_core::job::{Job, JobName};
use sandclock_core::{BackendError, ErrorKind};

use crate::client::revision;
use crate::error::Nature;
use crate::facts::{Seen, present, unchanged};
use crate::guard::Guard;
use crate::store::Store;
use crate::watch::{self, Change, Source, Watch, cursor, version};

/// The longest value of a job. A decide carries the job up to three times in one request of 1.5 MiB.
const JOB_BYTES: usize = 400_000;

/// What stands under a job's key and under its copy.
#[derive(Debug, Default)]
pub(crate) struct Found {
    job: Option<KeyValue>,
    side: Option<KeyValue>,
}

impl Found {
    /// From the answers to [`Store::read_both`].
    fn of(answers: Vec<TxnOpResponse>) -> Self {
        let mut kvs = answers.into_iter().map(|answer| match answer {
            TxnOpResponse::Get(mut get) => get.take_kvs().pop(),
            _ => None,
        });
        let (job, side) = (kvs.next().flatten(), kvs.next().flatten());
        Self { job, side }
    }

    pub(crate) fn version(&self) -> Option<Version> {
        let job = self.job.as_ref()?;
        Some(version(job.mod_revision()))
    }

    /// What a save keeps members of others from, if it can be read.
    pub(crate) fn go(&self) -> Option<GoJob> {
        let job = self.job.as_ref()?;
        parse(
            job.value(),
            self.side.as_ref(),
            version(job.create_revision()),
        )
        .ok()
    }
}

/// A value with the definition of its copy, if it needs that and the copy is of this life of the key.
fn parse(
    value: &[u8],
    side: Option<&KeyValue>,
    created: Version,
) -> std::result::Result<GoJob, GoJobError> {
    let go = GoJob::parse(value)?;
    let copy = side
        .filter(|side| version(side.mod_revision()) >= created)
        .and_then(|side| GoJob::parse(side.value()).ok());
    Ok(match copy {
        Some(copy) => go.joined(&copy),
        None => go,
    })
}

impl Store {
    fn read_both(&self, name: &JobName) -> [TxnOp; 2] {
        [self.keys.job(name), self.keys.side(name)].map(|key| TxnOp::get(key, None))
    }

    pub(crate) async fn find(&self, op: &'static str, name: &JobName) -> Result<Found> {
        let txn = Txn::new().and_then(self.read_both(name));
        let answer = self.client.txn(op, Nature::Reads, txn).await?;
        Ok(Found::of(answer.op_responses()))
    }

    /// What stands under a job's key, as a job or as why it is none.
    fn record(
        &self,
        name: JobName,
        value: &[u8],
        side: Option<&KeyValue>,
        (version, created): (Version, Version),
    ) -> JobRecord {
        let read = parse(value, side, created)
            .and_then(|go| Ok((go.job(&name, &self.config.go_defaults)?, go)));
        match read {
            Ok((job, go)) => {
                if go.name() != name.as_str() {
                    let value = go.name();
                    tracing::warn!(job = %name, value, "a job's value has another name than its key");
                }
                JobRecord::Job(StoredJob {
                    job: Arc::new(job),
                    version,
                    created,
                })
            }
            Err(error) => JobRecord::Broken(BrokenJob {
                name,
                version,
                created,
                reason: error.reason(),
                newer: error.is_newer(),
            }),
        }
    }

    fn record_in(&self, kv: &KeyValue, side: Option<&KeyValue>) -> JobRecord {
        let versions = (version(kv.mod_revision()), version(kv.create_revision()));
        let name = self.keys.job_at(kv.key());
        self.record(name, kv.value(), side, versions)
    }

    fn found(&self, found: &Found) -> Option<JobRecord> {
        let job = found.job.as_ref()?;
        Some(self.record_in(job, found.side.as_ref()))
    }

    fn encode(&self, op: &'static str, job: &Job, old: Option<&GoJob>) -> Result<Vec<u8>> {
        let go = GoJob::of(job, old);
        let go = go.map_err(|error| BackendError::new(op, ErrorKind::Corrupt).source(error))?;
        Ok(go.to_bytes())
    }

    /// Saves a job's value over what was found, or finds what is there instead.
    pub(crate) async fn try_put(
        &self,
        op: &'static str,
        name: &JobName,
        value: &[u8],
        found: &Found,
    ) -> Result<std::result::Result<Version, Found>> {
        if value.len() > JOB_BYTES {
            let refused = BackendError::new(op, ErrorKind::InvalidConfig);
            let bytes = value.len();
            return Err(refused.context(format!("{name} has {bytes} bytes, at most {JOB_BYTES}")));
        }
        let (key, side) = (self.keys.job(name), self.keys.side(name));
        let as_found = Seen::read(found.job.as_ref()).guard(key.clone());
        let guard = self.guards.only(Guard::Saved, as_found);
        let txn = Txn::new()
            .when(guard.into_iter().collect::<Vec<_>>())
            .and_then([
                TxnOp::put(key, value, None),
                TxnOp::put(side, value, None),
                TxnOp::delete(self.keys.orphan(name), None),
            ])
            .or_else(self.read_both(name));
        let answer = self.client.txn(op, Nature::Writes, txn).await?;
        Ok(match answer.succeeded() {
            true => Ok(version(revision(answer.header()))),
            false => Err(Found::of(answer.op_responses())),
        })
    }

    /// Deletes the job if it is there and at the version named, and begins the week of its mark.
    async fn try_delete(
        &self,
        op: &'static str,
        name: &JobName,
        at: Option<Version>,
    ) -> Result<TxnResponse> {
        let lease = self.orphans.take(&self.client, op).await?;
        let key = self.keys.job(name);
        let guard = match at {
            None => present(key.clone()),
            Some(at) => unchanged(key.clone(), at),
        };
        let orphan = Txn::new()
            .when([present(self.keys.mark(name))])
            .and_then([self.orphaned(name, lease)]);
        let guard = self.guards.only(Guard::Deleted, guard);
        let txn = Txn::new()
            .when(guard.into_iter().collect::<Vec<_>>())
            .and_then([
                TxnOp::delete(key.clone(), None),
                TxnOp::delete(self.keys.side(name), None),
                TxnOp::txn(orphan),
            ])
            .or_else([TxnOp::get(key, None)]);
        self.client.txn(op, Nature::Writes, txn).await
    }

    /// What a change of a job's key means to readers.
    async fn job_event(&self, op: &'static str, change: Change) -> Result<JobEvent> {
        let name = self.keys.job_at(&change.key);
        let Some(value) = change.value else {
            return Ok(JobEvent::Deleted(name, change.version));
        };
        let side = match GoJob::parse(&value) {
            Ok(go) if !go.has_definition() => self.client.get(op, &self.keys.side(&name)).await?,
            _ => None,
        };
        let versions = (change.version, change.created);
        Ok(self.record(name, &value, side.as_ref(), versions).into())
    }
}

/// The feed of the jobs.
struct Feed {
    store: Store,
    watch: Watch,
}

impl Source for Feed {
    type Item = (Cursor, JobEvent);

    async fn next(&mut self) -> Result<Vec<Self::Item>> {
        let news = self.watch.next().await?;
        let mut events = Vec::with_capacity(news.changes.len().max(1));
        for change in news.changes {
            let before = watch::before(change.version);
            events.push((before, self.store.job_event("jobs.watch", change).await?));
        }
        if events.is_empty() {
            events.push((cursor(news.seen), JobEvent::Progress));
        }
        Ok(events)
    }
}

#[async_trait]
impl JobStore for Store {
    async fn snapshot(&self) -> Result<JobSnapshot> {
        const OP: &str = "jobs.snapshot";
        let (found, at) = self.client.range(OP, &self.keys.jobs(), None).await?;
        let dropped = |kv: &KeyValue| GoJob::parse(kv.value()).is_ok_and(|go| !go.has_definition());
        let sides = match found.iter().any(dropped) {
            true => {
                self.client
                    .range(OP, &self.keys.all("side"), Some(at))
                    .await?
                    .0
            }
            false => Vec::new(),
        };
        let copies: std::collections::BTreeMap<_, _> = sides
            .iter()
            .filter_map(|kv| Some((self.keys.job_of("side", kv.key())?, kv)))
            .collect();
        let records = found.iter().map(|kv| {
            let name = self.keys.job_at(kv.key());
            self.record_in(kv, copies.get(&name).copied())
        });
        Ok(JobSnapshot::of(records, cursor(at)))
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, JobEvent)>> {
        const OP: &str = "jobs.watch";
        let seen = watch::seen(OP, &from)?;
        let watch = Watch::open(&self.client, OP, &self.keys.jobs(), seen).await?;
        let store = self.clone();
        Ok(watch::events(Vec::new(), Feed { store, watch }))
    }

    async fn get(&self, name: &JobName) -> Result<Option<StoredJob>> {
        const OP: &str = "jobs.get";
        let found = self.find(OP, name).await?;
        let record = self.found(&found);
        record.map(|record| record.readable(OP)).transpose()
    }

    async fn put(&self, job: &Job, pre: Precondition) -> Result<Versioned<()>> {
        const OP: &str = "jobs.put";
        let mut found = match pre {
            Precondition::Absent => Found::default(),
            Precondition::Any | Precondition::Matches(_) => self.find(OP, &job.name).await?,
        };
        while pre.holds(found.version()) {
            if let Some(JobRecord::Broken(broken)) = self.found(&found)
                && broken.newer
            {
                return Err(broken.error(OP));
            }
            let value = self.encode(OP, job, found.go().as_ref())?;
            match self.try_put(OP, &job.name, &value, &found).await? {
                Ok(version) => return Ok(Versioned { version, value: () }),
                Err(instead) => found = instead,
            }
        }
        Err(BackendError::new(OP, ErrorKind::Conflict).context(&job.name))
    }

    async fn delete(&self, name: &JobName, pre: Precondition) -> Result<()> {
        const OP: &str = "jobs.delete";
        let found = match pre {
            Precondition::Absent => self.find(OP, name).await?.job,
            Precondition::Any | Precondition::Matches(_) => {
                let at = match pre {
                    Precondition::Matches(version) => Some(version),
                    _ => None,
                };
                let answer = self.try_delete(OP, name, at).await?;
                if answer.succeeded() {
                    return Ok(());
                }
                Found::of(answer.op_responses()).job
            }
        };
        let kind = match found {
            Some(_) => ErrorKind::Conflict,
            None => ErrorKind::NotFound,
        };
        Err(BackendError::new(OP, kind).context(name))
    }
}
