//! Thousands of jobs at one instant, on a store that carries out one request after the other: nothing is sent
//! that waits so long for its turn that it has to be sent again.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use sandclock_core::backend::layer::{Call, Layer, Layered, Op};
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{Coordination, Precondition, Result};
use sandclock_core::fleet::{Worker, WorkerConfig};
use sandclock_core::job::{Job, JobName, ScheduleSpec};
use sandclock_core::random::SplitMix64;
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

/// Lets the requests of a store pass one by one.
#[derive(Clone, Debug, Default)]
struct OneByOne(Arc<Mutex<()>>);

impl Layer for OneByOne {
    async fn call<'a, T: Send + 'a>(
        &'a self,
        _op: Op,
        mut call: impl FnMut() -> Call<'a, T> + Send + 'a,
    ) -> Result<T> {
        let _turn = self.0.lock().await;
        sleep(TAKES).await;
        call().await
    }
}

fn job(number: u64) -> Job {
    let schedule = ScheduleSpec {
        starts_at: Some(EPOCH.plus(DUE)),
        ..ScheduleSpec::utc("@every 1h")
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
        fires: Layered::new(&OneByOne::default(), store.coordination().fires),
        ..store.coordination()
    };
    let mut config = WorkerConfig::new("herd");
    config.limits.max_concurrent_runs = u32::MAX;
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
