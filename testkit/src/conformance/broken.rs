//! Cases on records that are no job: each is told of beside the others, and can be repaired or deleted.

use sandclock_core::ErrorKind;
use sandclock_core::backend::{
    BrokenJob, Decided, JobEvent, JobSnapshot, Precondition, Request, Version,
};
use sandclock_core::job::JobName;
use sandclock_core::policy::ConcurrencyPolicy;

use super::CoordinationEnv;
use super::events::until;
use super::jobs::{described, get, plain, put};
use super::scene::{Scene, tick};

async fn snapshot(env: &CoordinationEnv) -> JobSnapshot {
    env.jobs
        .snapshot()
        .await
        .expect("a snapshot in spite of it")
}

/// Puts two jobs and breaks the first; what the store tells of it.
async fn one_of_two(env: &CoordinationEnv, newer: bool) -> BrokenJob {
    let (bad, good) = (plain("bad"), plain("good"));
    let created = put(env, &bad, Precondition::Absent).await;
    put(env, &good, Precondition::Absent).await;
    env.powers.break_job(&bad.name, newer).await;
    let mut broken = snapshot(env).await.broken;
    assert_eq!(broken.len(), 1);
    let broken = broken.remove(0);
    assert_eq!((&broken.name, broken.newer), (&bad.name, newer));
    assert!(broken.version > created, "it was a change");
    assert!(!broken.reason.is_empty());
    broken
}

/// Snapshots, reads and writes of other jobs go on beside a record that cannot be read.
pub async fn a_broken_record_stops_no_other(env: &CoordinationEnv) {
    let broken = one_of_two(env, false).await;
    let good = plain("good");
    let jobs = snapshot(env).await.jobs;
    assert_eq!(jobs.len(), 1);
    assert_eq!(Some(&jobs[0]), get(env, &good.name).await.as_ref());
    put(env, &described(&good, 2), Precondition::Any).await;
    let refused = env.jobs.get(&broken.name).await.expect_err("it is no job");
    assert_eq!(refused.kind, ErrorKind::Corrupt);
    assert!(refused.context.contains(&broken.reason), "{refused}");
}

/// Whoever follows the watch learns of the break and of the repair, with rising versions.
pub async fn a_watch_reports_a_broken_record(env: &CoordinationEnv) {
    let cursor = snapshot(env).await.cursor;
    let mut events = env.jobs.watch(cursor).await.expect("watch");
    let broken = one_of_two(env, false).await;
    let repaired = put(env, &plain("bad"), Precondition::Any).await;
    let is_repair =
        |event: &(_, JobEvent)| matches!(&event.1, JobEvent::Put(job) if job.version == repaired);
    let seen = until(&mut events, is_repair).await;
    let of_bad = seen.into_iter().filter_map(|(_, event)| match event {
        JobEvent::Put(job) if job.job.name == broken.name => Some((job.version, None)),
        JobEvent::Broken(record) => Some((record.version, Some(record))),
        _ => None,
    });
    let mut of_bad: Vec<_> = of_bad.collect();
    of_bad.dedup();
    assert_eq!(of_bad[1], (broken.version, Some(broken)));
    assert!(of_bad.is_sorted_by_key(|(version, _)| *version));
    assert_eq!(of_bad.len(), 3);
}

/// A put repairs it if it asks for nothing or for its version, and the life of the name goes on.
pub async fn a_put_repairs_a_broken_record(env: &CoordinationEnv) {
    let mut broken = one_of_two(env, false).await;
    let job = plain("bad");
    for wrong in [
        Precondition::Absent,
        Precondition::Matches(Version(broken.version.0 - 1)),
    ] {
        let refused = env.jobs.put(&job, wrong).await.expect_err("it is there");
        assert_eq!(refused.kind, ErrorKind::Conflict, "{wrong:?}");
    }
    let first_life = broken.created;
    for any in [false, true] {
        let pre = match any {
            true => Precondition::Any,
            false => Precondition::Matches(broken.version),
        };
        let version = put(env, &described(&job, any), pre).await;
        let stored = get(env, &job.name).await.expect("repaired");
        assert_eq!((stored.version, stored.created), (version, first_life));
        assert_eq!(stored.job.description, any.to_string());
        let now = snapshot(env).await;
        assert_eq!((now.jobs.len(), now.broken.len()), (2, 0));
        env.powers.break_job(&job.name, false).await;
        broken = snapshot(env).await.broken.remove(0);
        assert_eq!(broken.created, first_life);
    }
}

