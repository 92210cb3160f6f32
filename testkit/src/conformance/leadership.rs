//! Cases on leadership: one leads, until it resigns or its lease runs out.

use std::time::Duration;

use futures_util::future::join_all;
use sandclock_core::ErrorKind;
use sandclock_core::backend::{Candidate, Nonce};
use tokio::time::Instant;

use super::CoordinationEnv;
use super::scene::LONG;

fn candidate(number: u128) -> Candidate {
    Candidate {
        name: format!("server {number}"),
        nonce: Nonce(number),
    }
}

async fn campaign(env: &CoordinationEnv, number: u128, ttl: Duration) -> Option<Duration> {
    let campaign = env.leadership.campaign(&candidate(number), ttl).await;
    campaign.expect("campaign")
}

async fn holds(env: &CoordinationEnv, number: u128) -> bool {
    match env.leadership.hold(&candidate(number)).await {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::SessionLost);
            false
        }
    }
}

async fn resign(env: &CoordinationEnv, number: u128) {
    let resigned = env.leadership.resign(&candidate(number)).await;
    resigned.expect("resign");
}

/// Of many that campaign at once, one leads and knows it.
pub async fn one_of_many_leads(env: &CoordinationEnv) {
    let all = join_all((1..=8).map(|number| campaign(env, number, LONG))).await;
    let leads: Vec<_> = all.iter().map(Option::is_some).collect();
    assert_eq!(leads.iter().filter(|leads| **leads).count(), 1, "{all:?}");
    for (number, leads) in (1..).zip(leads) {
        assert_eq!(holds(env, number).await, leads);
        assert_eq!(
            campaign(env, number, LONG).await.is_some(),
            leads,
            "it leads on"
        );
    }
}

/// Who resigns makes room at once; who does not lead makes none.
pub async fn a_resigned_seat_is_free(env: &CoordinationEnv) {
    assert!(campaign(env, 1, LONG).await.is_some());
    resign(env, 2).await;
    assert!(holds(env, 1).await);
    for _ in 0..2 {
        resign(env, 1).await;
        assert!(!holds(env, 1).await);
    }
    assert!(campaign(env, 2, LONG).await.is_some());
    resign(env, 1).await;
    assert!(holds(env, 2).await);
}

/// A leader of whom nothing is heard leads until its lease has run out, not longer and not shorter.
pub async fn a_term_runs_out_by_itself(env: &CoordinationEnv) {
    let began = Instant::now();
    let ttl = campaign(env, 1, Duration::from_secs(1)).await;
    let ttl = ttl.expect("nobody leads");
    while campaign(env, 2, LONG).await.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let lived = began.elapsed();
    assert!(lived >= ttl, "over after {lived:?} of {ttl:?}");
    assert!(!holds(env, 1).await);
    assert!(campaign(env, 1, LONG).await.is_none());
}

/// A leader that is heard of leads on, each time for a whole lease.
pub async fn a_held_term_outlives_its_lease(env: &CoordinationEnv) {
    let ttl = campaign(env, 1, Duration::from_secs(3)).await;
    let ttl = ttl.expect("nobody leads");
    let began = Instant::now();
    while began.elapsed() < ttl * 2 {
        tokio::time::sleep(ttl / 4).await;
        assert!(holds(env, 1).await, "after {:?}", began.elapsed());
        assert!(campaign(env, 2, LONG).await.is_none());
    }
}
