//! Cases on documents: they come back as they were, and only who saw the last change makes the next.

use bytes::Bytes;
use futures_util::future::join_all;
use sandclock_core::ErrorKind;
use sandclock_core::backend::docs::{MAX_DOC_BYTES, MAX_NAME_BYTES};
use sandclock_core::backend::{DocKind, Precondition, Version};

use super::CoordinationEnv;

const KIND: DocKind = DocKind::Binding;

async fn put(
    env: &CoordinationEnv,
    name: &str,
    body: &str,
    pre: Precondition,
) -> Result<Version, ErrorKind> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let put = env.docs.put(KIND, name, &body, pre).await;
    put.map(|put| put.version).map_err(|error| error.kind)
}

async fn delete(env: &CoordinationEnv, name: &str, pre: Precondition) -> Result<(), ErrorKind> {
    let deleted = env.docs.delete(KIND, name, pre).await;
    deleted.map_err(|error| error.kind)
}

/// Name, version and body of each.
async fn list(env: &CoordinationEnv) -> Vec<(String, Version, String)> {
    let docs = env.docs.list(KIND).await.expect("list").into_iter();
    let text = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
    docs.map(|doc| (doc.name, doc.version, text(&doc.body)))
        .collect()
}

/// Documents come back by name, to the byte, whatever their names are.
pub async fn documents_come_back_by_name(env: &CoordinationEnv) {
    assert_eq!(list(env).await, []);
    let names = ["%", "a", "a-b", "a/b", "a b", "ä", "B"];
    for name in names {
        let put = put(env, name, &format!("of {name}\0"), Precondition::Absent).await;
        put.expect("put");
    }
    let mut sorted = names;
    sorted.sort_unstable();
    let listed = list(env).await;
    let listed: Vec<_> = listed
        .iter()
        .map(|(name, _, body)| (&**name, &**body))
        .collect();
    let expected: Vec<_> = sorted.map(|name| (name, format!("of {name}\0"))).into();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, body)| (*name, &**body))
        .collect();
    assert_eq!(listed, expected);
    // Jobs are something else.
    let jobs = env.jobs.snapshot().await.expect("snapshot");
    assert_eq!((jobs.jobs.len(), jobs.broken.len()), (0, 0));
}

/// A write or a delete needs what it says it replaces, and each write has a higher version.
pub async fn a_write_needs_what_it_replaces(env: &CoordinationEnv) {
    let first = put(env, "a", "1", Precondition::Absent).await.expect("put");
    let conflict = Err(ErrorKind::Conflict);
    assert_eq!(put(env, "a", "2", Precondition::Absent).await, conflict);
    let second = put(env, "a", "2", Precondition::Matches(first)).await;
    let second = second.expect("put");
    assert!(second > first);
    let stale = Precondition::Matches(first);
    assert_eq!(put(env, "a", "3", stale).await, conflict);
    assert_eq!(delete(env, "a", stale).await, Err(ErrorKind::Conflict));
    let absent = put(env, "b", "1", stale).await;
    assert_eq!(absent, conflict);
    assert_eq!(list(env).await, [("a".to_owned(), second, "2".to_owned())]);
    let third = put(env, "a", "3", Precondition::Any).await.expect("put");
    assert!(third > second);
    let deleted = delete(env, "a", Precondition::Matches(third)).await;
    assert_eq!(deleted, Ok(()));
    let again = delete(env, "a", Precondition::Any).await;
    assert_eq!(again, Err(ErrorKind::NotFound));
    assert_eq!(list(env).await, []);
    let anew = put(env, "a", "4", Precondition::Absent).await.expect("put");
    assert!(anew > third, "a version is never given again");
}

/// Of many writers who saw the same, one writes.
pub async fn one_of_many_writers_wins(env: &CoordinationEnv) {
    let first = put(env, "a", "0", Precondition::Absent).await.expect("put");
    let bodies: Vec<_> = (1..=8).map(|number| number.to_string()).collect();
    let writers = bodies
        .iter()
        .map(|body| put(env, "a", body, Precondition::Matches(first)));
    let outcomes = join_all(writers).await;
    let won: Vec<_> = (outcomes.iter().zip(&bodies))
        .filter_map(|(outcome, body)| Some((*outcome.as_ref().ok()?, body)))
        .collect();
    let [(version, body)] = won[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(list(env).await, [("a".to_owned(), version, body.clone())]);
}

/// What is too large is refused, what is as large as can be is not.
pub async fn a_document_is_bounded(env: &CoordinationEnv) {
    let large = "x".repeat(MAX_DOC_BYTES);
    let long = "n".repeat(MAX_NAME_BYTES);
    let kept = put(env, &long, &large, Precondition::Any).await;
    let version = kept.expect("put");
    let wrong = Err(ErrorKind::InvalidConfig);
    let larger = format!("{large}x");
    assert_eq!(put(env, "a", &larger, Precondition::Any).await, wrong);
    let longer = format!("{long}n");
    assert_eq!(put(env, &longer, "", Precondition::Any).await, wrong);
    assert_eq!(put(env, "", "", Precondition::Any).await, wrong);
    assert_eq!(list(env).await, [(long, version, large)]);
}
