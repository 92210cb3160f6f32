//! What a client hears when its stores' history, or its own place, is gone.

use std::sync::Arc;

use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{Coordination, Precondition};
use sandclock_core::job::{Job, JobName};

use super::*;
use crate::clock::SystemClock;

fn watches(store: &MemoryStore) -> Watches {
    Watches::new(store.coordination(), Arc::new(SystemClock))
}

async fn put(stores: &Coordination, name: &str) {
    let job = Job::shell(JobName::existing(name), "true".to_owned());
    stores.jobs.put(&job, Precondition::Absent).await.unwrap();
}

/// What is told after this change, as soon as there is something.
async fn told(changes: &Changes, had: &mut u64) -> Vec<(&'static str, Option<String>)> {
    changes.changed(*had).await;
    let after = changes.after(*had, KEPT).unwrap();
    *had = changes.newest();
    let told = after.iter();
    told.map(|it| (it.kind, it.said.job.clone())).collect()
}

fn saved(name: &str) -> (&'static str, Option<String>) {
    ("job.saved", Some(name.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_goes_on_without_a_gap_or_a_repeat() {
    let store = MemoryStore::new();
    let (stores, watches) = (store.coordination(), watches(&store));
    let changes = watches.join().await.unwrap();
    let mut had = 0;
    put(&stores, "a").await;
    assert_eq!(told(&changes, &mut had).await, [saved("a")]);
    store.drop_watches();
    put(&stores, "b").await;
    assert_eq!(told(&changes, &mut had).await, [saved("b")]);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_gone_is_told_once_the_watch_stands_again() {
    let store = MemoryStore::new();
    let (stores, watches) = (store.coordination(), watches(&store));
    let changes = watches.join().await.unwrap();
    let mut had = 0;
    put(&stores, "a").await;
    assert_eq!(told(&changes, &mut had).await, [saved("a")]);
    store.drop_watches();
    put(&stores, "b").await;
    put(&stores, "c").await;
    store.compact();
    // Whoever reads what there is when told so, has all before it and hears of all after it.
    let said = loop {
        let said = told(&changes, &mut had).await;
        if said.iter().any(|(kind, _)| *kind == RESYNC) {
            break said;
        }
    };
    put(&stores, "d").await;
    let mut said: Vec<_> = said.into_iter().filter(|it| it.0 != RESYNC).collect();
    while said.is_empty() {
        said = told(&changes, &mut had).await;
        said.retain(|it| it.0 != RESYNC);
    }
    assert_eq!(said, [saved("d")]);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_gone_is_no_place() {
    let changes = Changes::new(Arc::new(SystemClock));
    for _ in 0..=KEPT {
        changes.tell("job.saved", None, ChangeDto::default());
    }
    let newest = changes.newest();
    assert!(changes.after(0, 1).is_none(), "the first is forgotten");
    assert_eq!(changes.after(1, KEPT).unwrap().len(), KEPT);
    assert_eq!(changes.place(&changes.id(1)), Some(1));
    assert_eq!(changes.place(&changes.id(newest)), Some(newest));
    for gone in [changes.id(0), changes.id(newest + 1), "x-1".to_owned()] {
        assert_eq!(changes.place(&gone), None, "{gone}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_watches_end_with_their_owner() {
    let store = MemoryStore::new();
    let stores = store.coordination();
    let jobs = Arc::downgrade(&stores.jobs);
    let watches = Watches::new(stores, Arc::new(SystemClock));
    let changes = watches.join().await.unwrap();
    drop(watches);
    while jobs.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(changes.newest(), 0);
}
