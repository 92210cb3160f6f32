//! Cases on kills: a kill is a fact that stays for a while, not a message.

use std::time::Duration;

use sandclock_core::backend::{Decided, Kill};
use sandclock_core::policy::ConcurrencyPolicy::Forbid;

use super::CoordinationEnv;
use super::events::{next, rest, within};
use super::scene::{LONG, Scene, tick};

/// A kill reaches those who watch, and those who begin to watch later.
pub async fn a_kill_sent_before_the_watch_is_seen(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let mut early = env.kills.watch().await.expect("watch");
    let first = scene.kill(&tick(60)).await;
    let mut late = env.kills.watch().await.expect("watch");
    assert_eq!(next(&mut early).await, first);
    assert_eq!(next(&mut late).await, first);
    let second = scene.kill(&tick(120)).await;
    assert_eq!(next(&mut early).await, second);
    assert_eq!(next(&mut late).await, second);
}

/// A second kill of a run changes nothing: the first one's words stay.
pub async fn a_second_kill_changes_nothing(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let first = scene.kill(&tick(60)).await;
    let second = Kill {
        by: "bob".to_owned(),
        why: "me too".to_owned(),
        ..first.clone()
    };
    env.kills.send(&second, LONG).await.expect("send");
    let mut events = env.kills.watch().await.expect("watch");
    assert_eq!(next(&mut events).await, first);
    let other = scene.kill(&tick(120)).await;
    assert_eq!(next(&mut events).await, other, "no second event");
    match scene.decide(60).await {
        Decided::Held { kill, .. } => assert_eq!(kill, Some(first)),
        answer => panic!("should be held: {answer:?}"),
    }
}

/// A kill is forgotten after the time it was to be retained.
pub async fn a_kill_expires(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let kill = Kill {
        run: scene.run(&tick(60)),
        by: "ann".to_owned(),
        why: "it hangs".to_owned(),
    };
    let retain = Duration::from_secs(1);
    env.kills.send(&kill, retain).await.expect("send");
    let due = scene.plan(60).await;
    let forgotten = async {
        loop {
            match scene.send(&due).await {
                Decided::Held { kill: None, .. } => return,
                Decided::Held { .. } => tokio::time::sleep(retain / 4).await,
                answer => panic!("should be held: {answer:?}"),
            }
        }
    };
    within("the kill's end", forgotten).await;
    let mut events = env.kills.watch().await.expect("watch");
    let other = scene.kill(&tick(120)).await;
    assert_eq!(next(&mut events).await, other);
}

/// A watch that broke ends with an error; a new one begins with all kills that are retained.
pub async fn a_watch_begins_anew_after_it_broke(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let mut events = env.kills.watch().await.expect("watch");
    let first = scene.kill(&tick(60)).await;
    assert_eq!(next(&mut events).await, first);
    env.powers.disturb().await;
    let (_, error) = rest(&mut events).await;
    assert!(error.is_transient(), "{error:?}");
    let second = scene.kill(&tick(120)).await;
    let mut events = env.kills.watch().await.expect("watch");
    let mut both = [next(&mut events).await, next(&mut events).await];
    let mut want = [first, second];
    both.sort_by(|a, b| a.run.cmp(&b.run));
    want.sort_by(|a, b| a.run.cmp(&b.run));
    assert_eq!(both, want);
}
