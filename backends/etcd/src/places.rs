//! Where a job stands: under the Go fleet's key, or under one of ours.
//!
//! A Go worker runs what stands under its prefix, by its command and schedule alone. So a job with which it would
//! do something else than we do ([`GoJob::is_unlike`]), such as one that is not enabled, stands below our own prefix.
//! Each save puts the job where it belongs and takes it from the other place in the same transaction. This does not
//! wait for a Go worker to be seen: one that is started would run such jobs before anybody could move them.
//!
//! If both keys are there, because a Go master has made a job of a name that we keep, the Go fleet's counts: its
//! workers run that. The next save of ours, or a deletion, leaves one or none.
//!
//! A guard on a job compares the key at which the job was found. A key of ours also asks for the absence of the
//! other, which may come back; a claim that is late by that much is one of a job that stands as it was planned.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use etcd_client::{KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse};
use sandclock_core::backend::{Result, Version};
use sandclock_core::go::{GoJob, GoJobError};
use sandclock_core::job::JobName;
use sandclock_core::{BackendError, ErrorKind};

use crate::client::revision;
use crate::error::Nature;
use crate::facts::{Seen, present, unchanged};
use crate::guard::Guard;
use crate::keys::Key;
use crate::store::Store;
use crate::watch::version;

/// The longest value of a job. A decide carries the job several times in one request of 1.5 MiB.
const JOB_BYTES: usize = 400_000;

/// Why a job of so many bytes cannot be one: no record of its runs would fit into a request. A Go master stores it
/// all the same; to execute its command is beyond what Linux takes as an argument.
pub(crate) fn too_large(bytes: usize) -> Option<String> {
    (bytes > JOB_BYTES).then(|| format!("it has {bytes} bytes, at most {JOB_BYTES} are accepted"))
}

/// Which of a job's two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The Go fleet's.
    Go,
    /// Below our prefix.
    Apart,
}

/// Which jobs stood below our prefix when somebody looked. It says where a guard is tried first and nothing more.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<BTreeSet<JobName>>);

impl Places {
    pub(crate) fn note(&self, name: &JobName, place: Option<Place>) {
        let mut apart = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match place {
            Some(Place::Apart) => apart.insert(name.clone()),
            Some(Place::Go) | None => apart.remove(name),
        };
    }

    pub(crate) fn of(&self, name: &JobName) -> Place {
        let apart = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match apart.contains(name) {
            true => Place::Apart,
            false => Place::Go,
        }
    }
}

/// What stands under a job's keys and under its copy.
#[derive(Debug, Default)]
pub(crate) struct Found {
    go: Option<KeyValue>,
    apart: Option<KeyValue>,
    pub(crate) side: Option<KeyValue>,
}

impl Found {
    /// From the answers to [`Store::read_job`].
    fn of(answers: Vec<TxnOpResponse>) -> Self {
        let mut kvs = answers.into_iter().map(|answer| match answer {
            TxnOpResponse::Get(mut get) => get.take_kvs().pop(),
            _ => None,
        });
        Self {
            go: kvs.next().flatten(),
            apart: kvs.next().flatten(),
            side: kvs.next().flatten(),
        }
    }

    /// The one that counts.
    pub(crate) fn job(&self) -> Option<&KeyValue> {
        self.go.as_ref().or(self.apart.as_ref())
    }

    fn place(&self) -> Option<Place> {
        match (&self.go, &self.apart) {
            (Some(_), _) => Some(Place::Go),
            (None, Some(_)) => Some(Place::Apart),
            (None, None) => None,
        }
    }

    pub(crate) fn version(&self) -> Option<Version> {
        Some(version(self.job()?.mod_revision()))
    }

    /// What a save keeps members of others from, if it can be read.
    pub(crate) fn go(&self) -> Option<GoJob> {
        let job = self.job()?;
        let created = version(job.create_revision());
        parse(job.value(), self.side.as_ref(), created).ok()
    }
}

