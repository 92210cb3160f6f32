//! The outbox under many hands.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use sandclock_core::backend::{Alert, AlertState, ClaimEnd};
use sandclock_core::job::JobName;
use sandclock_core::ports::AlertDraft;
use sandclock_core::run::{RunId, RunKey, RunState};

use crate::fresh::Own;
use crate::scene::{at, done};

const LEASE: Duration = Duration::from_secs(600);

pub(crate) fn alert(ms: i64, key: Option<&str>) -> Alert {
    let job = JobName::existing("job");
    let run = RunId::of(&job, &RunKey::Tick(at(ms)));
    Alert::new(
        run,
        job,
        AlertDraft {
            plugin: "webhook-alert".to_owned(),
            index: 0,
            target: "ops".to_owned(),
            dedupe_key: key.map(str::to_owned),
            content_type: "text/plain".to_owned(),
            headers: Vec::new(),
            body: Bytes::from_static(b"failed"),
        },
        at(ms),
    )
}

/// Workers whose runs fail at the same moment raise one alert for all, and each is counted once however
/// often it is put.
#[tokio::test]
async fn alerts_that_come_at_once_are_one() {
    let own = Own::new();
    let stores = join_all((0..3).map(|_| own.open())).await;
    let alerts: Vec<_> = (0..12).map(|n| alert(n * 1_000, Some("disk"))).collect();
    let puts = alerts.iter().enumerate().flat_map(|(n, alert)| {
        let other = &stores[(n + 1) % stores.len()].outbox;
        let alert = std::slice::from_ref(alert);
        [stores[n % stores.len()].outbox.put(alert), other.put(alert)]
    });
    for put in join_all(puts).await {
        put.expect("put");
    }
    let all = stores[0]
        .outbox
        .list(None, None, 100)
        .await
        .expect("list")
        .items;
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].folded, 11);
}

/// Claims by many hands are of different alerts.
#[tokio::test]
async fn an_alert_is_claimed_by_one() {
    let own = Own::new();
    let stores = join_all((0..3).map(|_| own.open())).await;
    let alerts: Vec<_> = (0..30).map(|n| alert(n * 1_000, None)).collect();
    stores[0].outbox.put(&alerts).await.expect("put");
    let mut seen = BTreeSet::new();
    // A claim may come out empty while others hold what it saw; all of them are claimed in the end.
    while seen.len() < alerts.len() {
        let claims = join_all(stores.iter().map(|store| store.outbox.claim(4, LEASE))).await;
        for claimed in claims.into_iter().flat_map(|claim| claim.expect("claim")) {
            assert!(
                seen.insert(claimed.alert.id.clone()),
                "{} twice",
                claimed.alert.id
            );
        }
    }
    let rest = stores[0].outbox.claim(100, LEASE).await.expect("claim");
    assert!(rest.is_empty());
}

/// An error text is data, whatever it looks like.
fn given_up(error: &str) -> ClaimEnd {
    let error = error.to_owned();
    ClaimEnd::Failed { error, again: None }
}

#[tokio::test]
async fn an_error_is_kept_to_the_letter() {
    let own = Own::new();
    let store = own.open().await;
    store.outbox.put(&[alert(0, None)]).await.expect("put");
    let claimed = store.outbox.claim(1, LEASE).await.expect("claim").remove(0);
    let (id, text) = (&claimed.alert.id, "$lastError: \"$$NOW\"");
    store
        .outbox
        .end(id, claimed.claim, &given_up(text))
        .await
        .expect("end");
    let given_up = store
        .outbox
        .list(Some(AlertState::Failed), None, 10)
        .await
        .expect("list");
    assert_eq!(given_up.items[0].last_error.as_deref(), Some(text));
}

/// An alert that nobody can read stops no other.
#[tokio::test]
async fn a_broken_alert_hides_nothing() {
    let own = Own::new();
    let store = own.open().await;
    let broken =
        doc! { "alert": "x", "state": "pending", "due": mongodb::bson::DateTime::from_millis(0) };
    let alerts = own.raw().await.collection::<Document>("alerts");
    alerts.insert_one(broken).await.expect("insert");
    store.outbox.put(&[alert(0, None)]).await.expect("put");
    let listed = store.outbox.list(None, None, 10).await.expect("list").items;
    assert_eq!(listed.len(), 1);
    let claimed = store.outbox.claim(10, LEASE).await.expect("claim");
    assert_eq!(claimed.len(), 1);
}

/// Alerts go with their run, unless they are still on their way.
#[tokio::test]
async fn alerts_are_pruned_with_their_run() {
    let own = Own::new();
    let store = own.open().await;
    store
        .sink
        .finish(&done("job", 0, RunState::Failed, "true"))
        .await
        .expect("finish");
    store
        .sink
        .finish(&done("job", 1_000, RunState::Failed, "true"))
        .await
        .expect("finish");
    let (sent, waiting) = (alert(0, None), alert(1_000, None));
    store
        .outbox
        .put(&[sent.clone(), waiting.clone()])
        .await
        .expect("put");
    let seen = store.outbox.set(&sent.id, AlertState::Acknowledged).await;
    seen.expect("set");
    assert_eq!(
        store.runs.prune(at(86_400_000), 10).await.expect("prune"),
        2
    );
    let left = store.outbox.list(None, None, 10).await.expect("list").items;
    assert_eq!(left, [waiting]);
}
