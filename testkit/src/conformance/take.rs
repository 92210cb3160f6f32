//! Cases on take and rebind: a waiting run gets one owner, and an owner that comes back keeps its run.

use futures_util::future::join_all;
use sandclock_core::ErrorKind;
use sandclock_core::backend::{OpenState, Precondition, SettleAs, Settled, Take, TakeFrom, Taken};
use sandclock_core::policy::ConcurrencyPolicy::{Allow, Forbid, Queue, Replace};
use sandclock_core::run::{RunKey, RunState};

use super::CoordinationEnv;
use super::scene::{Scene, ended, nonce, tick, view};

fn is_held(taken: &Taken) -> bool {
    matches!(taken, Taken::Held { .. })
}

/// S1: of 16 takes of one waiting run at once, one holds it.
pub async fn a_waiting_run_is_taken_once(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    scene.retry(&tick(60), fence).await;
    let plan = scene.claim(&tick(60)).await;
    let takes = (0..16).map(|_| {
        let take = Take {
            nonce: nonce(),
            ..plan.clone()
        };
        let scene = &scene;
        async move { scene.send_take(&take).await }
    });
    let answers = join_all(takes).await;
    assert_eq!(answers.iter().filter(|a| is_held(a)).count(), 1);
    let late = answers.iter().filter(|a| **a == Taken::Stale).count();
    assert_eq!(late, 15, "{answers:?}");
}

/// S1: a take of a record that has changed since changes nothing, whoever has it now.
pub async fn a_take_needs_the_version_seen(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    scene.retry(&tick(60), fence).await;
    let old = scene.claim(&tick(60)).await;
    let other = scene.other_worker("worker-2").await;
    let (_, fence) = other.take(&tick(60)).await;
    let before = view(env).await;
    assert_eq!(scene.send_take(&old).await, Taken::Stale, "it is owned");
    assert_eq!(view(env).await, before);
    other.retry(&tick(60), fence).await;
    assert_eq!(scene.send_take(&old).await, Taken::Stale, "it waits anew");
}

/// A worker whose session is gone takes nothing more.
pub async fn a_take_needs_a_live_session(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    scene.trigger("by-hand").await;
    let take = scene.claim(&RunKey::Request("by-hand".to_owned())).await;
    scene.crash().await;
    let before = view(env).await;
    let refused = env.fires.take(&scene.session, &take).await;
    let error = refused.expect_err("the session is gone");
    assert_eq!(error.kind, ErrorKind::SessionLost);
    assert_eq!(view(env).await, before);
}

/// S5: what waits for admission to an exclusive job is taken only while no open record exists.
pub async fn a_take_from_wait_needs_a_free_job(env: &CoordinationEnv) {
    let scene = Scene::new(env, Queue).await;
    let fence = scene.hold(60).await;
    assert_eq!(
        scene.trigger("by-hand").await,
        scene.trigger("by-hand").await
    );
    let request = RunKey::Request("by-hand".to_owned());
    let take = scene.claim(&request).await;
    assert_eq!(scene.send_take(&take).await, Taken::Busy);
    scene.retry(&tick(60), fence).await;
    assert_eq!(
        scene.send_take(&take).await,
        Taken::Busy,
        "between attempts"
    );
    assert_eq!(view(env).await.open.len(), 1);
    let (_, fence) = scene.take(&tick(60)).await;
    scene.succeed(&tick(60), fence).await;
    assert!(is_held(&scene.send_take(&take).await), "now it is free");

    let free = Scene::of(env, super::scene::job("beside", Allow)).await;
    free.hold(60).await;
    free.trigger("by-hand").await;
    free.take(&request).await;
}

/// A run is admitted only under the definition that the taker has read.
pub async fn a_take_from_wait_needs_the_jobs_version(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    scene.trigger("by-hand").await;
    let key = RunKey::Request("by-hand".to_owned());
    let take = scene.claim(&key).await;
    scene.edit().await;
    assert_eq!(scene.send_take(&take).await, Taken::Stale);
    let delete = env.jobs.delete(scene.job(), Precondition::Any).await;
    delete.expect("delete");
    assert_eq!(scene.send_take(&take).await, Taken::Stale);
    assert!(scene.wait(&key).await.is_some(), "it still waits");
}

