//! Cases on settle: what becomes of a run whose owner is gone, or that has none.

use futures_util::future::join_all;
use sandclock_core::backend::{Decided, EndHow, Ended, OpenState, Precondition, SettleAs, Settled};
use sandclock_core::policy::ConcurrencyPolicy::{Forbid, Queue};
use sandclock_core::run::{RunKey, RunState};

use super::CoordinationEnv;
use super::scene::{Scene, at, ended, tick, view};

fn lost() -> SettleAs {
    SettleAs::Lost(ended(RunState::Lost))
}

fn rerun() -> SettleAs {
    SettleAs::Rerun { not_before: at(5) }
}

/// S1: a run is settled only once its owner's session is gone.
pub async fn a_settle_needs_the_owner_gone(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    scene.hold(60).await;
    let settler = scene.other_worker("worker-2").await;
    let record = scene.record(&tick(60)).await;
    let before = view(env).await;
    for how in [lost(), rerun()] {
        assert_eq!(settler.settle(&record, how).await, Settled::Stale);
    }
    scene.kill(&tick(60)).await;
    for how in [lost(), rerun(), SettleAs::IfKilled] {
        let answer = settler.settle(&record, how).await;
        assert_eq!(answer, Settled::Stale, "a kill is for its owner");
    }
    assert_eq!(view(env).await, before);
}

/// S8: of 8 settlers at once, one records the end, under the name of the worker that had the run.
pub async fn one_of_many_settlers_settles(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    let record = scene.record(&tick(60)).await;
    scene.crash().await;
    let settler = scene.other_worker("worker-2").await;
    let answers = join_all((0..8).map(|_| settler.settle(&record, lost()))).await;
    let done: Vec<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            Settled::Done(done) => Some(done),
            _ => None,
        })
        .collect();
    assert_eq!(done.len(), 1, "{answers:?}");
    assert_eq!(done[0].value.outcome, ended(RunState::Lost));
    assert_eq!(done[0].value.worker, "worker-1");
    assert_eq!(
        (done[0].value.attempts, done[0].value.fence),
        (1, fence.get())
    );
    assert_eq!(scene.done(&tick(60)).await.as_ref(), Some(&**done[0]));
    assert!(scene.open(&tick(60)).await.is_none());
}

/// S3: the end of a worker that was settled meanwhile changes nothing, even if it says the same.
pub async fn a_late_end_is_fenced(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    let record = scene.record(&tick(60)).await;
    scene.crash().await;
    let settler = scene.other_worker("worker-2").await;
    settler.settle(&record, lost()).await;
    let how = EndHow::Terminal(ended(RunState::Succeeded));
    let before = view(env).await;
    assert_eq!(scene.end(&tick(60), fence, how).await, Ended::Fenced);
    assert_eq!(view(env).await, before);
}

/// L1: a rerun waits without an owner, and is counted, so that it can have a bound.
pub async fn a_rerun_is_counted(env: &CoordinationEnv) {
    let first = Scene::new(env, Forbid).await;
    first.hold(60).await;
    let mut owner = first;
    for reruns in 1..=3 {
        let record = owner.record(&tick(60)).await;
        owner.crash().await;
        owner = owner.other_worker("worker-2").await;
        assert_eq!(owner.settle(&record, rerun()).await, Settled::Waiting);
        let open = owner.open(&tick(60)).await.expect("open").value;
        assert_eq!((open.attempt, open.reruns), (reruns + 1, reruns));
        let waiting = OpenState::Waiting {
            not_before: at(5),
            exclude: None,
        };
        assert_eq!(open.state, waiting);
        let skipped = owner.decide(60 + i64::from(reruns)).await;
        assert_eq!(skipped, Decided::Recorded(RunState::Skipped), "S5");
        let (taken, _) = owner.take(&tick(60)).await;
        assert_eq!((taken.attempt, taken.reruns), (reruns + 1, reruns));
    }
}

