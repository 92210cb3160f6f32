//! What only virtual time can show of the model: what it forgets after hours and days.

use std::time::Duration;

use futures_util::StreamExt;
use sandclock_core::Timestamp;
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{
    Adopt, Adopted, Coordination, FireEvent, Generation, JobEvent, Pinned, Precondition, Request,
    Triggered,
};
use sandclock_core::job::{Job, JobName};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn job() -> Job {
    Job::shell(JobName::parse("reports").unwrap(), "true")
}

/// Creates the job with a mark.
async fn create(store: &Coordination) {
    let put = store.jobs.put(&job(), Precondition::Absent).await.unwrap();
    let adopt = Adopt {
        pinned: Pinned {
            job: job().into(),
            version: put.version,
        },
        seen: None,
        to: Timestamp::from_millis(0),
        generation: Generation(1),
        owed: None,
        worker: "worker-1".to_owned(),
    };
    let adopted = store.fires.adopt(&adopt).await.unwrap();
    assert!(matches!(adopted, Adopted::Done(_)));
}

async fn delete(store: &Coordination) {
    let job = job();
    let delete = store.jobs.delete(&job.name, Precondition::Any);
    delete.await.unwrap();
}

async fn trigger(store: &Coordination, id: &str) -> Triggered {
    let request = Request {
        id: id.to_owned(),
        by: "ann".to_owned(),
        refuse_if_busy: false,
    };
    let triggered = store.fires.trigger(&job().name, &request).await;
    triggered.unwrap()
}

async fn marks(store: &Coordination) -> usize {
    store.feed.snapshot().await.unwrap().0.marks.len()
}

/// S2: the mark of a deleted job is kept for a week, and its end is announced.
#[tokio::test(start_paused = true)]
async fn a_mark_goes_a_week_after_its_job() {
    let store = MemoryStore::new().coordination();
    create(&store).await;
    let (_, cursor) = store.feed.snapshot().await.unwrap();
    let mut events = store.feed.watch(cursor).await.unwrap();
    delete(&store).await;
    tokio::time::sleep(DAY * 7 - Duration::from_secs(1)).await;
    assert_eq!(marks(&store).await, 1);
    let (_, event) = events.next().await.unwrap().unwrap();
    assert!(matches!(event, FireEvent::MarkGone(name, _) if name == job().name));
    assert_eq!(marks(&store).await, 0);
}

/// S2: a job that is created again within the week keeps its mark for good.
#[tokio::test(start_paused = true)]
async fn a_mark_stays_with_a_job_that_comes_back() {
    let store = MemoryStore::new().coordination();
    create(&store).await;
    delete(&store).await;
    tokio::time::sleep(DAY).await;
    let put = store.jobs.put(&job(), Precondition::Absent).await;
    put.unwrap();
    tokio::time::sleep(DAY * 30).await;
    assert_eq!(marks(&store).await, 1);
}

/// A request id is remembered for a day, no longer.
#[tokio::test(start_paused = true)]
async fn a_request_is_remembered_for_a_day() {
    let store = MemoryStore::new().coordination();
    create(&store).await;
    assert!(matches!(
        trigger(&store, "by-hand").await,
        Triggered::Run(_)
    ));
    delete(&store).await;
    tokio::time::sleep(DAY - Duration::from_secs(1)).await;
    assert!(matches!(
        trigger(&store, "by-hand").await,
        Triggered::Run(_)
    ));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(trigger(&store, "by-hand").await, Triggered::NoJob);
}

/// A watch that has nothing of its own to say still moves its cursor on, ahead of compaction.
#[tokio::test(start_paused = true)]
async fn an_idle_watch_moves_its_cursor() {
    let model = MemoryStore::new();
    let store = model.coordination();
    create(&store).await;
    let cursor = store.jobs.snapshot().await.unwrap().cursor;
    let mut events = store.jobs.watch(cursor).await.unwrap();
    for id in 0..100 {
        trigger(&store, &format!("r{id}")).await;
    }
    let (moved, event) = events.next().await.unwrap().unwrap();
    assert_eq!(event, JobEvent::Progress);
    model.compact();
    assert!(store.jobs.watch(moved).await.is_ok());
}
