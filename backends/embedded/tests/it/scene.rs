//! A store in a folder of its own, and the few requests that these tests make.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sandclock_backend_embedded::{Embedded, EmbeddedConfig};
use sandclock_core::backend::{
    Adopt, Adopted, Coordination, Decide, DecideFate, Decided, End, EndHow, Ended, Fence,
    Generation, Mark, Nonce, Pinned, Precondition, SessionId, Version,
};
use sandclock_core::job::{Job, JobName};
use sandclock_core::policy::{ConcurrencyPolicy, Streak};
use sandclock_core::run::{Outcome, RunKey, RunState};
use sandclock_testkit::conformance::worker;

pub(crate) use sandclock_testkit::conformance::at;

/// A lease that no test outlives by accident.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// A folder for one store.
#[derive(Debug)]
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("the folder")
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder().join("store.db")
    }

    pub(crate) fn open(&self) -> Embedded {
        Embedded::open(config(&self.path())).expect("open")
    }
}

pub(crate) fn config(path: &Path) -> EmbeddedConfig {
    EmbeddedConfig {
        path: path.to_owned(),
    }
}

pub(crate) fn job(name: &str) -> Job {
    Job {
        concurrency: ConcurrencyPolicy::Forbid,
        ..Job::shell(JobName::parse(name).expect("a valid name"), "true")
    }
}

pub(crate) async fn open_session(store: &Coordination) -> SessionId {
    let session = store.sessions.open(&worker("w"), LONG).await;
    session.expect("session").id
}

pub(crate) fn outcome(state: RunState) -> Outcome {
    Outcome::without_process(state, "as the test says", at(1))
}

pub(crate) fn mark(seconds: i64) -> Mark {
    Mark {
        at: at(seconds),
        generation: Generation(7),
        streak: Streak::default(),
    }
}

/// A job with a mark at second 0.
pub(crate) async fn planned_job(store: &Coordination, name: &str) -> Pinned {
    let job = job(name);
    let put = store.jobs.put(&job, Precondition::Any).await.expect("put");
    let pinned = Pinned {
        job: Arc::new(job),
        version: put.version,
    };
    adopt(store, &pinned, None).await;
    pinned
}

pub(crate) async fn adopt(store: &Coordination, pinned: &Pinned, seen: Option<Version>) {
    let adopt = Adopt {
        pinned: pinned.clone(),
        seen,
        to: at(0),
        generation: Generation(7),
        owed: None,
        worker: "w".to_owned(),
    };
    let adopted = store.fires.adopt(&adopt).await.expect("adopt");
    assert!(matches!(adopted, Adopted::Done(_)), "{adopted:?}");
}

/// The decision that the tick `prev + 1` runs.
pub(crate) fn due(pinned: &Pinned, prev: Mark, nonce: u128) -> Decide {
    Decide {
        pinned: pinned.clone(),
        prev,
        fire: prev.at.plus(Duration::from_secs(1)),
        passed: None,
        fate: DecideFate::Run {
            policy: pinned.job.concurrency,
            busy: outcome(RunState::Skipped),
            in_turn: false,
        },
        worker: "w".to_owned(),
        nonce: Nonce(nonce),
    }
}

/// Claims the tick after `prev`.
pub(crate) async fn claim(
    store: &Coordination,
    session: &SessionId,
    pinned: &Pinned,
    prev: Mark,
) -> Fence {
    let due = due(pinned, prev, 1);
    let decided = store.fires.decide(session, &[due]).await.expect("decide");
    match decided.as_slice() {
        [Decided::Held { fence, .. }] => *fence,
        other => panic!("not held: {other:?}"),
    }
}

pub(crate) fn end_of(pinned: &Pinned, key: RunKey, fence: Fence) -> End {
    End {
        job: pinned.job.name.clone(),
        key,
        fence,
        how: EndHow::Terminal(outcome(RunState::Succeeded)),
        worker: "w".to_owned(),
    }
}

pub(crate) async fn end(store: &Coordination, pinned: &Pinned, key: RunKey, fence: Fence) {
    let ended = store.fires.end(&end_of(pinned, key, fence)).await;
    let ended = ended.expect("end");
    assert!(matches!(ended, Ended::Done(_)), "{ended:?}");
}
