//! Cases on decide and adopt: the mark moves once, from where the planner saw it, and takes a record of
//! every tick along.

use std::pin::pin;
use std::task::Poll;

use futures_util::future::{join_all, poll_fn};
use sandclock_core::backend::{
    Adopted, DecideFate, Decided, Fence, Generation, Precondition, Span,
};
use sandclock_core::policy::ConcurrencyPolicy::{Allow, Forbid};
use sandclock_core::run::{RunKey, RunState};
use sandclock_core::{ErrorKind, Timestamp};

use super::CoordinationEnv;
use super::scene::{Scene, at, ended, job, nonce, open_session, tick, view};

/// S1, S2: of 32 claims of one tick at once, one holds it and the others learn that they are late.
pub async fn one_of_many_deciders_holds_the_tick(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let workers = join_all((0..8).map(|i| scene.other_worker(["a", "b", "c", "d"][i % 4]))).await;
    let plan = scene.plan(60).await;
    let claims = (0..32).map(|i| {
        let worker = &workers[i % workers.len()];
        let mut due = plan.clone();
        due.nonce = nonce();
        async move { worker.send(&due).await }
    });
    let answers = join_all(claims).await;
    let held = |answer: &&Decided| matches!(answer, Decided::Held { .. });
    assert_eq!(answers.iter().filter(held).count(), 1, "{answers:?}");
    let late = answers.iter().filter(|a| **a == Decided::Stale).count();
    assert_eq!(late, 31, "{answers:?}");
    assert_eq!(view(env).await.open.len(), 1);
}

/// S7: a decide that was planned with another mark, older or newer, changes nothing.
pub async fn a_stale_mark_changes_nothing(env: &CoordinationEnv) {
    let scene = Scene::new(env, Allow).await;
    let stale = scene.plan(180).await;
    scene.hold(60).await;
    let before = view(env).await;
    assert_eq!(scene.send(&stale).await, Decided::Stale);
    let mut ahead = scene.plan(180).await;
    ahead.prev.at = at(120);
    assert_eq!(scene.send(&ahead).await, Decided::Stale);
    assert_eq!(view(env).await, before);
}

/// S7: ticks that are passed over get their record in the step that moves the mark.
pub async fn passed_over_ticks_are_recorded(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let span = Span {
        first: at(60),
        last: at(180),
        count: 3,
    };
    let mut due = scene.plan(240).await;
    due.passed = Some((span, ended(RunState::Missed)));
    assert!(matches!(scene.send(&due).await, Decided::Held { .. }));
    let done = scene.done(&tick(180)).await.expect("the range is recorded");
    assert_eq!(done.value.span, Some(span));
    assert_eq!(done.value.outcome, ended(RunState::Missed));
    assert_eq!((done.value.attempts, done.value.fence), (0, 0));
    assert_eq!(scene.mark().await.value.at, at(240));
}

/// A tick that is recorded without a run, missed or busy, moves the mark too.
pub async fn a_recorded_tick_moves_the_mark(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let mut due = scene.plan(60).await;
    due.fate = DecideFate::Record(ended(RunState::Missed));
    assert_eq!(scene.send(&due).await, Decided::Recorded(RunState::Missed));
    assert_eq!(scene.mark().await.value.at, at(60));
    assert!(scene.open(&tick(60)).await.is_none());

    scene.hold(120).await;
    let busy = scene.plan(180).await;
    assert_eq!(
        scene.send(&busy).await,
        Decided::Recorded(RunState::Skipped)
    );
    assert_eq!(scene.mark().await.value.at, at(180));
    let done = scene.done(&tick(180)).await.expect("the skip is recorded");
    assert_eq!(done.value.outcome, ended(RunState::Skipped));
    assert_eq!(done.value.pinned, Some(scene.pinned.clone()));
    assert_eq!(scene.send(&busy).await, Decided::Stale, "decided once");
}

/// A claim that follows an acknowledged edit or delete, planned before it, changes nothing.
pub async fn a_decide_needs_the_jobs_version(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let planned = scene.plan(60).await;
    let version = scene.edit().await;
    assert_eq!(scene.send(&planned).await, Decided::Stale);
    let mut current = planned.clone();
    current.pinned.version = version;
    let delete = env.jobs.delete(scene.job(), Precondition::Matches(version));
    delete.await.expect("delete");
    assert_eq!(scene.send(&current).await, Decided::Stale);
    let again = env.jobs.put(&scene.pinned.job, Precondition::Absent).await;
    again.expect("create again");
    assert_eq!(scene.send(&current).await, Decided::Stale);
    assert_eq!(scene.mark().await.value.at, at(0));
    assert!(view(env).await.open.is_empty());
}

/// A plan made under another definition of the schedule changes nothing.
pub async fn a_decide_needs_the_generation(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let mut due = scene.plan(60).await;
    due.prev.generation = Generation(8);
    assert_eq!(scene.send(&due).await, Decided::Stale);
    assert_eq!(scene.mark().await.value.at, at(0));
}

/// Without a mark nothing is decided: it must be adopted first.
pub async fn a_decide_needs_a_mark(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let unmarked = job("unmarked", Forbid);
    let put = env.jobs.put(&unmarked, Precondition::Absent).await;
    let mut due = scene.plan(60).await;
    due.pinned.version = put.expect("put").version;
    due.pinned.job = unmarked.into();
    assert_eq!(scene.send(&due).await, Decided::Stale);
    assert!(view(env).await.open.is_empty());
}