/// What a newer program wrote is kept for it, unless somebody deletes it.
pub async fn a_newer_record_is_not_replaced(env: &CoordinationEnv) {
    let newer = one_of_two(env, true).await;
    let job = plain("bad");
    for pre in [Precondition::Any, Precondition::Matches(newer.version)] {
        let refused = env.jobs.put(&job, pre).await.expect_err("it is newer");
        assert_eq!(refused.kind, ErrorKind::Corrupt);
        assert!(refused.context.contains(&newer.reason), "{refused}");
    }
    assert_eq!(snapshot(env).await.broken, [newer]);
    let delete = env.jobs.delete(&job.name, Precondition::Any);
    delete.await.expect("given up");
    put(env, &job, Precondition::Absent).await;
}

/// A delete takes it, and the name begins a new life.
pub async fn a_broken_record_can_be_deleted(env: &CoordinationEnv) {
    let broken = one_of_two(env, false).await;
    let stale = Precondition::Matches(broken.created);
    let refused = env.jobs.delete(&broken.name, stale).await;
    assert_eq!(refused.expect_err("changed").kind, ErrorKind::Conflict);
    let exact = Precondition::Matches(broken.version);
    let delete = env.jobs.delete(&broken.name, exact);
    delete.await.expect("delete");
    let left = snapshot(env).await;
    assert_eq!((left.jobs.len(), left.broken.len()), (1, 0));
    assert_eq!(get(env, &broken.name).await, None);
    put(env, &plain("bad"), Precondition::Absent).await;
    let recreated = get(env, &broken.name).await.expect("there");
    assert!(recreated.created > broken.version, "a new life");
}

/// D1: no tick is claimed under a definition that is not there any more, and no run can be asked for; after
/// the repair the mark is where it was.
pub async fn a_broken_job_is_neither_claimed_nor_asked_for(env: &CoordinationEnv) {
    let scene = Scene::new(env, ConcurrencyPolicy::Forbid).await;
    let (name, mark) = (scene.pinned.job.name.clone(), scene.mark().await);
    env.powers.break_job(&name, false).await;
    assert_eq!(scene.decide(1).await, Decided::Stale);
    let request = Request {
        id: "by-hand".to_owned(),
        by: "ann".to_owned(),
        refuse_if_busy: false,
    };
    let refused = env.fires.trigger(&name, &request).await;
    assert_eq!(refused.expect_err("no definition").kind, ErrorKind::Corrupt);
    put(env, &scene.pinned.job, Precondition::Any).await;
    assert_eq!(scene.mark().await, mark);
    assert!(env.fires.trigger(&name, &request).await.is_ok());
    let open = super::scene::view(env).await.open;
    assert!(open.iter().all(|open| open.value.key != tick(1)));
}

/// Others write under names that cannot be created, even the empty one.
pub async fn a_broken_record_may_have_any_name(env: &CoordinationEnv) {
    let names = ["", " ", "a//b", "日本"].map(JobName::existing);
    for name in &names {
        env.powers.break_job(name, false).await;
    }
    let broken = snapshot(env).await.broken;
    let found: Vec<_> = broken.into_iter().map(|broken| broken.name).collect();
    assert_eq!(found, names);
    for name in &names {
        let refused = env.jobs.get(name).await.expect_err("it is no job");
        assert_eq!(refused.kind, ErrorKind::Corrupt);
        let delete = env.jobs.delete(name, Precondition::Any);
        delete.await.expect("delete");
    }
    assert_eq!(snapshot(env).await.broken, []);
}
