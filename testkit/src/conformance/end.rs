//! Cases on end: only the holder ends a run, once, and the store keeps how.

use std::time::Duration;

use sandclock_core::backend::{End, EndHow, Ended, Fence, OpenState, RecordSeen};
use sandclock_core::policy::ConcurrencyPolicy::Forbid;
use sandclock_core::policy::Streak;
use sandclock_core::run::{HookNote, Outcome, OutputSummary, RunState};

use super::CoordinationEnv;
use super::scene::{Scene, at, ended, tick, view};

fn terminal(state: RunState) -> EndHow {
    EndHow::Terminal(ended(state))
}

/// S3, S5: an end with an older fence changes nothing, whoever holds the run now.
pub async fn an_end_needs_the_fence(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let first = scene.hold(60).await;
    scene.retry(&tick(60), first).await;
    let other = scene.other_worker("worker-2").await;
    let (_, second) = other.take(&tick(60)).await;
    let before = view(env).await;
    let retry = EndHow::Retry {
        not_before: at(0),
        exclude: None,
        killed: ended(RunState::Killed),
    };
    for how in [terminal(RunState::Failed), retry] {
        assert_eq!(scene.end(&tick(60), first, how).await, Ended::Fenced);
    }
    assert_eq!(view(env).await, before);
    other.succeed(&tick(60), second).await;
}

/// A worker that has lost its session still ends what it holds, as long as nobody settled it.
pub async fn an_end_needs_no_session(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    scene.crash().await;
    let done = scene.succeed(&tick(60), fence).await;
    assert_eq!(done.outcome.state, RunState::Succeeded);
}

/// S6: the repeat of an end gets the same record until that is cleaned; a different end is fenced.
pub async fn the_repeat_of_an_end_is_recognised(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    let how = terminal(RunState::Succeeded);
    let first = scene.end(&tick(60), fence, how.clone()).await;
    let Ended::Done(done) = &first else {
        panic!("should be done: {first:?}");
    };
    assert_eq!(scene.end(&tick(60), fence, how.clone()).await, first);
    let different = scene
        .end(&tick(60), fence, terminal(RunState::Failed))
        .await;
    assert_eq!(different, Ended::Fenced);
    assert_eq!(scene.done(&tick(60)).await.as_ref(), Some(&**done), "S8");
    let seen = RecordSeen {
        job: scene.job().clone(),
        key: tick(60),
        version: done.version,
    };
    assert_eq!(
        env.feed
            .clean(&[seen], Duration::ZERO)
            .await
            .expect("clean"),
        1
    );
    assert_eq!(scene.end(&tick(60), fence, how).await, Ended::Fenced);
    assert!(scene.done(&tick(60)).await.is_none());
}

/// S8: the done record says everything that the owner said.
pub async fn an_end_is_recorded_as_it_was(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    let outcome = Outcome {
        state: RunState::TimedOut,
        cause: "limit of 5 s (plugin timeout-ladder): \"zu spät\"".to_owned(),
        started_at: Some(at(61)),
        ended_at: at(66),
        exit_code: Some(143),
        signal: Some(15),
        output: OutputSummary {
            bytes: 5_000_000_000,
            cut: 4_999_000_000,
        },
        notes: vec![HookNote {
            plugin: "timeout-ladder".to_owned(),
            version: None,
            hook: "timeout-policy".to_owned(),
            decision: "5 s".to_owned(),
            failed: false,
            monitored: false,
            took: Duration::from_micros(180),
        }],
    };
    let ended = scene
        .end(&tick(60), fence, EndHow::Terminal(outcome.clone()))
        .await;
    let Ended::Done(answer) = ended else {
        panic!("should be done: {ended:?}");
    };
    let done = scene.done(&tick(60)).await.expect("done");
    assert_eq!(done, *answer);
    assert_eq!(done.value.outcome, outcome);
    assert_eq!((done.value.attempts, done.value.fence), (1, fence.get()));
    assert_eq!(done.value.worker, "worker-1");
    assert_eq!(done.value.pinned, Some(scene.pinned.clone()));
    assert_eq!(done.value.span, None);
    assert!(scene.open(&tick(60)).await.is_none());
}

