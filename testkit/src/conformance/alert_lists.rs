//! Cases on reading the outbox: lists, and the alerts of a run and of a job.

use sandclock_core::ErrorKind;
use sandclock_core::backend::{Alert, AlertId, PageToken};
use sandclock_core::run::{RunId, RunKey};

use super::RecordsEnv;
use super::outbox::{LEASE, alert, claim_one, delivered, put};
use super::scene::{at, name};

/// A list is newest first, of one state if asked, and read in pages.
pub async fn a_list_is_newest_first(env: &RecordsEnv) {
    let alerts: Vec<_> = (0..7).map(alert).collect();
    put(env, &alerts).await;
    let mut seen = Vec::new();
    let mut token: Option<PageToken> = None;
    loop {
        let page = env
            .outbox
            .list(None, token.as_ref(), 3)
            .await
            .expect("list");
        assert!(page.items.len() <= 3);
        seen.extend(page.items.into_iter().map(|alert| alert.draft.index));
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, [6, 5, 4, 3, 2, 1, 0]);
    let foreign = PageToken("not one of ours".to_owned());
    let refused = env.outbox.list(None, Some(&foreign), 3).await;
    assert_eq!(refused.expect_err("foreign").kind, ErrorKind::InvalidConfig);
}

/// The alerts of a run are found, whatever has become of them.
pub async fn alerts_of_a_run_are_found(env: &RecordsEnv) {
    let (first, second, other) = (alert(0), alert(1), alert(2));
    assert!(first.run == second.run && other.run == first.run);
    let other = Alert {
        run: RunId::of(&name("billing"), &RunKey::Tick(at(0))),
        ..other
    };
    put(env, &[first.clone(), other, second]).await;
    let claimed = claim_one(env, LEASE).await;
    assert!(delivered(env, &claimed).await);
    let found = env.outbox.of_run(&first.run).await.expect("of_run");
    let indices: Vec<_> = found.iter().map(|alert| alert.draft.index).collect();
    assert_eq!(indices, [0, 1]);
    let by_id = env.outbox.get(&found[1].id).await.expect("get");
    assert_eq!(by_id.as_ref(), found.get(1));
    let unknown = AlertId("nobody's".to_owned());
    assert_eq!(env.outbox.get(&unknown).await.expect("get"), None);
}

/// The alerts of a job since an instant are found, whatever has become of them.
pub async fn alerts_of_a_job_are_found(env: &RecordsEnv) {
    let mut other = alert(4);
    other.job = name("billing");
    put(env, &[alert(0), alert(1), alert(2), other]).await;
    let claimed = claim_one(env, LEASE).await;
    assert!(delivered(env, &claimed).await);
    let of_job = async |after: i64, limit| {
        let found = env.outbox.of_job(&name("reports"), at(after), limit).await;
        let found = found.expect("of_job");
        found
            .iter()
            .map(|alert| alert.draft.index)
            .collect::<Vec<_>>()
    };
    assert_eq!(of_job(-1, 9).await, [2, 1, 0]);
    assert_eq!(of_job(0, 9).await, [2, 1]);
    assert_eq!(of_job(-1, 2).await, [2, 1]);
}
