//! Claims beside Go workers: what such a worker sees of our lock, and what its own does to us.

use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp};
use futures_util::StreamExt;
use sandclock_backend_etcd::{EtcdConfig, Guard, connect};
use sandclock_core::backend::{
    Decided, Nonce, Pinned, Precondition, RecordSeen, Request, SessionId, Take, TakeFrom, Taken,
    Triggered,
};
use sandclock_core::job::Job;
use sandclock_core::policy::ConcurrencyPolicy;
use sandclock_core::run::{RunKey, RunState};
use tokio::time::Instant;

use crate::fresh::{beside_go, config};
use crate::scene::{Scene, due, mark};

/// How long a Go worker may wait before it tries, with what our lock adds.
const HOLD: Duration = Duration::from_millis(1500);

/// What a Go worker does when a job is due; the lease if it got the lock.
async fn go_worker_tries(raw: &Client, key: &str) -> Option<i64> {
    let mut raw = raw.clone();
    let lease = raw.lease_grant(5, None).await.expect("lease").id();
    let options = PutOptions::new().with_lease(lease);
    let txn = Txn::new()
        .when([Compare::create_revision(key, CompareOp::Equal, 0)])
        .and_then([TxnOp::put(key, "", Some(options))])
        .or_else([TxnOp::get(key, None)]);
    let got = raw.txn(txn).await.expect("txn").succeeded();
    if !got {
        raw.lease_revoke(lease).await.expect("revoke");
    }
    got.then_some(lease)
}

async fn renew(scene: &Scene, session: &SessionId) {
    scene
        .store
        .sessions
        .renew(session, None)
        .await
        .expect("renew");
}

#[tokio::test]
async fn a_claim_takes_the_lock_and_holds_on() {
    let scene = Scene::of(beside_go()).await;
    let session = scene.session().await;
    let pinned = scene.planned("a b/c").await;
    let key = scene.lock_key("a b/c");
    let due = due(&pinned, mark(0, None), 60);
    let began = Instant::now();
    let fence = scene.hold(&session, std::slice::from_ref(&due)).await[0];
    let lock = scene.at(&key).await.expect("locked");
    assert_eq!(lock.value(), format!("sandclock {session}").as_bytes());
    let ours = scene
        .at(&scene.own_key(&format!("session/{session}")))
        .await;
    assert_eq!(lock.lease(), ours.expect("there").lease());
    assert_eq!(go_worker_tries(&scene.raw, &key).await, None);
    scene.end(&due, fence).await;
    while scene.at(&key).await.is_some() {
        renew(&scene, &session).await;
    }
    assert!(
        began.elapsed() >= HOLD,
        "released after {:?}",
        began.elapsed()
    );
    assert!(go_worker_tries(&scene.raw, &key).await.is_some());
}

/// A lock that is merely held on does not keep our own fleet from the next tick, and belongs to its last
/// taker.
#[tokio::test]
async fn our_next_claim_takes_the_lock_over() {
    let scene = Scene::of(beside_go()).await;
    let first = scene.session().await;
    let pinned = scene.planned("job").await;
    let due_first = due(&pinned, mark(0, None), 60);
    let fence = scene.hold(&first, std::slice::from_ref(&due_first)).await[0];
    scene.end(&due_first, fence).await;

    let other = Scene {
        store: connect(scene.config.clone()).await.expect("connect"),
        raw: scene.raw.clone(),
        config: scene.config.clone(),
    };
    let second = other.session().await;
    let due_second = due(&pinned, mark(60, Some(RunState::Succeeded)), 120);
    other.hold(&second, &[due_second]).await;
    let began = Instant::now();
    while began.elapsed() < HOLD * 2 {
        renew(&scene, &first).await;
    }
    let value = scene.text(&scene.lock_key("job")).await;
    assert_eq!(
        value,
        Some(format!("sandclock {second}")),
        "not the first one's to release"
    );
}

/// Decides a tick while a Go worker has the lock.
async fn decided_beside_a_go_lock(scene: &Scene) -> Decided {
    let session = scene.session().await;
    let pinned = scene.planned("job").await;
    let lock = go_worker_tries(&scene.raw, &scene.lock_key("job")).await;
    assert!(lock.is_some());
    let due = due(&pinned, mark(0, None), 60);
    let decided = scene.store.fires.decide(&session, &[due]).await;
    decided.expect("decide").remove(0)
}

/// A tick that a Go worker runs is recorded as skipped, with the mark moved (S7).
#[tokio::test]
async fn a_tick_that_a_go_worker_runs_is_skipped() {
    let scene = Scene::of(beside_go()).await;
    let decided = decided_beside_a_go_lock(&scene).await;
    assert_eq!(decided, Decided::Recorded(RunState::Skipped));
    assert_eq!(
        scene.text(&scene.lock_key("job")).await.as_deref(),
        Some("")
    );
    let (view, _) = scene.store.feed.snapshot().await.expect("snapshot");
    assert!(view.open.is_empty());
    assert_eq!(view.marks[0].1.value, mark(60, None));
    let cause = &view.done[0].value.outcome.cause;
    assert!(cause.contains("Go fleet"), "{cause}");

    let mutant = Scene::without(Guard::Lock, beside_go()).await;
    let decided = decided_beside_a_go_lock(&mutant).await;
    assert!(
        matches!(decided, Decided::Held { .. }),
        "the guard is not missed: {decided:?}"
    );
}