/// A retry has no owner, counts the attempt, and keeps the run's place and definition.
pub async fn a_retry_waits_for_its_next_attempt(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    scene.edit().await;
    let retry = EndHow::Retry {
        not_before: at(90),
        exclude: Some("worker-1".to_owned()),
        killed: ended(RunState::Killed),
    };
    assert_eq!(scene.end(&tick(60), fence, retry).await, Ended::Waiting);
    let open = scene.open(&tick(60)).await.expect("open").value;
    let waiting = OpenState::Waiting {
        not_before: at(90),
        exclude: Some("worker-1".to_owned()),
    };
    assert_eq!(open.state, waiting);
    assert_eq!((open.attempt, open.reruns), (2, 0));
    assert_eq!(open.pinned, scene.pinned, "the old definition");
    let (taken, fence) = scene.take(&tick(60)).await;
    assert_eq!(taken.attempt, 2);
    assert_eq!(scene.succeed(&tick(60), fence).await.attempts, 2);
}

/// A run that is handed back has no owner, may be taken at once, and counts no attempt.
pub async fn a_hand_back_keeps_the_attempt(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    let how = EndHow::HandBack {
        killed: ended(RunState::Killed),
    };
    assert_eq!(scene.end(&tick(60), fence, how).await, Ended::Waiting);
    let open = scene.open(&tick(60)).await.expect("open").value;
    assert_eq!((open.attempt, open.reruns), (1, 0));
    let OpenState::Waiting {
        not_before,
        exclude,
    } = open.state
    else {
        panic!("should wait: {:?}", open.state);
    };
    assert!(not_before < at(-3600), "at once: {not_before}");
    assert_eq!(exclude, None);
}

/// A killed run never waits again: its retry or hand-back is its end.
pub async fn a_kill_turns_a_retry_into_an_end(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let retry = EndHow::Retry {
        not_before: at(0),
        exclude: None,
        killed: ended(RunState::Killed),
    };
    let hand_back = EndHow::HandBack {
        killed: ended(RunState::Killed),
    };
    for (seconds, how) in [(60, retry), (120, hand_back)] {
        let fence = scene.hold(seconds).await;
        scene.kill(&tick(seconds)).await;
        let answer = scene.end(&tick(seconds), fence, how).await;
        let Ended::Done(done) = answer else {
            panic!("should be done: {answer:?}");
        };
        assert_eq!(done.value.outcome, ended(RunState::Killed));
        assert!(scene.open(&tick(seconds)).await.is_none());
    }
}

/// S1: each later holder of a run has a greater fence.
pub async fn fences_rise_with_each_holder(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let mut last: Fence = scene.hold(60).await;
    for _ in 0..5 {
        scene.retry(&tick(60), last).await;
        let (_, fence) = scene.take(&tick(60)).await;
        assert!(fence > last, "{fence} after {last}");
        last = fence;
    }
    let End { fence, .. } = scene.ending(&tick(60), last, terminal(RunState::Failed));
    assert_eq!(scene.succeed(&tick(60), fence).await.fence, last.get());
}

/// The mark keeps how the job has been doing, and each end says how it was before and after.
pub async fn the_mark_keeps_the_streak(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let mut streak = Streak::default();
    let states = [
        RunState::Failed,
        RunState::TimedOut,
        RunState::Killed,
        RunState::Succeeded,
        RunState::Failed,
    ];
    for (state, seconds) in states.into_iter().zip([60, 120, 180, 240, 300]) {
        let fence = scene.hold(seconds).await;
        let answer = scene.end(&tick(seconds), fence, terminal(state)).await;
        let Ended::Done(done) = answer else {
            panic!("should be done: {answer:?}");
        };
        assert_eq!(done.value.streak_before, streak, "before {state}");
        streak = streak.after(state);
        assert_eq!(done.value.streak, streak, "after {state}");
        let mark = scene.mark().await.value;
        assert_eq!((mark.at, mark.streak), (at(seconds), streak));
    }
}
