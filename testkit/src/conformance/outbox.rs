//! Cases on the alert outbox: every alert is put once, delivered at least once, and never by two at a time.

use std::time::Duration;

use bytes::Bytes;
use sandclock_core::ErrorKind;
use sandclock_core::backend::{Alert, AlertKind, AlertState, ClaimEnd, ClaimedAlert, Later};
use sandclock_core::ports::AlertDraft;
use sandclock_core::run::RunId;

use super::RecordsEnv;
use super::events::within;
use super::scene::{at, name, tick};

pub(super) const LEASE: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(500);

pub(super) fn alert(index: u32) -> Alert {
    let run = RunId::of(&name("reports"), &tick(60));
    let draft = AlertDraft {
        plugin: "webhook-alert".to_owned(),
        index,
        target: "ops".to_owned(),
        dedupe_key: None,
        content_type: "application/json".to_owned(),
        headers: vec![("X-Severity".to_owned(), "hö\"ch".to_owned())],
        body: Bytes::from_static(b"{\"text\":\"\xc3\xa4\x00\xff\"}"),
    };
    Alert {
        failures: index,
        ..Alert::new(run, name("reports"), draft, at(i64::from(index)))
    }
}

fn keyed(index: u32, key: &str, target: &str) -> Alert {
    let mut alert = alert(index);
    alert.draft.dedupe_key = Some(key.to_owned());
    alert.draft.target = target.to_owned();
    alert
}

pub(super) async fn put(env: &RecordsEnv, alerts: &[Alert]) {
    env.outbox.put(alerts).await.expect("put");
}

async fn claim(env: &RecordsEnv, max: u32, lease: Duration) -> Vec<ClaimedAlert> {
    env.outbox.claim(max, lease).await.expect("claim")
}

pub(super) async fn claim_one(env: &RecordsEnv, lease: Duration) -> ClaimedAlert {
    let mut claimed = claim(env, 1, lease).await;
    assert_eq!(claimed.len(), 1, "one is due");
    claimed.remove(0)
}

/// Polls until an alert is due again.
async fn claim_again(env: &RecordsEnv) -> ClaimedAlert {
    let due = async {
        loop {
            if let Some(claimed) = claim(env, 1, LEASE).await.pop() {
                return claimed;
            }
            tokio::time::sleep(SHORT / 4).await;
        }
    };
    within("an alert that is due again", due).await
}

async fn list(env: &RecordsEnv, state: Option<AlertState>) -> Vec<Alert> {
    let page = env.outbox.list(state, None, 100).await.expect("list");
    assert_eq!(page.next, None);
    page.items
}

async fn end(env: &RecordsEnv, claimed: &ClaimedAlert, end: ClaimEnd) -> bool {
    let id = &claimed.alert.id;
    env.outbox.end(id, claimed.claim, &end).await.expect("end")
}

fn later(wait: Duration) -> Later {
    let at = at(1_000);
    Later { wait, at }
}

async fn failed(env: &RecordsEnv, claimed: &ClaimedAlert, again: Option<Duration>) -> bool {
    let error = "503".to_owned();
    let again = again.map(later);
    end(env, claimed, ClaimEnd::Failed { error, again }).await
}

pub(super) async fn delivered(env: &RecordsEnv, claimed: &ClaimedAlert) -> bool {
    end(env, claimed, ClaimEnd::Delivered).await
}

/// An alert is one by its id, whatever has become of it, and comes back as it was put.
pub async fn an_alert_is_put_once(env: &RecordsEnv) {
    put(env, &[alert(0), alert(0), alert(1)]).await;
    put(env, &[alert(0)]).await;
    assert_eq!(list(env, None).await, [alert(1), alert(0)]);
    let claimed = claim_one(env, LEASE).await;
    assert_eq!(claimed.alert, alert(0));
    delivered(env, &claimed).await;
    put(env, &[alert(0)]).await;
    let pending = list(env, Some(AlertState::Pending)).await;
    assert_eq!(pending, [alert(1)]);
}

