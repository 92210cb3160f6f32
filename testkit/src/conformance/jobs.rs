//! Cases on the job store: versions, preconditions, and a watch that misses nothing.

use futures_util::future::join_all;
use sandclock_core::ErrorKind;
use sandclock_core::backend::{Precondition, StoredJob, Version};
use sandclock_core::job::{Job, JobName};
use sandclock_core::policy::ConcurrencyPolicy;

use super::CoordinationEnv;
use super::scene::job;

pub(super) fn plain(text: &str) -> Job {
    job(text, ConcurrencyPolicy::Forbid)
}

pub(super) fn described(job: &Job, description: impl ToString) -> Job {
    Job {
        description: description.to_string(),
        ..job.clone()
    }
}

pub(super) async fn put(env: &CoordinationEnv, job: &Job, pre: Precondition) -> Version {
    env.jobs.put(job, pre).await.expect("put").version
}

pub(super) async fn get(env: &CoordinationEnv, name: &JobName) -> Option<StoredJob> {
    env.jobs.get(name).await.expect("get")
}

/// Of 32 creations of one job at once, one succeeds.
pub async fn absent_put_wins_once(env: &CoordinationEnv) {
    let base = plain("reports");
    let puts = (0..32).map(|i| {
        let job = described(&base, i);
        async move { (i, env.jobs.put(&job, Precondition::Absent).await) }
    });
    let answers = join_all(puts).await;
    let won: Vec<_> = answers
        .iter()
        .filter(|(_, answer)| answer.is_ok())
        .collect();
    assert_eq!(won.len(), 1);
    for (_, answer) in &answers {
        if let Err(error) = answer {
            assert_eq!(error.kind, ErrorKind::Conflict);
        }
    }
    let stored = get(env, &base.name).await.expect("created");
    assert_eq!(stored.job.description, won[0].0.to_string());
}

/// A put that names a version changes exactly that version, and nothing that is absent.
pub async fn put_needs_the_version_it_names(env: &CoordinationEnv) {
    let first = plain("reports");
    let absent = env
        .jobs
        .put(&first, Precondition::Matches(Version(1)))
        .await;
    assert_eq!(absent.expect_err("absent").kind, ErrorKind::Conflict);
    assert_eq!(get(env, &first.name).await, None);
    let v1 = put(env, &first, Precondition::Absent).await;
    let v2 = put(env, &described(&first, 2), Precondition::Matches(v1)).await;
    let stale = env
        .jobs
        .put(&described(&first, 3), Precondition::Matches(v1))
        .await;
    assert_eq!(stale.expect_err("stale").kind, ErrorKind::Conflict);
    let stored = get(env, &first.name).await.expect("there");
    assert_eq!((stored.version, stored.job.description.as_str()), (v2, "2"));
}

/// A delete takes exactly what it names, and says when there is nothing.
pub async fn delete_needs_what_it_names(env: &CoordinationEnv) {
    let first = plain("reports");
    let v1 = put(env, &first, Precondition::Absent).await;
    let v2 = put(env, &described(&first, 2), Precondition::Any).await;
    for pre in [Precondition::Matches(v1), Precondition::Absent] {
        let refused = env.jobs.delete(&first.name, pre).await;
        assert_eq!(refused.expect_err("{pre:?}").kind, ErrorKind::Conflict);
    }
    assert!(get(env, &first.name).await.is_some());
    let delete = env.jobs.delete(&first.name, Precondition::Matches(v2));
    delete.await.expect("delete");
    assert_eq!(get(env, &first.name).await, None);
    let again = env.jobs.delete(&first.name, Precondition::Any).await;
    assert_eq!(again.expect_err("gone").kind, ErrorKind::NotFound);
}

/// Each write, of whatever job, has a greater version than all before; a failed one uses none.
pub async fn versions_rise_with_every_write(env: &CoordinationEnv) {
    let (a, b) = (plain("a"), plain("b"));
    let mut last = Version(0);
    for i in 0..10 {
        for job in [&a, &b] {
            let version = put(env, &described(job, i), Precondition::Any).await;
            assert!(version > last, "{version:?} after {last:?}");
            last = version;
            assert_eq!(get(env, &job.name).await.map(|job| job.version), Some(last));
        }
    }
}

/// An edit keeps the life of the name; delete and create begin a new one, with greater versions.
pub async fn a_recreated_job_begins_a_new_life(env: &CoordinationEnv) {
    let first = plain("reports");
    let v1 = put(env, &first, Precondition::Absent).await;
    let v2 = put(env, &described(&first, 2), Precondition::Any).await;
    let edited = get(env, &first.name).await.expect("there");
    env.jobs
        .delete(&first.name, Precondition::Any)
        .await
        .expect("delete");
    let v3 = put(env, &first, Precondition::Absent).await;
    let recreated = get(env, &first.name).await.expect("there");
    assert!(v1 < v2 && v2 < v3);
    assert!(edited.created <= v1, "an edit is not a new life");
    assert!(recreated.created > v2, "a new life");
    assert_eq!(recreated.version, v3);
}

/// 100 writers that each replace the version they read: every write builds on the one before.
pub async fn one_of_many_writers_wins_each_version(env: &CoordinationEnv) {
    let counter = described(&plain("counter"), 0);
    put(env, &counter, Precondition::Absent).await;
    let writers = (0..100).map(|_| async {
        loop {
            let read = get(env, &counter.name).await.expect("there");
            let count: u32 = read.job.description.parse().expect("a number");
            let next = described(&read.job, count + 1);
            match env
                .jobs
                .put(&next, Precondition::Matches(read.version))
                .await
            {
                Ok(_) => return,
                Err(error) => assert_eq!(error.kind, ErrorKind::Conflict),
            }
            tokio::task::yield_now().await;
        }
    });
    join_all(writers).await;
    let last = get(env, &counter.name).await.expect("there");
    assert_eq!(last.job.description, "100");
}
