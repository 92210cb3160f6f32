//! A backend below prefixes of its own, a client that shares nothing with it, and the few requests that these
//! tests make.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, KeyValue};
use sandclock_backend_etcd::{EtcdConfig, Guard, connect, connect_without};
use sandclock_core::backend::{
    Adopt, Adopted, Coordination, Decide, DecideFate, Decided, End, EndHow, Ended, Fence,
    Generation, Mark, Nonce, Pinned, Precondition, SessionId,
};
use sandclock_core::job::{Job, JobName};
use sandclock_core::policy::Streak;
use sandclock_core::run::{Outcome, RunKey, RunState};
use sandclock_testkit::conformance::worker;

pub(crate) use sandclock_testkit::conformance::at;

use crate::fresh::{config, raw};

pub(crate) fn job(name: &str) -> Job {
    Job::shell(JobName::existing(name), "true")
}

pub(crate) fn outcome(state: RunState) -> Outcome {
    Outcome::without_process(state, "as the test says", at(1))
}

/// The mark at `seconds`, of a job that has always succeeded or never run.
pub(crate) fn mark(seconds: i64, last: Option<RunState>) -> Mark {
    Mark {
        at: at(seconds),
        generation: Generation(7),
        streak: Streak { last, failures: 0 },
    }
}

/// A store of one test, and another view of it.
pub(crate) struct Scene {
    pub(crate) config: EtcdConfig,
    pub(crate) store: Coordination,
    /// Shares no code with the backend.
    pub(crate) raw: Client,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(config()).await
    }

    pub(crate) async fn of(config: EtcdConfig) -> Self {
        Self {
            store: connect(config.clone()).await.expect("connect"),
            raw: raw().await,
            config,
        }
    }

    /// A store that lacks a guard.
    pub(crate) async fn without(guard: Guard, config: EtcdConfig) -> Self {
        Self {
            store: connect_without(config.clone(), guard)
                .await
                .expect("connect"),
            raw: raw().await,
            config,
        }
    }

    /// What stands at a key, as a stranger sees it.
    pub(crate) async fn at(&self, key: &str) -> Option<KeyValue> {
        let mut raw = self.raw.clone();
        raw.get(key, None).await.expect("get").take_kvs().pop()
    }

    pub(crate) async fn text(&self, key: &str) -> Option<String> {
        let kv = self.at(key).await?;
        Some(String::from_utf8(kv.value().to_vec()).expect("text"))
    }

    /// What a stranger puts.
    pub(crate) async fn put(&self, key: &str, value: impl Into<Vec<u8>>) {
        let mut raw = self.raw.clone();
        raw.put(key, value, None).await.expect("put");
    }

    pub(crate) async fn remove(&self, key: &str) {
        let mut raw = self.raw.clone();
        raw.delete(key, None).await.expect("delete");
    }

    pub(crate) fn job_key(&self, name: &str) -> String {
        format!("{}{name}", self.config.go.jobs)
    }

    pub(crate) fn lock_key(&self, name: &str) -> String {
        format!("{}{name}", self.config.go.locks)
    }

    pub(crate) fn own_key(&self, rest: &str) -> String {
        format!("{}{rest}", self.config.prefix)
    }

    pub(crate) async fn session(&self) -> SessionId {
        let me = worker("w");
        let opened = self.store.sessions.open(&me, Duration::from_secs(600));
        opened.await.expect("session").id
    }

    /// A job with a mark at second 0.
    pub(crate) async fn planned(&self, name: &str) -> Pinned {
        self.planned_as(job(name)).await
    }

    /// This job, with a mark at second 0.
    pub(crate) async fn planned_as(&self, job: Job) -> Pinned {
        let job = Arc::new(job);
        let put = self.store.jobs.put(&job, Precondition::Absent).await;
        let version = put.expect("put").version;
        let pinned = Pinned { job, version };
        let adopt = Adopt {
            pinned: pinned.clone(),
            seen: None,
            to: at(0),
            generation: Generation(7),
            owed: None,
            worker: "w".to_owned(),
        };
        let adopted = self.store.fires.adopt(&adopt).await.expect("adopt");
        assert!(matches!(adopted, Adopted::Done(_)), "{adopted:?}");
        pinned
    }

    /// Decides ticks, and holds all of them.
    pub(crate) async fn hold(&self, session: &SessionId, due: &[Decide]) -> Vec<Fence> {
        let decided = self.store.fires.decide(session, due).await.expect("decide");
        let fence = |decided| match decided {
            Decided::Held { fence, .. } => fence,
            other => panic!("not held: {other:?}"),
        };
        decided.into_iter().map(fence).collect()
    }

    /// Ends a run as succeeded.
    pub(crate) async fn end(&self, due: &Decide, fence: Fence) {
        let end = End {
            job: due.job().clone(),
            key: RunKey::Tick(due.fire),
            fence,
            how: EndHow::Terminal(outcome(RunState::Succeeded)),
            worker: "w".to_owned(),
        };
        let ended = self.store.fires.end(&end).await.expect("end");
        assert!(matches!(ended, Ended::Done(_)), "{ended:?}");
    }
}

/// The decision that the tick at `seconds` runs.
pub(crate) fn due(pinned: &Pinned, prev: Mark, seconds: i64) -> Decide {
    Decide {
        pinned: pinned.clone(),
        prev,
        fire: at(seconds),
        passed: None,
        fate: DecideFate::Run {
            policy: pinned.job.concurrency,
            busy: outcome(RunState::Skipped),
            in_turn: false,
        },
        worker: "w".to_owned(),
        nonce: Nonce(u128::from(seconds.unsigned_abs())),
    }
}