/// While an alert is undelivered, further ones with its key and target are counted in it, each once.
pub async fn alerts_fold_into_one_that_is_pending(env: &RecordsEnv) {
    put(
        env,
        &[keyed(0, "reports", "ops"), keyed(1, "reports", "ops")],
    )
    .await;
    put(
        env,
        &[keyed(2, "reports", "ops"), keyed(1, "reports", "ops")],
    )
    .await;
    put(
        env,
        &[
            keyed(3, "reports", "desk"),
            keyed(4, "billing", "ops"),
            alert(5),
        ],
    )
    .await;
    let all = list(env, None).await;
    let folded: Vec<_> = all
        .iter()
        .map(|alert| (alert.draft.index, alert.folded))
        .collect();
    assert_eq!(folded, [(5, 0), (4, 0), (3, 0), (0, 2)]);
    let claimed = claim_one(env, LEASE).await;
    assert_eq!(claimed.alert.draft.index, 0);
    assert_eq!(claimed.alert.failures, 2, "those of the last one folded");
    delivered(env, &claimed).await;
    put(env, &[keyed(1, "reports", "ops")]).await;
    assert_eq!(list(env, None).await.len(), 4, "it was folded before");
    put(env, &[keyed(6, "reports", "ops")]).await;
    assert_eq!(list(env, None).await.len(), 5, "the other is delivered");
}

/// A claimed alert is nobody else's until the claim runs out; then it is claimed anew.
pub async fn a_claim_excludes_others_until_it_runs_out(env: &RecordsEnv) {
    put(env, &[alert(0)]).await;
    let first = claim_one(env, LEASE).await;
    assert!(claim(env, 10, LEASE).await.is_empty());
    failed(env, &first, Some(Duration::ZERO)).await;
    let second = claim_one(env, SHORT).await;
    assert_ne!(second.claim, first.claim);
    let third = claim_again(env).await;
    assert_eq!(third.alert.id, second.alert.id);
    assert_ne!(third.claim, second.claim);
}

/// Claims are bounded and take the oldest first.
pub async fn claims_come_oldest_first(env: &RecordsEnv) {
    put(env, &[alert(3), alert(1)]).await;
    put(env, &[alert(2)]).await;
    let mut order = Vec::new();
    for max in [2, 2, 2] {
        let claimed = claim(env, max, LEASE).await;
        order.push(
            claimed
                .iter()
                .map(|c| c.alert.draft.index)
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(order, [vec![3, 1], vec![2], vec![]]);
}

/// A delivered alert is not sent again.
pub async fn a_delivered_alert_is_done(env: &RecordsEnv) {
    put(env, &[alert(0)]).await;
    let claimed = claim_one(env, LEASE).await;
    assert!(delivered(env, &claimed).await);
    assert!(!delivered(env, &claimed).await, "it was told before");
    let all = list(env, Some(AlertState::Delivered)).await;
    assert_eq!(all.len(), 1);
    assert!(claim(env, 1, LEASE).await.is_empty());
}

/// A failed try is counted and the alert due again after the wait, not before.
pub async fn a_failed_alert_is_due_again(env: &RecordsEnv) {
    put(env, &[alert(0)]).await;
    let claimed = claim_one(env, LEASE).await;
    failed(env, &claimed, Some(LEASE)).await;
    assert!(claim(env, 1, LEASE).await.is_empty(), "not yet");
    let pending = list(env, Some(AlertState::Pending)).await;
    assert_eq!(
        (pending[0].tries, pending[0].last_error.as_deref()),
        (1, Some("503"))
    );
    assert_eq!(pending[0].next_try, Some(at(1_000)));

    put(env, &[alert(1)]).await;
    let claimed = claim_one(env, LEASE).await;
    failed(env, &claimed, Some(SHORT)).await;
    let again = claim_again(env).await;
    assert_eq!((again.alert.id, again.alert.tries), (claimed.alert.id, 1));
}

/// An alert that is given up stays, with the last error, and is not sent.
pub async fn an_alert_is_given_up(env: &RecordsEnv) {
    put(env, &[alert(0)]).await;
    let claimed = claim_one(env, LEASE).await;
    failed(env, &claimed, None).await;
    assert!(claim(env, 1, LEASE).await.is_empty());
    let given_up = list(env, Some(AlertState::Failed)).await;
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0].last_error.as_deref(), Some("503"));
}

