//! The job store over the Go fleet's keys.
//!
//! A job stands under the Go fleet's key in its JSON, with our definition as one member more (see
//! [`sandclock_core::go`]). A Go master's save drops that member, so each of our saves also keeps the same value
//! below our prefix, in the same transaction; readers take the definition from there while command and schedule
//! are the same and the copy was written in this life of the key.
//!
//! The key is the job's name. A value that is not a job is told of as broken and hides no other; a Go worker would
//! go on with what it had before (W10 of that fleet's faults).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use etcd_client::KeyValue;
use sandclock_core::backend::{
    BrokenJob, Cursor, Events, JobEvent, JobRecord, JobSnapshot, JobStore, Precondition, Result,
    StoredJob, Version, Versioned,
};
use sandclock_core::go::GoJob;
use sandclock_core::job::{Job, JobName};
use sandclock_core::{BackendError, ErrorKind};

use crate::keys::APART;
use crate::places::{Found, Place, parse, too_large};
use crate::store::Store;
use crate::watch::{self, Change, Source, Watch, cursor, version};

impl Store {
    /// What stands under a job's key, as a job or as why it is none.
    fn record(
        &self,
        name: JobName,
        value: &[u8],
        side: Option<&KeyValue>,
        (version, created): (Version, Version),
    ) -> JobRecord {
        let broken = |name, reason, newer| {
            JobRecord::Broken(BrokenJob {
                name,
                version,
                created,
                reason,
                newer,
            })
        };
        if let Some(reason) = too_large(value.len()) {
            return broken(name, reason, false);
        }
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
            Err(error) => broken(name, error.reason(), error.is_newer()),
        }
    }

    fn record_in(&self, name: JobName, kv: &KeyValue, side: Option<&KeyValue>) -> JobRecord {
        let versions = (version(kv.mod_revision()), version(kv.create_revision()));
        self.record(name, kv.value(), side, versions)
    }

    fn record_found(&self, name: &JobName, found: &Found) -> Option<JobRecord> {
        Some(self.record_in(name.clone(), found.job()?, found.side.as_ref()))
    }

    /// What a change of the Go fleet's key of a job means to readers.
    async fn go_event(&self, op: &'static str, change: Change) -> Result<Vec<JobEvent>> {
        let name = self.keys.job_at(&change.key);
        let Some(value) = change.value else {
            return self.moved(op, name, change.version).await;
        };
        let side = match GoJob::parse(&value) {
            Ok(go) if !go.has_definition() => self.client.get(op, &self.keys.side(&name)).await?,
            _ => None,
        };
        let versions = (change.version, change.created);
        self.places.note(&name, Some(Place::Go));
        let record = self.record(name, &value, side.as_ref(), versions);
        Ok(vec![record.into()])
    }

    /// What a change of our key of a job means to readers: nothing while one of the Go fleet hides it.
    async fn apart_event(&self, op: &'static str, change: Change) -> Result<Vec<JobEvent>> {
        let Some(name) = self.keys.job_of(APART, &change.key) else {
            return Ok(Vec::new());
        };
        let Some(value) = change.value else {
            return self.moved(op, name, change.version).await;
        };
        let theirs = self.client.get(op, &self.keys.job(&name)).await?;
        if theirs.is_some_and(|kv| version(kv.create_revision()) < change.version) {
            return Ok(Vec::new());
        }
        self.places.note(&name, Some(Place::Apart));
        let versions = (change.version, change.created);
        Ok(vec![self.record(name, &value, None, versions).into()])
    }

    /// What it means that a job has left one of its places at this version: what counts now. A job that comes back
    /// into sight is older than what hid it, so that is deleted first.
    async fn moved(&self, op: &'static str, name: JobName, at: Version) -> Result<Vec<JobEvent>> {
        let found = self.find(op, &name).await?;
        let now = self.record_found(&name, &found).map(JobEvent::from);
        let gone = found.version().is_none_or(|version| version < at);
        let gone = gone.then(|| JobEvent::Deleted(name, at));
        Ok(gone.into_iter().chain(now).collect())
    }
}

/// The feed of the jobs, from both of their places.
///
/// Each place has a watch of its own, so that what one has shown says nothing of the other: a cursor is the lesser
/// of what both have seen. Where one place is quiet for long, a watch that is resumed repeats some changes.
struct Feed {
    store: Store,
    go: Watch,
    apart: Watch,
    /// Up to where each has seen everything.
    seen: [i64; 2],
}

