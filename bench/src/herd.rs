//! Ten thousand jobs due at one instant: a worker that decides them, against the same decides one by one.
//!
//! On the one side a whole worker, whose runs do nothing and end at once; its ends go over the same wire. On the
//! other a client that sends each decide in a request of its own, [`IN_FLIGHT`] at a time, and no end. Each
//! measurement has an etcd of its own, because one with a history is slower.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use sandclock_backend_etcd::{EtcdConfig, connect};
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{
    Adopt, Adopted, Coordination, Decide, DecideFate, Decided, FireFeed, Generation, Nonce, Pinned,
    Precondition, SessionId,
};
use sandclock_core::fleet::{Worker, WorkerConfig, WorkerHandle};
use sandclock_core::job::{Job, JobName, ScheduleSpec};
use sandclock_core::run::{Outcome, RunState};
use sandclock_core::time::{Clock, Timestamp};
use sandclock_server::clock::SystemClock;
use sandclock_testkit::no_work::NoWork;
use sandclock_testkit::services::OwnEtcd;

use crate::figure::{Figure, Side, median};

/// Jobs in the herd.
const HERD: u32 = 10_000;
/// Requests at once, of the side that sends each decide alone.
const IN_FLIGHT: usize = 16;
/// Requests at once while the jobs are made.
const SETUP: usize = 128;
/// Pairs of measurements.
const PAIRS: usize = 5;
/// From the beginning, when the jobs are made, to the instant at which all are due.
const MAKING: Duration = Duration::from_secs(30);
/// The longest that the herd may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run() -> Result<Vec<Figure>> {
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        together.push(on_fresh_etcd(worker)?);
        alone.push(on_fresh_etcd(one_by_one)?);
    }
    Ok(vec![Figure {
        name: "herd.decide",
        unit: "decides",
        ours: Side {
            label: "a worker, 10,000 jobs due at once",
            rate: median(together),
        },
        other: Side {
            label: "one per request, 16 in flight",
            rate: median(alone),
        },
    }])
}

fn on_fresh_etcd(measure: impl AsyncFnOnce(Coordination) -> Result<f64>) -> Result<f64> {
    let etcd = OwnEtcd::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let rate = runtime.block_on(async {
        let store = connect(EtcdConfig::at([etcd.address()])).await?;
        measure(store).await
    });
    runtime.shutdown_background();
    rate
}

/// A job of the herd, which is due at this instant.
fn job(number: u32, due: Timestamp) -> Result<Job> {
    let name = JobName::parse(&format!("herd/{number}"))?;
    let schedule = ScheduleSpec {
        starts_at: Some(due),
        ..ScheduleSpec::utc("@every 1h")
    };
    Ok(Job {
        schedule: Some(schedule),
        ..Job::shell(name, "true")
    })
}

async fn put_all(store: &Coordination, due: Timestamp) -> Result<Vec<Pinned>> {
    let put = async |number| {
        let job = Arc::new(job(number, due)?);
        let version = store.jobs.put(&job, Precondition::Absent).await?.version;
        anyhow::Ok(Pinned { job, version })
    };
    stream::iter(0..HERD)
        .map(put)
        .buffer_unordered(SETUP)
        .try_collect()
        .await
}

/// Decides per second of a worker, from the instant at which all are due until the last is decided.
async fn worker(store: Coordination) -> Result<f64> {
    let due = SystemClock.now().plus(MAKING);
    put_all(&store, due).await?;
    let feed = Arc::clone(&store.feed);
    let mut config = WorkerConfig::new("herd");
    config.limits.max_concurrent_runs = HERD;
    let worker = Worker::new(
        config,
        store,
        MemoryStore::new().records(),
        Arc::new(NoWork),
        Arc::new(NoWork),
        Arc::new(SystemClock),
        Box::new(sandclock_server::random::SystemRandom),
    );
    let handle = worker.handle();
    tokio::select! {
        _ = worker.run(pending()) => bail!("the worker stopped"),
        rate = herd(&handle, &*feed, due) => rate,
    }
}

async fn herd(worker: &WorkerHandle, feed: &dyn FireFeed, due: Timestamp) -> Result<f64> {
    while feed.snapshot().await?.0.marks.len() < HERD as usize {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let left = due.since(SystemClock.now());
    ensure!(
        left > Duration::from_secs(1),
        "the herd took too long to be made"
    );
    tokio::time::sleep(left).await;
    let due = Instant::now();
    while worker.counters().ticks_decided < u64::from(HERD) {
        ensure!(
            due.elapsed() < PATIENCE,
            "too slow: {:?}",
            worker.counters()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(f64::from(HERD) / due.elapsed().as_secs_f64())
}

/// At which a tick is due of which a client only says so.
const DUE: Timestamp = Timestamp::from_millis(3_600_000);

/// Decides per second of a client that sends each alone.
async fn one_by_one(store: Coordination) -> Result<f64> {
    let pinned = put_all(&store, DUE).await?;
    let me = sandclock_testkit::conformance::worker("alone");
    let session = store.sessions.open(&me, Duration::from_secs(600)).await?.id;
    let due: Vec<Decide> = stream::iter(pinned.into_iter().enumerate())
        .map(|(number, pinned)| due(&store, number, pinned))
        .buffer_unordered(SETUP)
        .try_collect()
        .await?;
    let begun = Instant::now();
    stream::iter(&due)
        .map(|due| decide(&store, &session, due))
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<()>()
        .await?;
    Ok(f64::from(HERD) / begun.elapsed().as_secs_f64())
}

/// A job's mark at the instant 0, and the decide of its next tick.
async fn due(store: &Coordination, number: usize, pinned: Pinned) -> Result<Decide> {
    let adopt = Adopt {
        generation: Generation::of(&pinned.job, pinned.version),
        pinned,
        seen: None,
        to: Timestamp::from_millis(0),
        owed: None,
        worker: "alone".to_owned(),
    };
    let Adopted::Done(mark) = store.fires.adopt(&adopt).await? else {
        bail!("the mark of {} is another's", adopt.pinned.job.name);
    };
    let busy = Outcome::without_process(RunState::Skipped, "busy", SystemClock.now());
    Ok(Decide {
        fate: DecideFate::Run {
            policy: adopt.pinned.job.concurrency,
            busy,
            in_turn: false,
        },
        pinned: adopt.pinned,
        prev: mark.value,
        fire: DUE,
        passed: None,
        worker: "alone".to_owned(),
        nonce: Nonce(number as u128),
    })
}

async fn decide(store: &Coordination, session: &SessionId, due: &Decide) -> Result<()> {
    let decided = store
        .fires
        .decide(session, std::slice::from_ref(due))
        .await?;
    let decided = decided.into_iter().next().context("an answer")?;
    ensure!(
        matches!(decided, Decided::Held { .. }),
        "not held: {decided:?}"
    );
    Ok(())
}
