//! Whether Go workers share the jobs: by configuration, or because they leave traces.
//!
//! A Go worker registers with an empty value, ours with one that says whose it is; and it locks each job that it
//! runs. Whoever follows the sessions follows these two as well. While a Go worker is registered, or within
//! [`TRACE`] of a lock that none of ours took, claims take that fleet's lock and each job admits one run at a time,
//! as if `beside_go` had been set; and the log says so. A registration comes seconds before the first lock, so that
//! a Go worker which is started finds a fleet that knows of it.
//!
//! A lock that a Go worker took since a tick was due says that it ran the tick, even if the lock is free again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::KeyValue;
use sandclock_core::job::JobName;
use tokio::time::Instant;

use crate::keys::Keys;
use crate::locks;
use crate::sessions;
use crate::watch::Change;

/// How long a lock tells of a Go worker that is registered nowhere we look: its copies differ in where they do. It is
/// also how far back a late tick may have been run by one, which is longer than a tick may be late by default.
const TRACE: Duration = Duration::from_secs(3600);

/// What is known of Go workers.
#[derive(Debug)]
pub(crate) struct Beside {
    configured: bool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The addresses of registered Go workers.
    registered: BTreeSet<String>,
    /// When a job's lock was last taken by one of them.
    locked: BTreeMap<JobName, Instant>,
    /// Jobs of which it was said that they admit one run at a time.
    told: BTreeSet<JobName>,
}

impl Seen {
    fn any(&self) -> bool {
        let recent = |at: &Instant| at.elapsed() < TRACE;
        !self.registered.is_empty() || self.locked.values().any(recent)
    }
}

/// Whether a registration is one of ours.
pub(crate) fn is_ours(value: &[u8]) -> bool {
    value.starts_with(sessions::REGISTERED.as_bytes())
}

impl Beside {
    pub(crate) fn new(configured: bool) -> Self {
        Self {
            configured,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether Go workers share the jobs.
    pub(crate) fn share_jobs(&self) -> bool {
        self.configured || self.seen().any()
    }

    /// Whether a Go worker took a job's lock within the last `span`.
    pub(crate) fn locked_within(&self, job: &JobName, span: Duration) -> bool {
        let at = self.seen().locked.get(job).copied();
        at.is_some_and(|at| at.elapsed() <= span)
    }

    /// Whether it is to be said of this job that it admits one run at a time: once.
    pub(crate) fn tell_exclusive(&self, job: &JobName) -> bool {
        self.seen().told.insert(job.clone())
    }

    /// These are registered, and no others.
    pub(crate) fn list(&self, keys: &Keys, registered: &[KeyValue]) {
        let theirs = registered.iter().filter(|kv| !is_ours(kv.value()));
        let theirs = theirs.map(|kv| keys.worker_at(kv.key())).collect();
        self.change(|seen| seen.registered = theirs);
    }

    /// A registration has changed.
    pub(crate) fn registration(&self, keys: &Keys, change: &Change) {
        let address = keys.worker_at(&change.key);
        let theirs = change.value.as_ref().is_some_and(|value| !is_ours(value));
        self.change(|seen| match theirs {
            true => seen.registered.insert(address),
            false => seen.registered.remove(&address),
        });
    }

    /// A lock has changed.
    pub(crate) fn lock(&self, keys: &Keys, change: &Change) {
        let taken = change.value.as_ref();
        if taken.is_none_or(|value| locks::is_ours(value)) {
            return;
        }
        let job = keys.locked_by(&change.key);
        self.change(|seen| {
            seen.locked.retain(|_, at| at.elapsed() < TRACE);
            seen.locked.insert(job, Instant::now())
        });
    }

    /// Changes what is known, and says if that makes a difference to claims.
    fn change<T>(&self, change: impl FnOnce(&mut Seen) -> T) {
        let (before, after, workers) = {
            let mut seen = self.seen();
            let before = seen.any();
            change(&mut seen);
            let workers: Vec<_> = seen.registered.iter().cloned().collect();
            (before, seen.any(), workers.join(", "))
        };
        if self.configured || before == after {
            return;
        }
        match after {
            true => tracing::warn!(
                workers,
                "workers of a Go fleet share the jobs, though coordination.beside_go is not set: from now on each \
                 job admits one run at a time and takes that fleet's lock, which a worker that has just started \
                 does not know yet; set coordination.beside_go = true on all workers until the last Go worker is gone"
            ),
            false => tracing::warn!(
                "no worker of a Go fleet is registered any more: jobs may have several runs at a time again"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EtcdConfig;
    use sandclock_core::backend::{SessionId, Version};

    fn change(key: &str, value: Option<&[u8]>) -> Change {
        Change {
            key: key.as_bytes().to_vec(),
            value: value.map(<[u8]>::to_vec),
            version: Version(1),
            created: Version(1),
        }
    }

    #[test]
    fn a_registration_without_our_metadata_is_a_go_workers() {
        let keys = Keys::of(&EtcdConfig::at(["localhost:2379"]));
        let beside = Beside::new(false);
        let key = "/cron/workers/192.0.2.1";
        let ours = sessions::registration(&SessionId("a".to_owned()));
        for (value, shared) in [
            (Some(ours.as_bytes()), false),
            (Some(b"".as_slice()), true),
            (Some(ours.as_bytes()), false),
            (Some(br#"{"name":"w","ip":"192.0.2.1"}"#), true),
            (None, false),
        ] {
            beside.registration(&keys, &change(key, value));
            assert_eq!(beside.share_jobs(), shared, "{value:?}");
        }
        assert!(Beside::new(true).share_jobs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_of_a_go_worker_is_a_trace_for_an_hour() {
        let keys = Keys::of(&EtcdConfig::at(["localhost:2379"]));
        let beside = Beside::new(false);
        let (key, job) = ("/cron/lock/a b/c", JobName::existing("a b/c"));
        let ours = locks::value(&SessionId("a".to_owned()));
        beside.lock(&keys, &change(key, Some(&ours)));
        beside.lock(&keys, &change(key, None));
        assert!(!beside.share_jobs());
        beside.lock(&keys, &change(key, Some(b"")));
        beside.lock(&keys, &change(key, None));
        assert!(beside.share_jobs());
        tokio::time::advance(Duration::from_secs(2)).await;
        let within = |ms| beside.locked_within(&job, Duration::from_millis(ms));
        assert!(within(2_000) && !within(1_999));
        tokio::time::advance(TRACE).await;
        assert!(!beside.share_jobs());
    }
}