/// A value with the definition of its copy, if it needs that and the copy is of this life of the key.
pub(crate) fn parse(
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
    /// The key of a job in a place.
    pub(crate) fn key_in(&self, place: Place, name: &JobName) -> Key {
        match place {
            Place::Go => self.keys.job(name),
            Place::Apart => self.keys.job_apart(name),
        }
    }

    fn read_job(&self, name: &JobName) -> [TxnOp; 3] {
        let [go, apart] = self.keys.both(name);
        [go, apart, self.keys.side(name)].map(|key| TxnOp::get(key, None))
    }

    fn found(&self, name: &JobName, answer: &TxnResponse) -> Found {
        let found = Found::of(answer.op_responses());
        self.places.note(name, found.place());
        found
    }

    pub(crate) async fn find(&self, op: &'static str, name: &JobName) -> Result<Found> {
        let txn = Txn::new().and_then(self.read_job(name));
        let answer = self.client.txn(op, Nature::Reads, txn).await?;
        Ok(self.found(name, &answer))
    }

    /// Where a value belongs.
    fn place_of(&self, name: &JobName, value: &GoJob) -> Place {
        match value.is_unlike(name, &self.config.go_defaults) {
            Some(_) => Place::Apart,
            None => Place::Go,
        }
    }

    /// Saves a job's value over what was found, or finds what is there instead.
    pub(crate) async fn try_put(
        &self,
        op: &'static str,
        name: &JobName,
        value: &GoJob,
        found: &Found,
    ) -> Result<std::result::Result<Version, Found>> {
        let bytes = value.to_bytes();
        if let Some(why) = too_large(bytes.len()) {
            let refused = BackendError::new(op, ErrorKind::InvalidConfig);
            return Err(refused.context(format!("job {name}: {why}")));
        }
        let [go, apart] = self.keys.both(name);
        let as_found = [
            Seen::read(found.go.as_ref()).guard(go.clone()),
            Seen::read(found.apart.as_ref()).guard(apart.clone()),
        ];
        let guard = self.guards.only(Guard::Saved, as_found);
        let place = self.place_of(name, value);
        let side = self.keys.side(name);
        let writes = match place {
            Place::Go => [
                TxnOp::put(go, bytes.clone(), None),
                TxnOp::delete(apart, None),
                TxnOp::put(side, bytes, None),
            ],
            Place::Apart => [
                TxnOp::put(apart, bytes, None),
                TxnOp::delete(go, None),
                TxnOp::delete(side, None),
            ],
        };
        let no_orphan = TxnOp::delete(self.keys.orphan(name), None);
        let txn = Txn::new()
            .when(guard.into_iter().flatten().collect::<Vec<_>>())
            .and_then(writes.into_iter().chain([no_orphan]).collect::<Vec<_>>())
            .or_else(self.read_job(name));
        let answer = self.client.txn(op, Nature::Writes, txn).await?;
        if !answer.succeeded() {
            return Ok(Err(self.found(name, &answer)));
        }
        self.places.note(name, Some(place));
        Ok(Ok(version(revision(answer.header()))))
    }

    /// Deletes the job where it was found, if it is there and at the version named, and begins the week of its mark;
    /// or finds what is there instead.
    pub(crate) async fn try_delete(
        &self,
        op: &'static str,
        name: &JobName,
        at: Option<Version>,
        found: &Found,
    ) -> Result<std::result::Result<(), Found>> {
        let lease = self.orphans.take(&self.client, op).await?;
        let key = self.key_in(found.place().unwrap_or(Place::Go), name);
        let guard = match at {
            None => present(key),
            Some(at) => unchanged(key, at),
        };
        let orphan = Txn::new()
            .when([present(self.keys.mark(name))])
            .and_then([self.orphaned(name, lease)]);
        let guard = self.guards.only(Guard::Deleted, guard);
        let txn = Txn::new()
            .when(guard.into_iter().collect::<Vec<_>>())
            .and_then([
                TxnOp::delete(self.keys.job(name), None),
                TxnOp::delete(self.keys.job_apart(name), None),
                TxnOp::delete(self.keys.side(name), None),
                TxnOp::txn(orphan),
            ])
            .or_else(self.read_job(name));
        let answer = self.client.txn(op, Nature::Writes, txn).await?;
        if !answer.succeeded() {
            return Ok(Err(self.found(name, &answer)));
        }
        self.places.note(name, None);
        Ok(Ok(()))
    }
}