/// A killed run is not started again when its owner is gone.
pub async fn a_kill_wins_over_a_rerun(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    for (seconds, how) in [(60, rerun()), (120, lost())] {
        let owner = scene.other_worker("worker-2").await;
        owner.hold(seconds).await;
        scene.kill(&tick(seconds)).await;
        owner.crash().await;
        let record = scene.record(&tick(seconds)).await;
        let answer = scene.settle(&record, how).await;
        let Settled::Done(done) = answer else {
            panic!("should be done: {answer:?}");
        };
        assert_eq!(done.value.outcome, ended(RunState::Killed));
    }
}

/// A run between attempts and one that waits for admission are settled by a kill, and only by one.
pub async fn an_ownerless_run_is_settled_only_by_a_kill(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    scene.retry(&tick(60), fence).await;
    scene.trigger("by-hand").await;
    for (key, attempts) in [(tick(60), 1), (RunKey::Request("by-hand".to_owned()), 0)] {
        let record = scene.record(&key).await;
        for how in [SettleAs::IfKilled, lost(), rerun()] {
            let answer = scene.settle(&record, how).await;
            assert_eq!(answer, Settled::Stale, "{key} without a kill");
        }
        scene.kill(&key).await;
        let answer = scene.settle(&record, SettleAs::IfKilled).await;
        let Settled::Done(done) = answer else {
            panic!("{key} should be done: {answer:?}");
        };
        assert_eq!(done.value.outcome, ended(RunState::Killed));
        assert_eq!(done.value.attempts, attempts);
        assert_eq!(done.value.pinned.as_ref(), Some(&scene.pinned), "of what");
        let again = scene.settle(&record, SettleAs::IfKilled).await;
        assert_eq!(again, Settled::Stale);
    }
    let left = view(env).await;
    assert!(left.open.is_empty() && left.wait.is_empty());
}

/// A waiting tick that will never be admitted gets its record, once.
pub async fn a_waiting_tick_can_be_dropped(env: &CoordinationEnv) {
    let scene = Scene::new(env, Queue).await;
    scene.hold(60).await;
    assert_eq!(scene.decide(120).await, Decided::Waits);
    let record = scene.record(&tick(120)).await;
    let drop = scene.dropped(RunState::Skipped);
    let answer = scene.settle(&record, drop.clone()).await;
    assert!(matches!(answer, Settled::Done(_)), "{answer:?}");
    assert_eq!(scene.settle(&record, drop.clone()).await, Settled::Stale);
    let done = scene.done(&tick(120)).await.expect("recorded");
    assert_eq!(done.value.outcome, ended(RunState::Skipped));
    let open = scene.record(&tick(60)).await;
    let answer = scene.settle(&open, drop).await;
    assert_eq!(answer, Settled::Stale, "an open run is not dropped");
}

/// D1: what waits is dropped only for the definition that its job has, or for none if it has none: whoever drops may
/// have heard of the wait before it heard of the job.
pub async fn a_drop_needs_the_job_as_seen(env: &CoordinationEnv) {
    let scene = Scene::new(env, Queue).await;
    scene.trigger("r1").await;
    let record = scene.record(&RunKey::Request("r1".to_owned())).await;
    let drop = |job| SettleAs::Drop {
        outcome: ended(RunState::Skipped),
        job,
    };
    let (no_job, first) = (drop(None), drop(Some(scene.pinned.version)));
    assert_eq!(scene.settle(&record, no_job.clone()).await, Settled::Stale);
    let edited = env.jobs.put(&scene.pinned.job, Precondition::Any).await;
    edited.expect("put");
    assert_eq!(scene.settle(&record, first).await, Settled::Stale);
    let name = &scene.pinned.job.name;
    let deleted = env.jobs.delete(name, Precondition::Any).await;
    deleted.expect("delete");
    let answer = scene.settle(&record, no_job).await;
    assert!(matches!(answer, Settled::Done(_)), "{answer:?}");
}
