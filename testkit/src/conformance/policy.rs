//! Cases on admission: what becomes of a tick that meets a busy job, under each concurrency policy.

use sandclock_core::backend::{DecideFate, Decided, EndHow, Take, TakeFrom, Taken};
use sandclock_core::policy::ConcurrencyPolicy::{Allow, Forbid, Queue, Replace};
use sandclock_core::run::{RunKey, RunState};

use super::CoordinationEnv;
use super::scene::{Scene, ended, job, tick, view};

const SKIPPED: Decided = Decided::Recorded(RunState::Skipped);

/// S5: a job is busy while an open record exists: running, between attempts, of a request, or with an
/// owner that is gone.
pub async fn forbid_skips_beside_every_open_record(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    assert_eq!(scene.decide(120).await, SKIPPED, "beside a running tick");
    scene.retry(&tick(60), fence).await;
    assert_eq!(scene.decide(180).await, SKIPPED, "between attempts");
    let (_, fence) = scene.take(&tick(60)).await;
    scene.succeed(&tick(60), fence).await;

    scene.trigger("by-hand").await;
    let request = RunKey::Request("by-hand".to_owned());
    let owner = scene.other_worker("worker-2").await;
    owner.take(&request).await;
    assert_eq!(scene.decide(240).await, SKIPPED, "beside a request");
    owner.crash().await;
    assert_eq!(scene.decide(300).await, SKIPPED, "its owner is gone");
    for seconds in [120, 180, 240, 300] {
        assert!(scene.done(&tick(seconds)).await.is_some(), "{seconds}");
    }
}

/// A tick that has to run is not recorded as skipped: it stays undecided until the job is free.
pub async fn a_tick_can_wait_for_its_turn(env: &CoordinationEnv) {
    for policy in [Forbid, Queue] {
        let scene = Scene::of(env, job(&format!("{policy:?}"), policy)).await;
        let fence = scene.hold(60).await;
        if policy == Queue {
            assert_eq!(scene.decide(90).await, Decided::Waits);
        }
        let before = scene.mark().await;
        let mut late = scene.plan(120).await;
        if let DecideFate::Run { in_turn, .. } = &mut late.fate {
            *in_turn = true;
        }
        assert_eq!(scene.send(&late).await, Decided::Stale, "{policy:?}");
        assert_eq!(scene.mark().await, before, "nothing was decided");
        assert!(
            scene.done(&tick(120)).await.is_none(),
            "nothing is recorded"
        );
        scene.succeed(&tick(60), fence).await;
        if policy == Queue {
            let (_, fence) = scene.take(&tick(90)).await;
            scene.succeed(&tick(90), fence).await;
        }
        let held = scene.send(&late).await;
        assert!(matches!(held, Decided::Held { .. }), "{policy:?}: {held:?}");
    }
}

/// A request that waits for admission does not make the job busy.
pub async fn forbid_does_not_count_what_waits(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    scene.trigger("by-hand").await;
    scene.hold(60).await;
}

/// Runs of an `allow` job run beside each other.
pub async fn allow_runs_beside(env: &CoordinationEnv) {
    let scene = Scene::new(env, Allow).await;
    scene.hold(60).await;
    scene.hold(120).await;
    assert_eq!(view(env).await.open.len(), 2);
}

/// Behind an open run one tick waits; further ones are skipped; the waiting one runs when the job is free.
pub async fn queue_lets_one_tick_wait(env: &CoordinationEnv) {
    let scene = Scene::new(env, Queue).await;
    let fence = scene.hold(60).await;
    assert_eq!(scene.decide(120).await, Decided::Waits);
    assert_eq!(scene.decide(180).await, SKIPPED);
    assert_eq!(
        scene.send_take(&scene.claim(&tick(120)).await).await,
        Taken::Busy
    );
    scene.succeed(&tick(60), fence).await;
    assert_eq!(
        scene.decide(240).await,
        SKIPPED,
        "the waiting tick goes first"
    );
    let (open, fence) = scene.take(&tick(120)).await;
    assert_eq!((open.attempt, open.reruns), (1, 0));
    assert_eq!(open.pinned, scene.pinned);
    assert!(scene.wait(&tick(120)).await.is_none());
    scene.succeed(&tick(120), fence).await;
    scene.hold(300).await;
}

/// Behind an open run every tick waits: the taker of the newest replaces the others.
pub async fn replace_lets_every_tick_wait(env: &CoordinationEnv) {
    let scene = Scene::new(env, Replace).await;
    let fence = scene.hold(60).await;
    assert_eq!(scene.decide(120).await, Decided::Waits);
    assert_eq!(scene.decide(180).await, Decided::Waits);
    scene.succeed(&tick(60), fence).await;
    assert_eq!(scene.decide(240).await, Decided::Waits, "others wait");
    let waiting: Vec<_> = view(env).await.wait;
    let keys: Vec<_> = waiting.iter().map(|wait| wait.value.key.clone()).collect();
    assert_eq!(keys, [tick(120), tick(180), tick(240)]);
}

/// The take of the newest waiting tick records the older ones in the same step.
pub async fn replaced_ticks_go_with_the_take(env: &CoordinationEnv) {
    let scene = Scene::new(env, Replace).await;
    let fence = scene.hold(60).await;
    for seconds in [120, 180, 240] {
        assert_eq!(scene.decide(seconds).await, Decided::Waits);
    }
    let killed = EndHow::Terminal(ended(RunState::Killed));
    scene.end(&tick(60), fence, killed).await;
    let mut skip = Vec::new();
    for seconds in [120, 180] {
        skip.push((scene.record(&tick(seconds)).await, ended(RunState::Skipped)));
    }
    let newest = Take {
        from: TakeFrom::Wait {
            pinned: scene.pinned.clone(),
            exclusive: true,
            skip,
        },
        ..scene.claim(&tick(240)).await
    };
    let taken = scene.send_take(&newest).await;
    assert!(matches!(taken, Taken::Held { .. }), "{taken:?}");
    let after = view(env).await;
    assert!(after.wait.is_empty(), "{:?}", after.wait);
    assert_eq!(after.open.len(), 1);
    for seconds in [120, 180] {
        let done = scene.done(&tick(seconds)).await.expect("recorded");
        assert_eq!(done.value.outcome, ended(RunState::Skipped));
    }
}

/// Waiting requests are no waiting ticks: a tick of a free `queue` job runs beside them.
pub async fn a_request_does_not_keep_a_tick_waiting(env: &CoordinationEnv) {
    let scene = Scene::new(env, Queue).await;
    scene.trigger("by-hand").await;
    let fence = scene.hold(60).await;
    assert_eq!(scene.decide(120).await, Decided::Waits);
    scene.succeed(&tick(60), fence).await;
}
