//! Cases on adopt: a mark begins, and moves on to a new definition, by compare-and-swap only.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use sandclock_core::backend::{Adopt, Adopted, Generation, Mark, Precondition, Span};
use sandclock_core::policy::ConcurrencyPolicy::Forbid;
use sandclock_core::run::RunState;

use super::CoordinationEnv;
use super::scene::{Scene, at, ended, job, tick};

/// Of many adopters that saw no mark, one sets it.
pub async fn one_adopter_sets_the_first_mark(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fresh = job("fresh", Forbid);
    let put = env
        .jobs
        .put(&fresh, Precondition::Absent)
        .await
        .expect("put");
    let mut scene = scene;
    scene.pinned.version = put.version;
    scene.pinned.job = fresh.into();
    let adopts = (1..=16).map(|i| scene.adopt(None, at(i), Generation(1)));
    let answers = join_all(adopts).await;
    let set: BTreeSet<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            Adopted::Done(mark) => Some(mark.value.at),
            Adopted::Stale => None,
        })
        .collect();
    assert_eq!(set.len(), 1, "{answers:?}");
    assert!(set.contains(&scene.mark().await.value.at));
}

/// A new definition moves the mark forward and records what was owed; a baseline behind it does not move it.
pub async fn an_adopt_moves_the_mark_but_never_back(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let span = Span {
        first: at(60),
        last: at(120),
        count: 2,
    };
    let seen = scene.mark().await;
    let adopt = Adopt {
        pinned: scene.pinned.clone(),
        seen: Some(seen.version),
        to: at(150),
        generation: Generation(8),
        owed: Some((span, ended(RunState::Missed))),
        worker: scene.worker.clone(),
    };
    let Adopted::Done(moved) = env.fires.adopt(&adopt).await.expect("adopt") else {
        panic!("the mark was as seen");
    };
    let want = |mark: Mark| (mark.at, mark.generation);
    assert_eq!(want(moved.value), (at(150), Generation(8)));
    assert_eq!(scene.mark().await, moved);
    let owed = scene.done(&tick(120)).await.expect("what was owed");
    assert_eq!(owed.value.span, Some(span));
    assert_eq!(
        env.fires.adopt(&adopt).await.expect("adopt"),
        Adopted::Stale
    );

    let back = scene
        .adopt(Some(moved.version), at(90), Generation(9))
        .await;
    let Adopted::Done(kept) = back else {
        panic!("the mark was as seen");
    };
    assert_eq!(want(kept.value), (at(150), Generation(9)));
}

/// An adopt that was planned with another version of the job changes nothing.
pub async fn an_adopt_needs_the_jobs_version(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let seen = scene.mark().await;
    scene.edit().await;
    let late = scene.adopt(Some(seen.version), at(60), Generation(8)).await;
    assert_eq!(late, Adopted::Stale);
    assert_eq!(scene.mark().await, seen);
}

/// S2: the mark survives its job, so that a job created again repeats no tick.
pub async fn a_mark_outlives_its_job(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    scene.hold(60).await;
    let mark = scene.mark().await;
    let delete = env.jobs.delete(scene.job(), Precondition::Any).await;
    delete.expect("delete");
    assert_eq!(scene.mark().await, mark);
    let put = env.jobs.put(&scene.pinned.job, Precondition::Absent).await;
    put.expect("create again");
    assert_eq!(scene.mark().await, mark);
}