/// If an older tick that was to be skipped is gone, nothing is taken and nothing recorded twice.
pub async fn a_take_with_a_stale_older_tick_changes_nothing(env: &CoordinationEnv) {
    let scene = Scene::new(env, Replace).await;
    let fence = scene.hold(60).await;
    scene.decide(120).await;
    scene.decide(180).await;
    scene.succeed(&tick(60), fence).await;
    let older = scene.record(&tick(120)).await;
    let take = Take {
        from: TakeFrom::Wait {
            pinned: scene.pinned.clone(),
            exclusive: true,
            skip: vec![(older.clone(), ended(RunState::Skipped))],
        },
        ..scene.claim(&tick(180)).await
    };
    let dropped = scene.settle(&older, scene.dropped(RunState::Missed)).await;
    assert!(matches!(dropped, Settled::Done(_)), "{dropped:?}");
    let before = view(env).await;
    assert_eq!(scene.send_take(&take).await, Taken::Stale);
    assert_eq!(view(env).await, before);
}

/// S6: the repeat of a take holds the same run with the same fence, from an open and from a wait record.
pub async fn the_repeat_of_a_take_is_recognised(env: &CoordinationEnv) {
    let scene = Scene::new(env, Allow).await;
    let fence = scene.hold(60).await;
    scene.retry(&tick(60), fence).await;
    scene.trigger("by-hand").await;
    for key in [tick(60), RunKey::Request("by-hand".to_owned())] {
        let take = scene.claim(&key).await;
        let first = scene.send_take(&take).await;
        assert!(is_held(&first), "{first:?}");
        assert_eq!(scene.send_take(&take).await, first);
        let other = Take {
            nonce: nonce(),
            ..take
        };
        assert_eq!(scene.send_take(&other).await, Taken::Stale);
    }
}

/// A kill that was sent before the take comes with its answer.
pub async fn a_kill_comes_with_the_take(env: &CoordinationEnv) {
    let scene = Scene::new(env, Allow).await;
    let fence = scene.hold(60).await;
    scene.retry(&tick(60), fence).await;
    scene.trigger("by-hand").await;
    for key in [tick(60), RunKey::Request("by-hand".to_owned())] {
        let sent = scene.kill(&key).await;
        match scene.send_take(&scene.claim(&key).await).await {
            Taken::Held { kill, .. } => assert_eq!(kill, Some(sent)),
            other => panic!("should be held: {other:?}"),
        }
    }
}

/// A run whose owner is back under a new session keeps its claim; its old fence is dead.
pub async fn a_rebound_run_has_a_new_fence(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let old = scene.hold(60).await;
    let before = scene.open(&tick(60)).await.expect("open").value;
    scene.crash().await;
    let back = scene.other_worker("worker-1").await;
    let rebind = back.rebind(&tick(60), old).await;
    let new = rebind.expect("rebind").expect("the fence holds");
    assert!(new > old, "{new} after {old}");
    let open = scene.open(&tick(60)).await.expect("open").value;
    match (&before.state, &open.state) {
        (OpenState::Claimed { nonce: old, .. }, OpenState::Claimed { session, nonce, .. }) => {
            assert_eq!((session, nonce), (&back.session, old));
        }
        other => panic!("should be claimed: {other:?}"),
    }
    assert_eq!((open.attempt, open.reruns), (1, 0));
    let again = back.rebind(&tick(60), old).await;
    assert_eq!(again.expect("rebind"), None);
    back.succeed(&tick(60), new).await;
}

/// A run that was settled meanwhile, or a session that is gone, cannot be rebound.
pub async fn a_rebind_needs_fence_and_session(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    scene.crash().await;
    let lost = scene.rebind(&tick(60), fence).await;
    assert_eq!(lost.expect_err("gone").kind, ErrorKind::SessionLost);
    let back = scene.other_worker("worker-1").await;
    let record = scene.record(&tick(60)).await;
    let rerun = SettleAs::Rerun {
        not_before: super::scene::at(0),
    };
    assert_eq!(back.settle(&record, rerun).await, Settled::Waiting);
    let late = back.rebind(&tick(60), fence).await;
    assert_eq!(late.expect("rebind"), None);
}
