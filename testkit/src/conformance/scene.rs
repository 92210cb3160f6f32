//! The scene of most cases: a job with a mark, and a worker with a session that decides about it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sandclock_core::Timestamp;
use sandclock_core::backend::{
    Adopt, Adopted, Decide, DecideFate, Decided, DoneRecord, End, EndHow, Ended, Fence, FireView,
    Generation, Kill, Mark, Nonce, OpenRecord, Pinned, Precondition, RecordSeen, Request, Result,
    SessionId, Settle, SettleAs, Settled, Take, TakeFrom, Taken, Triggered, Version, Versioned,
    WaitRecord, WorkerInfo,
};
use sandclock_core::job::{Job, JobName, ScheduleSpec};
use sandclock_core::policy::ConcurrencyPolicy;
use sandclock_core::run::{Outcome, RunId, RunKey, RunState};

use super::CoordinationEnv;

/// A lease that no case outlives by accident.
pub(super) const LONG: Duration = Duration::from_secs(600);

/// `seconds` after the scene's first mark.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + seconds * 1000)
}

/// The key of the tick at `seconds`.
pub(super) fn tick(seconds: i64) -> RunKey {
    RunKey::Tick(at(seconds))
}

/// A nonce that no other claim of this process has.
pub(super) fn nonce() -> Nonce {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Nonce(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// A name that may be created.
pub(super) fn name(text: &str) -> JobName {
    JobName::parse(text).expect("a valid name")
}

/// A job with this policy, of which nothing but its schedule could matter to a store that others share.
pub(super) fn job(text: &str, policy: ConcurrencyPolicy) -> Job {
    Job {
        concurrency: policy,
        schedule: Some(ScheduleSpec::utc("0 3 * * *")),
        ..Job::shell(name(text), "true")
    }
}

/// What a worker says of itself.
pub fn worker(name: &str) -> WorkerInfo {
    WorkerInfo {
        name: name.to_owned(),
        host: "host".to_owned(),
        labels: BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
        max_concurrent_runs: 8,
        running: 0,
        draining: false,
        clock_doubted: false,
        time_zone: Some("UTC".to_owned()),
        zone_differs: false,
        started_at: at(-3600),
        wall_time: at(0),
        version: "1.2.3".to_owned(),
    }
}

/// An outcome without a process.
pub(super) fn ended(state: RunState) -> Outcome {
    Outcome::without_process(state, format!("it is {state}"), at(1))
}

/// Sees everything that the store holds.
pub(super) async fn view(env: &CoordinationEnv) -> FireView {
    env.feed.snapshot().await.expect("snapshot").0
}

/// One job and one worker.
#[derive(Clone, Debug)]
pub(super) struct Scene<'a> {
    pub(super) env: &'a CoordinationEnv,
    pub(super) pinned: Pinned,
    pub(super) session: SessionId,
    pub(super) worker: String,
}

impl<'a> Scene<'a> {
    /// A job with this policy and a mark at second 0, and a worker with a session.
    pub(super) async fn new(env: &'a CoordinationEnv, policy: ConcurrencyPolicy) -> Self {
        Self::of(env, job("reports", policy)).await
    }

    /// The same with this job.
    pub(super) async fn of(env: &'a CoordinationEnv, job: Job) -> Self {
        let put = env.jobs.put(&job, Precondition::Absent).await.expect("put");
        let scene = Self {
            env,
            pinned: Pinned {
                job: Arc::new(job),
                version: put.version,
            },
            session: open_session(env, "worker-1").await,
            worker: "worker-1".to_owned(),
        };
        let adopted = scene.adopt(None, at(0), Generation(7)).await;
        assert!(
            matches!(adopted, Adopted::Done(_)),
            "first mark: {adopted:?}"
        );
        scene
    }

    /// The same job, decided about by another worker.
    pub(super) async fn other_worker(&self, name: &str) -> Self {
        Self {
            session: open_session(self.env, name).await,
            worker: name.to_owned(),
            ..self.clone()
        }
    }

    pub(super) fn job(&self) -> &JobName {
        &self.pinned.job.name
    }

    pub(super) fn run(&self, key: &RunKey) -> RunId {
        RunId::of(self.job(), key)
    }

    /// Saves the job again, changed; the scene keeps the old version.
    pub(super) async fn edit(&self) -> Version {
        let job = Job {
            description: "changed".to_owned(),
            ..(*self.pinned.job).clone()
        };
        let put = self.env.jobs.put(&job, Precondition::Any).await;
        put.expect("put").version
    }

    pub(super) async fn mark(&self) -> Versioned<Mark> {
        let marks = view(self.env).await.marks;
        let mine = marks.into_iter().find(|(job, _)| job == self.job());
        mine.expect("the job has a mark").1
    }

    pub(super) async fn adopt(
        &self,
        seen: Option<Version>,
        to: Timestamp,
        generation: Generation,
    ) -> Adopted {
        let adopt = Adopt {
            pinned: self.pinned.clone(),
            seen,
            to,
            generation,
            owed: None,
            worker: self.worker.clone(),
        };
        self.env.fires.adopt(&adopt).await.expect("adopt")
    }

    /// Plans the tick at `seconds` from the mark as it is.
    pub(super) async fn plan(&self, seconds: i64) -> Decide {
        Decide {
            pinned: self.pinned.clone(),
            prev: self.mark().await.value,
            fire: at(seconds),
            passed: None,
            fate: DecideFate::Run {
                policy: self.pinned.job.concurrency,
                busy: ended(RunState::Skipped),
                in_turn: false,
            },
            worker: self.worker.clone(),
            nonce: nonce(),
        }
    }

    pub(super) async fn send(&self, decide: &Decide) -> Decided {
        let due = std::slice::from_ref(decide);
        let answers = self.env.fires.decide(&self.session, due).await;
        let mut answers = answers.expect("decide");
        assert_eq!(answers.len(), 1, "one answer for one tick");
        answers.remove(0)
    }

    /// Decides the tick at `seconds`.
    pub(super) async fn decide(&self, seconds: i64) -> Decided {
        self.send(&self.plan(seconds).await).await
    }

    /// Decides the tick at `seconds` and holds its run.
    pub(super) async fn hold(&self, seconds: i64) -> Fence {
        match self.decide(seconds).await {
            Decided::Held { fence, .. } => fence,
            other => panic!("tick {seconds} should be held: {other:?}"),
        }
    }

    pub(super) async fn open(&self, key: &RunKey) -> Option<Versioned<OpenRecord>> {
        let open = view(self.env).await.open.into_iter();
        open.into_iter()
            .find(|open| open.value.job == *self.job() && open.value.key == *key)
    }

    pub(super) async fn wait(&self, key: &RunKey) -> Option<Versioned<WaitRecord>> {
        let wait = view(self.env).await.wait.into_iter();
        wait.into_iter()
            .find(|wait| wait.value.job == *self.job() && wait.value.key == *key)
    }

    pub(super) async fn done(&self, key: &RunKey) -> Option<Versioned<DoneRecord>> {
        let done = view(self.env).await.done.into_iter();
        done.into_iter()
            .find(|done| done.value.job == *self.job() && done.value.key == *key)
    }

    pub(super) fn seen(&self, key: &RunKey, version: Version) -> RecordSeen {
        RecordSeen {
            job: self.job().clone(),
            key: key.clone(),
            version,
        }
    }

    /// The record of the run as it is now, open or waiting for admission.
    pub(super) async fn record(&self, key: &RunKey) -> RecordSeen {
        let open = self.open(key).await.map(|open| open.version);
        let wait = self.wait(key).await.map(|wait| wait.version);
        self.seen(key, open.or(wait).expect("the run has a record"))
    }

    /// A take of the run as it is now: from `wait` if it is not yet admitted.
    pub(super) async fn claim(&self, key: &RunKey) -> Take {
        let from = match self.wait(key).await {
            None => TakeFrom::Open,
            Some(_) => TakeFrom::Wait {
                pinned: self.pinned.clone(),
                exclusive: self.pinned.job.concurrency.is_exclusive(),
                skip: Vec::new(),
            },
        };
        Take {
            record: self.record(key).await,
            from,
            worker: self.worker.clone(),
            nonce: nonce(),
        }
    }

    pub(super) async fn send_take(&self, take: &Take) -> Taken {
        let taken = self.env.fires.take(&self.session, take).await;
        taken.expect("take")
    }

    /// Takes the run as it is now and holds it.
    pub(super) async fn take(&self, key: &RunKey) -> (OpenRecord, Fence) {
        match self.send_take(&self.claim(key).await).await {
            Taken::Held { record, fence, .. } => (*record, fence),
            other => panic!("run {key} should be held: {other:?}"),
        }
    }

    /// Puts the run under this worker's session.
    pub(super) async fn rebind(&self, key: &RunKey, fence: Fence) -> Result<Option<Fence>> {
        let fires = &self.env.fires;
        fires.rebind(&self.session, self.job(), key, fence).await
    }

    pub(super) fn ending(&self, key: &RunKey, fence: Fence, how: EndHow) -> End {
        End {
            job: self.job().clone(),
            key: key.clone(),
            fence,
            how,
            worker: self.worker.clone(),
        }
    }

    pub(super) async fn end(&self, key: &RunKey, fence: Fence, how: EndHow) -> Ended {
        let end = self.ending(key, fence, how);
        self.env.fires.end(&end).await.expect("end")
    }

    /// Ends the run as succeeded.
    pub(super) async fn succeed(&self, key: &RunKey, fence: Fence) -> DoneRecord {
        let how = EndHow::Terminal(ended(RunState::Succeeded));
        match self.end(key, fence, how).await {
            Ended::Done(done) => done.value,
            other => panic!("run {key} should end: {other:?}"),
        }
    }

    /// Puts the run back to wait for its next attempt.
    pub(super) async fn retry(&self, key: &RunKey, fence: Fence) {
        let how = EndHow::Retry {
            not_before: at(30),
            exclude: None,
            killed: ended(RunState::Killed),
        };
        assert_eq!(self.end(key, fence, how).await, Ended::Waiting);
    }

    pub(super) async fn settle(&self, record: &RecordSeen, how: SettleAs) -> Settled {
        let settle = Settle {
            record: record.clone(),
            how,
            killed: ended(RunState::Killed),
            pinned: Some(self.pinned.clone()),
            worker: self.worker.clone(),
        };
        self.env.fires.settle(&settle).await.expect("settle")
    }

    /// That what waits is recorded so, for the job as it was at first.
    pub(super) fn dropped(&self, state: RunState) -> SettleAs {
        SettleAs::Drop {
            outcome: ended(state),
            job: Some(self.pinned.version),
        }
    }

    pub(super) async fn trigger(&self, id: &str) -> Triggered {
        let request = Request {
            id: id.to_owned(),
            by: "ann".to_owned(),
            refuse_if_busy: false,
        };
        let triggered = self.env.fires.trigger(self.job(), &request).await;
        triggered.expect("trigger")
    }

    pub(super) async fn kill(&self, key: &RunKey) -> Kill {
        let kill = Kill {
            run: self.run(key),
            by: "ann".to_owned(),
            why: "it hangs".to_owned(),
        };
        self.env.kills.send(&kill, LONG).await.expect("kill");
        kill
    }

    /// Ends the worker's session as a crash does.
    pub(super) async fn crash(&self) {
        self.env.powers.expire(&self.session).await;
    }
}

/// A session that outlives the case.
pub(super) async fn open_session(env: &CoordinationEnv, name: &str) -> SessionId {
    let opened = env.sessions.open(&worker(name), LONG).await;
    opened.expect("open a session").id
}