/// Whoever answers under a claim that is no longer the present one changes nothing.
pub async fn a_late_answer_changes_nothing(env: &RecordsEnv) {
    put(env, &[alert(0)]).await;
    let late = claim_one(env, SHORT).await;
    let present = claim_again(env).await;
    assert!(!delivered(env, &late).await);
    assert!(!failed(env, &late, None).await);
    let pending = list(env, Some(AlertState::Pending)).await;
    assert_eq!((pending.len(), pending[0].tries), (1, 0));
    delivered(env, &present).await;
    failed(env, &present, None).await;
    assert_eq!(list(env, Some(AlertState::Delivered)).await.len(), 1);
}

/// A person can have an alert sent again, or take it as seen; other states are not theirs to set.
pub async fn a_person_can_retry_and_acknowledge(env: &RecordsEnv) {
    put(env, &[alert(0)]).await;
    let id = alert(0).id;
    let claimed = claim_one(env, LEASE).await;
    failed(env, &claimed, None).await;
    env.outbox.set(&id, AlertState::Pending).await.expect("set");
    let claimed = claim_one(env, LEASE).await;
    let seen = env.outbox.set(&id, AlertState::Acknowledged).await;
    seen.expect("set");
    delivered(env, &claimed).await;
    assert_eq!(list(env, Some(AlertState::Acknowledged)).await.len(), 1);
    assert!(claim(env, 1, LEASE).await.is_empty());
    for state in [AlertState::Delivered, AlertState::Failed] {
        let refused = env.outbox.set(&id, state).await;
        assert_eq!(refused.expect_err("refused").kind, ErrorKind::InvalidConfig);
    }
    let absent = env.outbox.set(&alert(9).id, AlertState::Pending).await;
    assert_eq!(absent.expect_err("absent").kind, ErrorKind::NotFound);
}

/// An alert that waits says why and until when, and no try is counted.
pub async fn an_alert_waits_and_says_why(env: &RecordsEnv) {
    put(env, &[alert(0)]).await;
    let claimed = claim_one(env, LEASE).await;
    let wait = |wait| ClaimEnd::Waits {
        why: "$quiet".to_owned(),
        until: later(wait),
    };
    assert!(end(env, &claimed, wait(LEASE)).await);
    assert!(claim(env, 1, LEASE).await.is_empty(), "not yet");
    let waits = list(env, Some(AlertState::Pending)).await.remove(0);
    assert_eq!((waits.tries, waits.last_error), (0, None));
    assert_eq!(waits.waits.as_deref(), Some("$quiet"));
    assert_eq!(waits.next_try, Some(at(1_000)));
    put(env, &[alert(1)]).await;
    let claimed = claim_one(env, LEASE).await;
    assert!(end(env, &claimed, wait(SHORT)).await);
    let again = claim_again(env).await;
    assert_eq!(again.alert.id, claimed.alert.id);
    assert!(delivered(env, &again).await);
    let sent = list(env, Some(AlertState::Delivered)).await.remove(0);
    assert_eq!((sent.waits, sent.next_try), (None, None));
}

