//! What a run costs the cluster when whole workers share the work, however many they are.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sandclock_core::Timestamp;
use sandclock_core::backend::Precondition;
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::fleet::{Worker, WorkerConfig};
use sandclock_core::job::{Job, ScheduleSpec};
use sandclock_core::random::SplitMix64;
use sandclock_core::time::SimClock;
use sandclock_testkit::no_work::NoWork;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::cost::Meter;
use crate::scene::{Scene, at, job};

const BEGUN: i64 = 1_000_000;

/// A job that is due so many milliseconds after every second second.
fn due_apart(number: usize, after: i64) -> Job {
    Job {
        schedule: Some(ScheduleSpec {
            starts_at: Some(Timestamp::from_millis(at(BEGUN).as_millis() + after)),
            ..ScheduleSpec::utc("@every 2s")
        }),
        ..job(&format!("job-{number}"))
    }
}

/// The rise of the revision for each of some runs, sessions apart.
async fn per_run(workers: usize) -> f64 {
    const JOBS: usize = 40;
    const RUNS: usize = 200;
    let scene = Scene::new().await;
    for number in 0..JOBS {
        let after = i64::try_from(number * 2000 / JOBS).expect("small");
        let job = due_apart(number, after);
        let put = scene.store.jobs.put(&job, Precondition::Absent);
        put.await.expect("put");
    }
    let clock = Arc::new(SimClock::new(at(BEGUN), Instant::now(), 0, 0));
    let records = MemoryStore::new().records();
    let mut fleet = JoinSet::new();
    let mut handles = Vec::new();
    for number in 0..workers {
        // As processes, each with what it remembers of the store.
        let store = sandclock_backend_etcd::connect(scene.config.clone()).await;
        let worker = Worker::new(
            WorkerConfig::new(format!("w{number}")),
            store.expect("connect"),
            records.clone(),
            Arc::new(NoWork),
            Arc::new(NoWork),
            Arc::clone(&clock) as _,
            Box::new(SplitMix64::new(number as u64)),
        );
        handles.push(worker.handle());
        fleet.spawn(worker.run(pending()));
    }
    join_all(handles.iter().map(async |worker| {
        while !(worker.status().ready && worker.counters().ticks_decided > 0) {
            sleep(Duration::from_millis(20)).await;
        }
    }))
    .await;
    Meter::start(&scene).await.per_run(RUNS, &scene).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_costs_the_same_however_many_workers_there_are() {
    let mut costs = Vec::new();
    for workers in [1, 5, 20] {
        let cost = Box::pin(per_run(workers)).await;
        println!("{workers} workers: the revision rose by {cost:.3} a run");
        costs.push(cost);
    }
    let most = costs.iter().copied().fold(0.0, f64::max);
    let least = costs.iter().copied().fold(f64::MAX, f64::min);
    assert!(most <= 2.1 && most - least <= 0.1, "{costs:?}");
}
