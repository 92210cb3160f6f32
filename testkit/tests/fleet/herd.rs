//! Thousands of jobs at one instant, on a store that carries out one request after the other: nothing is sent
//! that waits so long for its turn that it has to be sent again.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{
    Adopt, Adopted, Coordination, Decide, Decided, End, Ended, Fence, Fires, Precondition, Request,
    Result, SessionId, Settle, Settled, Take, Taken, Triggered,
};
use sandclock_core::fleet::{Worker, WorkerConfig};
use sandclock_core::job::{Job, JobName, ScheduleSpec};
use sandclock_core::random::SplitMix64;
use sandclock_core::run::RunKey;
use sandclock_core::schedule::{Dialect, DstPolicy};
use sandclock_core::time::{SimClock, Timestamp};
use sandclock_testkit::no_work::NoWork;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// Jobs in the herd.
const HERD: u64 = 2_000;
/// What a request takes.
const TAKES: Duration = Duration::from_millis(5);
const EPOCH: Timestamp = Timestamp::from_millis(1_750_000_000_000);
/// After so long all are due.
const DUE: Duration = Duration::from_secs(60);

/// A store of which the requests have one line.
#[derive(Debug)]
struct OneByOne {
    inner: Arc<dyn Fires>,
    line: Mutex<()>,
}

impl OneByOne {
    async fn turn<T>(&self, request: impl Future<Output = T>) -> T {
        let _turn = self.line.lock().await;
        sleep(TAKES).await;
        request.await
    }
}

#[async_trait]
impl Fires for OneByOne {
    async fn decide(&self, session: &SessionId, due: &[Decide]) -> Result<Vec<Decided>> {
        self.turn(self.inner.decide(session, due)).await
    }

    async fn adopt(&self, adopt: &Adopt) -> Result<Adopted> {
        self.turn(self.inner.adopt(adopt)).await
    }

    async fn take(&self, session: &SessionId, take: &Take) -> Result<Taken> {
        self.turn(self.inner.take(session, take)).await
    }

    async fn end(&self, end: &End) -> Result<Ended> {
        self.turn(self.inner.end(end)).await
    }

    async fn rebind(
        &self,
        session: &SessionId,
        job: &JobName,
        key: &RunKey,
        fence: Fence,
    ) -> Result<Option<Fence>> {
        self.turn(self.inner.rebind(session, job, key, fence)).await
    }

    async fn settle(&self, settle: &Settle) -> Result<Settled> {
        self.turn(self.inner.settle(settle)).await
    }

    async fn trigger(&self, job: &JobName, request: &Request) -> Result<Triggered> {
        self.turn(self.inner.trigger(job, request)).await
    }
}

fn job(number: u64) -> Job {
    let schedule = ScheduleSpec {
        expr: "@every 1h".to_owned(),
        dialect: Dialect::Native,
        time_zone: "UTC".to_owned(),
        dst: DstPolicy::Vixie,
        starts_at: Some(EPOCH.plus(DUE)),
        ends_at: None,
    };
    let name = JobName::parse(&format!("herd/{number}")).expect("a name");
    Job {
        schedule: Some(schedule),
        ..Job::shell(name, "true")
    }
}

#[tokio::test(start_paused = true)]
async fn a_herd_is_sent_no_faster_than_it_is_carried_out() {
    let store = MemoryStore::new();
    for number in 0..HERD {
        let put = store.coordination().jobs;
        put.put(&job(number), Precondition::Absent).await.unwrap();
    }
    let coordination = Coordination {
        fires: Arc::new(OneByOne {
            inner: store.coordination().fires,
            line: Mutex::default(),
        }),
        ..store.coordination()
    };
    let config = WorkerConfig {
        max_concurrent_runs: u32::MAX,
        ..WorkerConfig::new("herd")
    };
    let worker = Worker::new(
        config,
        coordination,
        store.records(),
        Arc::new(NoWork),
        Arc::new(NoWork),
        Arc::new(SimClock::new(EPOCH, Instant::now(), 0, 0)),
        Box::new(SplitMix64::new(1)),
    );
    let handle = worker.handle();
    let all_ended = async {
        while handle.counters().runs_ended < HERD {
            sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        _ = worker.run(pending()) => panic!("the worker stopped"),
        () = all_ended => {}
    }
    let counters = handle.counters();
    assert_eq!(counters.ticks_decided, HERD, "{counters:?}");
    assert_eq!(counters.requests_repeated, 0, "{counters:?}");
}