/// A run that waits goes on waiting while a Go worker has the lock.
#[tokio::test]
async fn a_take_waits_for_a_go_worker() {
    let scene = Scene::of(beside_go()).await;
    let session = scene.session().await;
    let pinned = scene.planned("job").await;
    let request = Request {
        id: "by-hand".to_owned(),
        by: "ann".to_owned(),
        refuse_if_busy: false,
    };
    let name = &pinned.job.name;
    let asked = scene
        .store
        .fires
        .trigger(name, &request)
        .await
        .expect("trigger");
    assert!(matches!(asked, Triggered::Run(_)));
    let (view, _) = scene.store.feed.snapshot().await.expect("snapshot");
    let take = Take {
        record: RecordSeen {
            job: name.clone(),
            key: RunKey::Request("by-hand".to_owned()),
            version: view.wait[0].version,
        },
        from: TakeFrom::Wait {
            pinned: pinned.clone(),
            exclusive: true,
            skip: Vec::new(),
        },
        worker: "w".to_owned(),
        nonce: Nonce(1),
    };
    let lease = go_worker_tries(&scene.raw, &scene.lock_key("job"))
        .await
        .expect("locked");
    let taken = scene.store.fires.take(&session, &take).await.expect("take");
    assert_eq!(taken, Taken::Busy);
    let mut raw = scene.raw.clone();
    raw.lease_revoke(lease).await.expect("unlock");
    let taken = scene.store.fires.take(&session, &take).await.expect("take");
    assert!(matches!(taken, Taken::Held { .. }), "{taken:?}");
    assert!(scene.at(&scene.lock_key("job")).await.is_some());
}

/// One lock, one run: what allows more admits one while Go workers share it.
#[tokio::test]
async fn every_job_is_exclusive() {
    let scene = Scene::of(beside_go()).await;
    let session = scene.session().await;
    let pinned = scene.planned("job").await;
    let job = Job {
        concurrency: ConcurrencyPolicy::Allow,
        ..(*pinned.job).clone()
    };
    let put = scene
        .store
        .jobs
        .put(&job, Precondition::Any)
        .await
        .expect("put");
    let pinned = Pinned {
        job: job.into(),
        version: put.version,
    };
    scene
        .hold(&session, &[due(&pinned, mark(0, None), 60)])
        .await;
    let beside = due(&pinned, mark(60, None), 120);
    let decided = scene
        .store
        .fires
        .decide(&session, &[beside])
        .await
        .expect("decide");
    assert_eq!(decided, [Decided::Recorded(RunState::Skipped)]);
}

/// Reads the registry anew, and with it who else is registered.
async fn look_around(scene: &Scene) {
    let live = scene.store.sessions.live().await;
    drop(live.expect("live"));
}

/// Nobody has to say that Go workers are there: one that is registered makes claims take its fleet's lock.
#[tokio::test]
async fn a_registered_go_worker_makes_claims_take_the_lock() {
    let ours = EtcdConfig {
        register_as: Some("192.0.2.2".to_owned()),
        ..config()
    };
    let scene = Scene::of(ours).await;
    let session = scene.session().await;
    let pinned = scene.planned("job").await;
    let lock = scene.lock_key("job");
    let (mut at, mut last) = (0, None);
    let mut claim = async || {
        look_around(&scene).await;
        let due = due(&pinned, mark(at, last), at + 60);
        (at, last) = (at + 60, Some(RunState::Succeeded));
        let fence = scene.hold(&session, std::slice::from_ref(&due)).await[0];
        scene.end(&due, fence).await;
        scene.text(&lock).await
    };
    assert_eq!(claim().await, None);
    let theirs = format!("{}192.0.2.9", scene.config.go.workers);
    scene.put(&theirs, "").await;
    let taken = claim().await;
    assert_eq!(taken, Some(format!("sandclock {session}")));
    scene.remove(&theirs).await;
    scene.remove(&lock).await;
    assert_eq!(claim().await, None);
}

/// The same while it follows: the registration comes by the watch.
#[tokio::test]
async fn a_go_worker_that_comes_later_is_noticed() {
    let scene = Scene::of(config()).await;
    let session = scene.session().await;
    let pinned = scene.planned("job").await;
    let mut live = scene.store.sessions.live().await.expect("live");
    let follow = async { while live.next().await.is_some() {} };
    let claims = async {
        scene
            .put(&format!("{}192.0.2.9", scene.config.go.workers), "")
            .await;
        let (mut at, mut last) = (0, None);
        while scene.at(&scene.lock_key("job")).await.is_none() {
            let due = due(&pinned, mark(at, last), at + 60);
            (at, last) = (at + 60, Some(RunState::Succeeded));
            let fence = scene.hold(&session, std::slice::from_ref(&due)).await[0];
            scene.end(&due, fence).await;
        }
    };
    tokio::select! {
        () = follow => panic!("the registry ends"),
        () = claims => {}
    }
}
