//! Cases on sessions: who lives is what the store's clock says, and gone is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use sandclock_core::ErrorKind;
use sandclock_core::backend::{Events, SessionEvent, SessionId, WorkerInfo};
use tokio::time::Instant;

use super::CoordinationEnv;
use super::events::{next, rest, until};
use super::scene::{LONG, open_session, worker};

async fn watch(env: &CoordinationEnv) -> Events<SessionEvent> {
    env.sessions.live().await.expect("watch")
}

/// A watch that has sent all sessions that lived, and those.
async fn synced(env: &CoordinationEnv) -> (Events<SessionEvent>, BTreeMap<SessionId, WorkerInfo>) {
    let mut events = watch(env).await;
    let read = until(&mut events, |event| *event == SessionEvent::Synced).await;
    let live = read.into_iter().filter_map(|event| match event {
        SessionEvent::Live(id, info) => Some((id, info)),
        SessionEvent::Gone(_) | SessionEvent::DrainAsked(_) | SessionEvent::Synced => None,
    });
    let live = live.collect();
    (events, live)
}

async fn is_lost(env: &CoordinationEnv, session: &SessionId) -> bool {
    match env.sessions.renew(session, None).await {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::SessionLost);
            true
        }
    }
}

/// A session is announced when it is opened and when it is closed.
pub async fn a_session_appears_and_vanishes(env: &CoordinationEnv) {
    let (mut events, live) = synced(env).await;
    assert!(live.is_empty());
    let session = open_session(env, "worker-1").await;
    let appeared = SessionEvent::Live(session.clone(), worker("worker-1"));
    assert_eq!(next(&mut events).await, appeared);
    env.sessions.close(&session).await.expect("close");
    assert_eq!(next(&mut events).await, SessionEvent::Gone(session.clone()));
    assert!(is_lost(env, &session).await);
}

/// A watch first sends every session that lives, and none that is gone.
pub async fn a_watch_begins_with_all_that_live(env: &CoordinationEnv) {
    let one = open_session(env, "worker-1").await;
    let gone = open_session(env, "worker-2").await;
    let three = open_session(env, "worker-3").await;
    env.sessions.close(&gone).await.expect("close");
    let (_, live) = synced(env).await;
    let want = [(one, worker("worker-1")), (three, worker("worker-3"))];
    assert_eq!(live, BTreeMap::from(want));
}

/// An expired session is announced as gone and stays lost, whatever is asked of it.
pub async fn an_expired_session_is_lost_for_ever(env: &CoordinationEnv) {
    let session = open_session(env, "worker-1").await;
    let (mut events, _) = synced(env).await;
    env.powers.expire(&session).await;
    let gone = SessionEvent::Gone(session.clone());
    until(&mut events, |event| *event == gone).await;
    for _ in 0..2 {
        assert!(is_lost(env, &session).await);
    }
    let info = env
        .sessions
        .renew(&session, Some(&worker("worker-1")))
        .await;
    assert_eq!(info.expect_err("lost").kind, ErrorKind::SessionLost);
    let (_, live) = synced(env).await;
    assert!(live.is_empty());
}

/// A lease that nobody renews runs out, not before the granted time, and watchers learn of it by themselves.
pub async fn a_lease_runs_out_by_itself(env: &CoordinationEnv) {
    let (mut events, _) = synced(env).await;
    let asked = Duration::from_secs(1);
    let began = Instant::now();
    let session = env
        .sessions
        .open(&worker("worker-1"), asked)
        .await
        .expect("open");
    assert!(session.ttl >= asked, "granted {:?}", session.ttl);
    let gone = SessionEvent::Gone(session.id.clone());
    until(&mut events, |event| *event == gone).await;
    let lived = began.elapsed();
    assert!(
        lived >= session.ttl,
        "expired after {lived:?} of {:?}",
        session.ttl
    );
    assert!(is_lost(env, &session.id).await);
}

/// A session that is renewed in time lives on, each time for a whole lease.
pub async fn a_renewed_session_outlives_its_lease(env: &CoordinationEnv) {
    let asked = Duration::from_secs(3);
    let session = env
        .sessions
        .open(&worker("worker-1"), asked)
        .await
        .expect("open");
    let began = Instant::now();
    while began.elapsed() < session.ttl * 2 {
        tokio::time::sleep(session.ttl / 4).await;
        assert!(
            !is_lost(env, &session.id).await,
            "after {:?}",
            began.elapsed()
        );
    }
    let (_, live) = synced(env).await;
    assert!(live.contains_key(&session.id));
}

