//! Cases on the audit trail: entries come back newest first, whoever writes them in whatever order, and once.

use sandclock_core::ErrorKind;
use sandclock_core::backend::audit::MAX_AUDITED_BYTES;
use sandclock_core::backend::{AuditEntry, AuditFilter, AuditOutcome, PageToken};
use serde_json::{Value, json};

use super::RecordsEnv;
use super::scene::at;

/// An entry of this second that has begun.
fn begun(second: i64) -> AuditEntry {
    AuditEntry {
        id: format!("e{second:03}"),
        at: at(second),
        who: ["ann", "bob"][usize::from(second % 2 != 0)].to_owned(),
        token: None,
        from: "192.0.2.7:4711".to_owned(),
        action: ["job.put", "job.delete", "job.run"][usize::from(second % 3 == 0)].to_owned(),
        subject: format!("job-{}", second % 4),
        outcome: AuditOutcome::Begun,
        status: None,
        asked: None,
        before: Some(json!({ "name": "ä\0", "n": [1, 2.5, null] })),
        after: None,
    }
}

/// What came of it.
fn over(second: i64) -> AuditEntry {
    AuditEntry {
        outcome: AuditOutcome::Done,
        status: Some(200),
        asked: Some(json!({ "reason": "why not" })),
        after: Some(json!({ "name": "b" })),
        token: Some("t1".to_owned()),
        ..begun(second)
    }
}

async fn put(env: &RecordsEnv, entry: &AuditEntry) {
    env.audit.put(entry).await.expect("put");
}

/// All that the filter wants, in pages of two.
async fn listed(env: &RecordsEnv, filter: &AuditFilter) -> Vec<AuditEntry> {
    let (mut all, mut token): (_, Option<PageToken>) = (Vec::new(), None);
    loop {
        let page = env.audit.list(filter, token.as_ref(), 2).await;
        let page = page.expect("list");
        assert!(page.items.len() <= 2);
        all.extend(page.items);
        token = page.next;
        if token.is_none() {
            return all;
        }
    }
}

async fn everything(env: &RecordsEnv) -> Vec<AuditEntry> {
    listed(env, &AuditFilter::default()).await
}

/// Newest first by when they were admitted, to the last member, however late they were written.
pub async fn entries_come_back_newest_first(env: &RecordsEnv) {
    assert_eq!(everything(env).await, []);
    for second in [3, 1, 2, 5, 4] {
        put(env, &over(second)).await;
    }
    let mut twin = over(3);
    twin.id.push('b');
    put(env, &twin).await;
    let expected = [over(5), over(4), twin, over(3), over(2), over(1)];
    assert_eq!(everything(env).await, expected);
    let foreign = PageToken("not one of ours".to_owned());
    let refused = env
        .audit
        .list(&AuditFilter::default(), Some(&foreign), 2)
        .await;
    assert_eq!(refused.expect_err("foreign").kind, ErrorKind::InvalidConfig);
}

/// What came of it takes the place of what had begun, and nothing takes its place.
pub async fn an_entry_is_written_once(env: &RecordsEnv) {
    put(env, &begun(1)).await;
    assert_eq!(everything(env).await, [begun(1)]);
    put(env, &over(1)).await;
    assert_eq!(everything(env).await, [over(1)]);
    // Who moves what has waited does not know.
    put(env, &begun(1)).await;
    let mut other = over(1);
    other.outcome = AuditOutcome::Failed;
    put(env, &other).await;
    assert_eq!(everything(env).await, [over(1)]);
    // And may come first.
    put(env, &over(2)).await;
    put(env, &begun(2)).await;
    assert_eq!(everything(env).await, [over(2), over(1)]);
}

/// Each filter wants what it says, and all together what all of them say.
pub async fn entries_are_filtered(env: &RecordsEnv) {
    let all: Vec<_> = (0..24).map(over).collect();
    for entry in &all {
        put(env, entry).await;
    }
    let word = |text: &str| Some(text.to_owned());
    let none = AuditFilter::default;
    let since = AuditFilter {
        since: Some(at(5)),
        ..none()
    };
    let until = AuditFilter {
        until: Some(at(5)),
        ..none()
    };
    let who = AuditFilter {
        who: word("bob"),
        ..none()
    };
    let action = AuditFilter {
        action: word("job.put"),
        ..none()
    };
    let subject = AuditFilter {
        subject: word("job-2"),
        ..none()
    };
    let together = AuditFilter {
        who: word("ann"),
        action: word("job.put"),
        subject: word("job-2"),
        since: Some(at(3)),
        until: Some(at(20)),
    };
    for filter in [since, until, who, action, subject, together] {
        let mut expected: Vec<_> = all.iter().filter(|one| filter.admits(one)).collect();
        expected.reverse();
        assert!(!expected.is_empty() && expected.len() < all.len());
        let listed = listed(env, &filter).await;
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

/// The oldest go, so many at a time, whether anybody knows what came of them or not.
pub async fn old_entries_are_pruned(env: &RecordsEnv) {
    for second in 0..5 {
        put(env, &over(second)).await;
    }
    put(env, &begun(5)).await;
    put(env, &over(6)).await;
    let prune = async |before, max| env.audit.prune(at(before), max).await.expect("prune");
    assert_eq!(prune(6, 4).await, 4);
    assert_eq!(everything(env).await, [over(6), begun(5), over(4)]);
    assert_eq!(prune(6, 0).await, 0);
    assert_eq!(prune(6, 4).await, 2);
    assert_eq!(everything(env).await, [over(6)]);
}

/// What is too large is refused, and what is as large as can be is not.
pub async fn an_entry_is_bounded(env: &RecordsEnv) {
    let text = |bytes: usize| Value::from("x".repeat(bytes - 2));
    let mut large = over(1);
    large.asked = Some(text(MAX_AUDITED_BYTES));
    large.before = large.asked.clone();
    large.after = large.asked.clone();
    put(env, &large).await;
    let mut larger = over(2);
    larger.after = Some(text(MAX_AUDITED_BYTES + 1));
    let mut longer = over(2);
    longer.subject = "s".repeat(1025);
    let mut dotted = over(2);
    dotted.id = "a.b".to_owned();
    for (refused, named) in [(larger, "after"), (longer, "subject"), (dotted, "a.b")] {
        let error = env.audit.put(&refused).await.expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(named), "{error}");
    }
    assert_eq!(everything(env).await, [large]);
}
