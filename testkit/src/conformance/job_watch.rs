//! Cases on the watch of jobs: whoever follows it knows exactly what the store holds (S10).

use std::collections::BTreeMap;

use futures_util::future::{join, join_all};
use sandclock_core::ErrorKind;
use sandclock_core::backend::{Events, JobEvent, JobSnapshot, Precondition, StoredJob, Version};
use sandclock_core::job::JobName;

use super::CoordinationEnv;
use super::events::{next, rest};
use super::jobs::{described, plain, put};

/// What a reader of the watch believes.
#[derive(Default)]
struct Mirror(BTreeMap<JobName, (Version, Option<StoredJob>)>);

impl Mirror {
    fn of(snapshot: JobSnapshot) -> Self {
        let mut mirror = Self::default();
        for job in snapshot.jobs {
            mirror.apply(JobEvent::Put(job));
        }
        mirror
    }

    fn apply(&mut self, event: JobEvent) {
        let (name, version, job) = match event {
            JobEvent::Put(job) => (job.job.name.clone(), job.version, Some(job)),
            JobEvent::Broken(job) => panic!("nobody broke {job:?}"),
            JobEvent::Deleted(name, version) => (name, version, None),
            JobEvent::Progress => return,
        };
        let entry = self.0.entry(name).or_default();
        if version > entry.0 {
            *entry = (version, job);
        }
    }

    fn jobs(&self) -> Vec<StoredJob> {
        let jobs = self.0.values().filter_map(|(_, job)| job.clone());
        jobs.collect()
    }

    /// Follows until the job named `last` is put.
    async fn follow<C>(&mut self, events: &mut Events<(C, JobEvent)>) {
        loop {
            let (_, event) = next(events).await;
            let last = matches!(&event, JobEvent::Put(job) if job.job.name.as_str() == "last");
            self.apply(event);
            if last {
                return;
            }
        }
    }
}

async fn stored(env: &CoordinationEnv) -> Vec<StoredJob> {
    Mirror::of(env.jobs.snapshot().await.expect("snapshot")).jobs()
}

async fn busy_writer(env: &CoordinationEnv, writer: &str) {
    for i in 0..20 {
        let job = plain(&format!("{writer}-{}", i % 5));
        put(env, &described(&job, i), Precondition::Any).await;
        tokio::task::yield_now().await;
        if i % 4 == 3 {
            env.jobs
                .delete(&job.name, Precondition::Any)
                .await
                .expect("delete");
        }
    }
}

/// S10: a snapshot in the midst of four writers and the watch from its cursor say what the store holds.
pub async fn snapshot_and_watch_have_no_gap(env: &CoordinationEnv) {
    let writes = async {
        join_all(["a", "b", "c", "d"].map(|writer| busy_writer(env, writer))).await;
        put(env, &plain("last"), Precondition::Any).await;
    };
    let reads = async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let snapshot = env.jobs.snapshot().await.expect("snapshot");
        let mut events = env
            .jobs
            .watch(snapshot.cursor.clone())
            .await
            .expect("watch");
        let mut mirror = Mirror::of(snapshot);
        mirror.follow(&mut events).await;
        mirror
    };
    let ((), mirror) = join(writes, reads).await;
    assert_eq!(mirror.jobs(), stored(env).await);
}

/// The changes of one job come in the order of their versions, none left out.
pub async fn each_jobs_changes_come_in_order(env: &CoordinationEnv) {
    let cursor = env.jobs.snapshot().await.expect("snapshot").cursor;
    let mut events = env.jobs.watch(cursor).await.expect("watch");
    let one = plain("one");
    let mut written = Vec::new();
    for i in 0..20 {
        written.push(put(env, &described(&one, i), Precondition::Any).await);
    }
    put(env, &plain("last"), Precondition::Any).await;
    let mut seen = Vec::new();
    loop {
        match next(&mut events).await.1 {
            JobEvent::Put(job) if job.job.name.as_str() == "last" => break,
            JobEvent::Put(job) if seen.last() < Some(&job.version) => seen.push(job.version),
            _ => {}
        }
    }
    assert_eq!(seen, written);
}

/// A watch that broke goes on from the last cursor it gave, without a gap.
pub async fn a_watch_resumes_after_it_broke(env: &CoordinationEnv) {
    let snapshot = env.jobs.snapshot().await.expect("snapshot");
    let mut cursor = snapshot.cursor.clone();
    let mut mirror = Mirror::of(snapshot);
    let mut events = env.jobs.watch(cursor.clone()).await.expect("watch");
    busy_writer(env, "a").await;
    for _ in 0..3 {
        let (at, event) = next(&mut events).await;
        mirror.apply(event);
        cursor = at;
    }
    env.powers.disturb().await;
    let (read, error) = rest(&mut events).await;
    assert!(error.is_transient(), "{error:?}");
    for (at, event) in read {
        mirror.apply(event);
        cursor = at;
    }
    busy_writer(env, "b").await;
    let mut events = env.jobs.watch(cursor).await.expect("watch again");
    put(env, &plain("last"), Precondition::Any).await;
    mirror.follow(&mut events).await;
    assert_eq!(mirror.jobs(), stored(env).await);
}

/// A cursor whose history is gone is refused as such, at once or as the stream's last item.
pub async fn forgotten_history_is_said(env: &CoordinationEnv) {
    let old = env.jobs.snapshot().await.expect("snapshot").cursor;
    busy_writer(env, "a").await;
    env.powers.forget_history().await;
    let error = match env.jobs.watch(old).await {
        Err(error) => error,
        Ok(mut events) => rest(&mut events).await.1,
    };
    assert_eq!(error.kind, ErrorKind::CursorExpired);
    let snapshot = env.jobs.snapshot().await.expect("snapshot");
    let mut events = env
        .jobs
        .watch(snapshot.cursor.clone())
        .await
        .expect("watch");
    put(env, &plain("last"), Precondition::Any).await;
    let mut mirror = Mirror::of(snapshot);
    mirror.follow(&mut events).await;
    assert_eq!(mirror.jobs(), stored(env).await);
}
