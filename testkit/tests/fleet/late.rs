//! Late ticks that all run, one after the other, on a store whose news come long after its answers.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{
    Coordination, Cursor, Events, FireEvent, FireFeed, FireView, Precondition, RecordSeen, Result,
    RunFilter, RunRecord,
};
use sandclock_core::fleet::{Worker, WorkerConfig};
use sandclock_core::job::{Job, JobName, ScheduleSpec};
use sandclock_core::policy::{ConcurrencyPolicy, Misfire, MisfirePolicy, RetryPolicy};
use sandclock_core::ports::{Executor, ProcessEnd, Running, StartError};
use sandclock_core::random::SplitMix64;
use sandclock_core::run::{RunContext, RunKey, RunState};
use sandclock_core::time::{SimClock, Timestamp};
use sandclock_testkit::no_work::NoWork;
use tokio::time::{Instant, sleep, timeout};

const EPOCH: Timestamp = Timestamp::from_millis(1_750_000_000_000);
/// How long a change of the store is on its way to the worker.
const LAG: Duration = Duration::from_secs(3);
/// How long a run takes: it ends before the worker is told that it was open.
const TAKES: Duration = Duration::from_secs(1);
/// Ticks that are late when the worker starts.
const LATE: usize = 4;
/// Virtual time by which they have all run.
const DEADLINE: Duration = Duration::from_secs(600);

/// A feed that tells everything late.
#[derive(Debug)]
struct LateFeed(Arc<dyn FireFeed>);

#[async_trait]
impl FireFeed for LateFeed {
    async fn snapshot(&self) -> Result<(FireView, Cursor)> {
        self.0.snapshot().await
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, FireEvent)>> {
        let events = self.0.watch(from).await?.then(|event| async {
            sleep(LAG).await;
            event
        });
        Ok(Box::pin(events))
    }

    async fn clean(&self, done: &[RecordSeen], patience: Duration) -> Result<u32> {
        self.0.clean(done, patience).await
    }
}

/// Processes that take their time, of which the first attempt fails.
#[derive(Debug)]
struct Slow {
    fails: bool,
}

#[async_trait]
impl Executor for Slow {
    async fn start(
        &self,
        run: &RunContext,
        _alive_for: Duration,
    ) -> std::result::Result<Box<dyn Running>, StartError> {
        let fails = run.attempt == 1;
        Ok(Box::new(Self { fails }))
    }
}

#[async_trait]
impl Running for Slow {
    async fn wait(&mut self) -> ProcessEnd {
        sleep(TAKES).await;
        ProcessEnd {
            exit_code: Some(self.fails.into()),
            ..NoWork.wait().await
        }
    }

    fn terminate(&mut self, _grace: Duration) {}

    fn extend(&mut self, _alive_for: Duration) {}
}

/// A job that every late tick of counts, since a time before the worker started.
fn job(concurrency: ConcurrencyPolicy) -> Job {
    let name = JobName::parse("late").expect("a name");
    Job {
        schedule: Some(ScheduleSpec::utc("*/1 * * * *")),
        schedule_since: Some(EPOCH.minus(Duration::from_secs(60 * LATE as u64))),
        concurrency,
        retry: RetryPolicy {
            max: 1,
            ..RetryPolicy::default()
        },
        misfire: Misfire {
            policy: MisfirePolicy::All { max: 100 },
            ..Misfire::default()
        },
        ..Job::shell(name, "true")
    }
}

/// What has become of the ticks that were late at the start, oldest first.
async fn late_ticks(store: &MemoryStore) -> Vec<RunRecord> {
    let (runs, all) = (store.records().runs, RunFilter::default());
    let mut late = runs.list(&all, None, 100).await.expect("the runs").items;
    late.retain(|run| matches!(run.key, RunKey::Tick(at) if at < EPOCH));
    late.reverse();
    late
}

async fn every_late_tick_runs(concurrency: ConcurrencyPolicy) {
    let store = MemoryStore::new();
    let jobs = store.coordination().jobs;
    let job = job(concurrency);
    let put = jobs.put(&job, Precondition::Absent).await;
    put.expect("the job");
    let worker = Worker::new(
        WorkerConfig::new("late"),
        Coordination {
            feed: Arc::new(LateFeed(store.coordination().feed)),
            ..store.coordination()
        },
        store.records(),
        Arc::new(NoWork),
        Arc::new(Slow { fails: false }),
        Arc::new(SimClock::new(EPOCH, Instant::now(), 0, 0)),
        Box::new(SplitMix64::new(1)),
    );
    let all_ended = async {
        loop {
            let late = late_ticks(&store).await;
            let ended = late.iter().filter(|run| run.state.is_terminal()).count();
            if ended == LATE {
                return late;
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    let late = tokio::select! {
        _ = worker.run(pending()) => panic!("the worker stopped"),
        late = timeout(DEADLINE, all_ended) => late.expect("every late tick ends"),
    };
    for run in &late {
        assert_eq!(run.state, RunState::Succeeded, "{concurrency:?}: {late:#?}");
    }
    for pair in late.windows(2) {
        let (ended, started) = (pair[0].ended_at, pair[1].started_at);
        assert!(ended <= started, "{concurrency:?}: {late:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn late_ticks_of_an_exclusive_job_wait_for_each_other() {
    every_late_tick_runs(ConcurrencyPolicy::Forbid).await;
    every_late_tick_runs(ConcurrencyPolicy::Queue).await;
}