impl Feed {
    async fn open(store: &Store, op: &'static str, seen: i64) -> Result<Self> {
        let (go, apart) = (store.keys.jobs(), store.keys.all(APART));
        Ok(Self {
            go: Watch::open(&store.client, op, &go, seen).await?,
            apart: Watch::open(&store.client, op, &apart, seen).await?,
            store: store.clone(),
            seen: [seen; 2],
        })
    }
}

impl Source for Feed {
    type Item = (Cursor, JobEvent);

    async fn next(&mut self) -> Result<Vec<Self::Item>> {
        const OP: &str = "jobs.watch";
        let [in_go, in_apart] = &mut self.seen;
        let (news, own, other, place) = tokio::select! {
            biased;
            news = self.go.next() => (news?, in_go, *in_apart, Place::Go),
            news = self.apart.next() => (news?, in_apart, *in_go, Place::Apart),
        };
        let mut events = Vec::with_capacity(news.changes.len().max(1));
        for change in news.changes {
            let before = cursor(other.min(watch::seen_before(change.version)));
            let told = match place {
                Place::Go => self.store.go_event(OP, change).await?,
                Place::Apart => self.store.apart_event(OP, change).await?,
            };
            events.extend(told.into_iter().map(|event| (before.clone(), event)));
        }
        *own = news.seen;
        if events.is_empty() {
            events.push((cursor(news.seen.min(other)), JobEvent::Progress));
        }
        Ok(events)
    }
}

#[async_trait]
impl JobStore for Store {
    async fn snapshot(&self) -> Result<JobSnapshot> {
        const OP: &str = "jobs.snapshot";
        let (found, at) = self.client.range(OP, &self.keys.jobs(), None).await?;
        let (apart, _) = self
            .client
            .range(OP, &self.keys.all(APART), Some(at))
            .await?;
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
        let copies: BTreeMap<_, _> = sides
            .iter()
            .filter_map(|kv| Some((self.keys.job_of("side", kv.key())?, kv)))
            .collect();
        let mut records = BTreeMap::new();
        for kv in &apart {
            if let Some(name) = self.keys.job_of(APART, kv.key()) {
                self.places.note(&name, Some(Place::Apart));
                records.insert(name.clone(), self.record_in(name, kv, None));
            }
        }
        for kv in &found {
            let name = self.keys.job_at(kv.key());
            self.places.note(&name, Some(Place::Go));
            let record = self.record_in(name.clone(), kv, copies.get(&name).copied());
            records.insert(name, record);
        }
        Ok(JobSnapshot::of(records.into_values(), cursor(at)))
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, JobEvent)>> {
        const OP: &str = "jobs.watch";
        let seen = watch::seen(OP, &from)?;
        let feed = Feed::open(self, OP, seen).await?;
        Ok(watch::events(Vec::new(), feed))
    }

    async fn get(&self, name: &JobName) -> Result<Option<StoredJob>> {
        const OP: &str = "jobs.get";
        let found = self.find(OP, name).await?;
        let record = self.record_found(name, &found);
        record.map(|record| record.readable(OP)).transpose()
    }

    async fn put(&self, job: &Job, pre: Precondition) -> Result<Versioned<()>> {
        const OP: &str = "jobs.put";
        let mut found = match pre {
            Precondition::Absent => Found::default(),
            Precondition::Any | Precondition::Matches(_) => self.find(OP, &job.name).await?,
        };
        while pre.holds(found.version()) {
            if let Some(JobRecord::Broken(broken)) = self.record_found(&job.name, &found)
                && broken.newer
            {
                return Err(broken.error(OP));
            }
            let corrupt = |error| BackendError::new(OP, ErrorKind::Corrupt).source(error);
            let value = GoJob::of(job, found.go().as_ref()).map_err(corrupt)?;
            match self.try_put(OP, &job.name, &value, &found).await? {
                Ok(version) => return Ok(Versioned { version, value: () }),
                Err(instead) => found = instead,
            }
        }
        Err(BackendError::new(OP, ErrorKind::Conflict).context(&job.name))
    }

    async fn delete(&self, name: &JobName, pre: Precondition) -> Result<()> {
        const OP: &str = "jobs.delete";
        let mut found = self.find(OP, name).await?;
        let kind = loop {
            if found.job().is_none() {
                break ErrorKind::NotFound;
            }
            let at = match pre {
                Precondition::Absent => break ErrorKind::Conflict,
                Precondition::Any => None,
                Precondition::Matches(version) => Some(version),
            };
            match self.try_delete(OP, name, at, &found).await? {
                Ok(()) => return Ok(()),
                Err(instead) if at.is_some() && instead.job().is_some() => {
                    break ErrorKind::Conflict;
                }
                Err(instead) => found = instead,
            }
        };
        Err(BackendError::new(OP, kind).context(name))
    }
}