/// What another alert goes in the place of names it and is not sent; what nobody wants leaves no trace.
pub async fn an_alert_is_moved_or_unwanted(env: &RecordsEnv) {
    put(env, &[alert(0)]).await;
    let claimed = claim_one(env, LEASE).await;
    let into = claimed.alert.id.copy(AlertKind::Diversion, "night");
    let why = "quiet".to_owned();
    let moved = ClaimEnd::Moved {
        into: into.clone(),
        why,
    };
    assert!(end(env, &claimed, moved).await);
    let moved = list(env, Some(AlertState::Moved)).await.remove(0);
    assert_eq!(moved.part_of, Some(into));
    let refused = env.outbox.set(&moved.id, AlertState::Pending).await;
    assert_eq!(refused.expect_err("moved").kind, ErrorKind::Conflict);
    put(env, &[alert(0), alert(1)]).await;
    let claimed = claim_one(env, LEASE).await;
    assert_eq!(claimed.alert.id, alert(1).id);
    assert!(end(env, &claimed, ClaimEnd::Unwanted).await);
    assert_eq!(list(env, None).await, [moved]);
}

/// A message takes in what waits for its target, once: what comes later is for another message.
pub async fn a_message_is_closed_once(env: &RecordsEnv) {
    put(env, &[alert(0), alert(1), keyed(2, "disk", "ops")]).await;
    put(env, &[keyed(3, "disk", "desk"), alert(4), alert(5)]).await;
    let mut claimed = claim(env, 2, LEASE).await;
    let tried = claimed.remove(1);
    let first = claimed.remove(0);
    assert!(failed(env, &tried, Some(LEASE)).await);
    let gather = async |claim: &ClaimedAlert, most: u32| {
        let gathered = env.outbox.gather(&claim.alert.id, claim.claim, most).await;
        let parts = gathered.expect("gather")?;
        let index = |alert: &Alert| alert.draft.index;
        Some(parts.iter().map(index).collect::<Vec<_>>())
    };
    assert_eq!(
        gather(&first, 2).await,
        Some(vec![2, 4]),
        "the oldest, of this target"
    );
    put(env, &[alert(6)]).await;
    assert_eq!(gather(&first, 9).await, Some(vec![2, 4]), "it is closed");
    let grouped = list(env, Some(AlertState::Grouped)).await;
    assert_eq!(grouped.len(), 2);
    assert!(
        grouped
            .iter()
            .all(|part| part.part_of.as_ref() == Some(&first.alert.id))
    );
    let refused = env.outbox.set(&grouped[0].id, AlertState::Pending).await;
    assert_eq!(refused.expect_err("a part").kind, ErrorKind::Conflict);
    // A part takes no further ones in: it is sent.
    put(env, &[keyed(7, "disk", "ops")]).await;
    assert!(failed(env, &first, Some(Duration::ZERO)).await);
    assert_eq!(gather(&first, 9).await, None, "the claim is over");
    let again = claim_one(env, LEASE).await;
    assert_eq!((&again.alert.id, again.alert.parts), (&first.alert.id, 2));
    assert_eq!(gather(&again, 9).await, Some(vec![2, 4]), "whoever asks");
    let rest = claim(env, 9, LEASE).await;
    let rest: Vec<_> = rest
        .iter()
        .map(|claimed| claimed.alert.draft.index)
        .collect();
    assert_eq!(rest, [3, 5, 6, 7]);
}

/// At most so many sends are allowed in any stretch of time, to each target by itself.
pub async fn sends_keep_a_pace(env: &RecordsEnv) {
    let pace = async |target: &str, most, window| {
        let place = env.outbox.pace(target, most, window).await;
        place.expect("pace")
    };
    assert_eq!(pace("ops", 2, LEASE).await, None);
    assert_eq!(pace("ops", 2, LEASE).await, None);
    let wait = pace("ops", 2, LEASE).await.expect("no place");
    assert!(wait <= LEASE && wait > Duration::ZERO, "{wait:?}");
    assert_eq!(pace("desk", 2, LEASE).await, None, "another target");
    assert_eq!(pace("ops", 3, LEASE).await, None, "more are allowed now");
    assert!(pace("ops", 1, LEASE).await.is_some());
    let free = async {
        while pace("desk", 1, SHORT).await.is_some() {
            tokio::time::sleep(SHORT / 4).await;
        }
    };
    within("a place", free).await;
}