/// A worker whose session is gone decides nothing more.
pub async fn a_decide_needs_a_live_session(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let due = scene.plan(60).await;
    scene.crash().await;
    let before = view(env).await;
    let refused = env.fires.decide(&scene.session, &[due]).await;
    let error = refused.expect_err("the session is gone");
    assert_eq!(error.kind, ErrorKind::SessionLost);
    assert_eq!(view(env).await, before);
}

/// S6: the repeat of a claim holds the same run with the same fence; another claim does not.
pub async fn the_repeat_of_a_claim_is_recognised(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let due = scene.plan(60).await;
    let first = scene.send(&due).await;
    assert!(matches!(first, Decided::Held { .. }), "{first:?}");
    assert_eq!(scene.send(&due).await, first);
    let mut other = due.clone();
    other.nonce = nonce();
    assert_eq!(scene.send(&other).await, Decided::Stale);
    let stranger = scene.other_worker("worker-2").await;
    assert_eq!(stranger.send(&due).await, Decided::Stale);
    assert_eq!(view(env).await.open.len(), 1);
}

/// 64 jobs in one call: each has its own answer, in order.
pub async fn a_batch_answers_each_item(env: &CoordinationEnv) {
    let mut due = Vec::new();
    let session = open_session(env, "worker-1").await;
    for i in 0..64 {
        let scene = Scene::of(env, job(&format!("batch-{i}"), Forbid)).await;
        let mut item = scene.plan(60).await;
        match i % 4 {
            1 => item.fate = DecideFate::Record(ended(RunState::Missed)),
            2 => item.prev.at = at(1),
            3 => {
                scene.hold(30).await;
                item.prev.at = at(30);
            }
            _ => {}
        }
        due.push(item);
    }
    let answers = env.fires.decide(&session, &due).await.expect("decide");
    assert_eq!(answers.len(), 64);
    for (i, answer) in answers.iter().enumerate() {
        let right = match i % 4 {
            0 => matches!(answer, Decided::Held { .. }),
            1 => *answer == Decided::Recorded(RunState::Missed),
            2 => *answer == Decided::Stale,
            _ => *answer == Decided::Recorded(RunState::Skipped),
        };
        assert!(right, "item {i}: {answer:?}");
    }
    assert_eq!(view(env).await.open.len(), 32);
    assert_eq!(view(env).await.done.len(), 32);
}

/// More than 64 items, one job twice, or ticks out of order: nothing is decided.
pub async fn a_batch_out_of_bounds_is_refused(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let plan = scene.plan(60).await;
    let twice = vec![plan.clone(), plan.clone()];
    let mut backwards = plan.clone();
    backwards.fire = at(0);
    let mut overlap = plan.clone();
    let span = Span {
        first: at(30),
        last: at(60),
        count: 2,
    };
    overlap.passed = Some((span, ended(RunState::Missed)));
    let mut many = Vec::new();
    for i in 0..65 {
        let mut item = plan.clone();
        item.pinned.job = job(&format!("many-{i}"), Forbid).into();
        many.push(item);
    }
    let before = view(env).await;
    for batch in [twice, vec![backwards], vec![overlap], many] {
        let refused = env.fires.decide(&scene.session, &batch).await;
        let error = refused.expect_err("out of bounds");
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
    }
    assert_eq!(view(env).await, before);
}

/// A call whose future is dropped leaves all of its effect or none, and its repeat gets the answer.
pub async fn a_dropped_call_does_all_or_nothing(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    for (i, polls) in [0, 1, 2, 3, 5, 8].into_iter().enumerate() {
        let seconds = 60 * (i64::try_from(i).expect("small") + 1);
        let due = [scene.plan(seconds).await];
        {
            let mut call = pin!(env.fires.decide(&scene.session, &due));
            for _ in 0..polls {
                let ready = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
                if ready {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let Decided::Held { fence, .. } = scene.send(&due[0]).await else {
            panic!("the repeat after {polls} polls is not held");
        };
        let open = scene.open(&tick(seconds)).await.expect("open");
        assert_eq!(Fence::at(open.version), fence);
        assert_eq!(scene.mark().await.value.at, at(seconds));
        scene.succeed(&tick(seconds), fence).await;
    }
}

/// The store does not compare fire times with any clock: an hour, or years, off changes nothing.
pub async fn fire_times_are_data(env: &CoordinationEnv) {
    for (i, fire) in [-3_600_000, 1, 3_600_000, 4_102_444_800_000]
        .into_iter()
        .enumerate()
    {
        let scene = Scene::of(env, job(&format!("era-{i}"), Forbid)).await;
        let fire = Timestamp::from_millis(fire);
        let job = job(&format!("era-{i}-job"), Forbid);
        let put = env.jobs.put(&job, Precondition::Absent).await.expect("put");
        let mut far = scene.clone();
        far.pinned.version = put.version;
        far.pinned.job = job.into();
        let start = Timestamp::from_millis(fire.as_millis() - 1);
        assert!(matches!(
            far.adopt(None, start, Generation(1)).await,
            Adopted::Done(_)
        ));
        let mut due = far.plan(60).await;
        due.fire = fire;
        let answer = far.send(&due).await;
        assert!(matches!(answer, Decided::Held { .. }), "{fire}: {answer:?}");
        assert!(far.open(&RunKey::Tick(fire)).await.is_some());
    }
}

/// A kill that was sent before the claim comes with its answer, also with the repeat's.
pub async fn a_kill_comes_with_the_claim(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let sent = scene.kill(&tick(60)).await;
    let due = scene.plan(60).await;
    for _ in 0..2 {
        match scene.send(&due).await {
            Decided::Held { kill, .. } => assert_eq!(kill.as_ref(), Some(&sent)),
            other => panic!("should be held: {other:?}"),
        }
    }
}