/// Two openings by one worker are two sessions; the end of one is not the end of the other.
pub async fn two_lives_of_a_worker_are_distinct(env: &CoordinationEnv) {
    let first = open_session(env, "worker-1").await;
    let second = open_session(env, "worker-1").await;
    assert_ne!(first, second);
    env.powers.expire(&first).await;
    assert!(is_lost(env, &first).await);
    assert!(!is_lost(env, &second).await);
    let (_, live) = synced(env).await;
    assert_eq!(live.into_keys().collect::<Vec<_>>(), [second]);
}

/// Closing is idempotent, also after expiry.
pub async fn closing_twice_is_closing_once(env: &CoordinationEnv) {
    let closed = open_session(env, "worker-1").await;
    let expired = open_session(env, "worker-2").await;
    env.powers.expire(&expired).await;
    for session in [&closed, &closed, &expired] {
        env.sessions.close(session).await.expect("close");
        assert!(is_lost(env, session).await);
    }
}

/// What a worker says of itself reaches those who watch and those who come later; a plain renewal keeps it.
pub async fn new_information_reaches_watchers(env: &CoordinationEnv) {
    let session = open_session(env, "worker-1").await;
    let (mut events, _) = synced(env).await;
    let draining = WorkerInfo {
        draining: true,
        running: 3,
        ..worker("worker-1")
    };
    let renewed = env.sessions.renew(&session, Some(&draining)).await;
    renewed.expect("renew");
    let news = SessionEvent::Live(session.clone(), draining.clone());
    until(&mut events, |event| *event == news).await;
    assert!(!is_lost(env, &session).await);
    let (_, live) = synced(env).await;
    assert_eq!(live.get(&session), Some(&draining));
}

/// Who is asked to drain hears of it, at once or with its next watch, and nobody else.
pub async fn a_drain_reaches_whoever_watches(env: &CoordinationEnv) {
    let session = open_session(env, "worker-1").await;
    let other = open_session(env, "worker-2").await;
    let (mut events, _) = synced(env).await;
    for _ in 0..2 {
        assert!(env.sessions.ask_to_drain(&session).await.expect("ask"));
    }
    let asked = SessionEvent::DrainAsked(session.clone());
    assert_eq!(next(&mut events).await, asked);
    assert!(!is_lost(env, &session).await);
    let mut later = watch(env).await;
    let first = until(&mut later, |event| *event == SessionEvent::Synced).await;
    let place = |wanted: &SessionEvent| first.iter().position(|event| event == wanted);
    let lives = SessionEvent::Live(session.clone(), worker("worker-1"));
    assert!(place(&lives) < place(&asked), "{first:?}");
    assert!(place(&lives).is_some(), "{first:?}");
    assert_eq!(place(&SessionEvent::DrainAsked(other)), None, "{first:?}");
}

/// A session that is gone cannot be asked to drain, and its end takes the request along.
pub async fn a_drain_ends_with_its_session(env: &CoordinationEnv) {
    let session = open_session(env, "worker-1").await;
    assert!(env.sessions.ask_to_drain(&session).await.expect("ask"));
    env.sessions.close(&session).await.expect("close");
    assert!(!env.sessions.ask_to_drain(&session).await.expect("ask"));
    let mut later = watch(env).await;
    let first = until(&mut later, |event| *event == SessionEvent::Synced).await;
    assert_eq!(first, [SessionEvent::Synced]);
}

/// A watch that broke ends with an error; a new one begins with all that live.
pub async fn a_watch_begins_anew_after_it_broke(env: &CoordinationEnv) {
    let (mut events, _) = synced(env).await;
    env.powers.disturb().await;
    let (_, error) = rest(&mut events).await;
    assert!(error.is_transient(), "{error:?}");
    let opened = env.sessions.open(&worker("worker-1"), LONG).await;
    let session = opened.expect("sessions outlive watches");
    let (_, live) = synced(env).await;
    assert!(live.contains_key(&session.id));
}
