//! Nothing is acknowledged before it is on disk, and what has queued goes to disk together.

use std::future::Future;
use std::pin::pin;

use futures_util::FutureExt;
use futures_util::future::{Either, join_all, select};
use sandclock_backend_embedded::{Embedded, EmbeddedConfig, Mutant};
use sandclock_core::ErrorKind;
use sandclock_core::backend::{Kill, Precondition, RunHeader};
use sandclock_core::run::{RunId, RunKey, RunState};

use crate::scene::{
    Home, LONG, adopt, at, claim, config, end, job, mark, open_session, planned_job,
};
use crate::syscalls::Disk;

#[test]
fn durable_settings_are_read_back() {
    let home = Home::new();
    drop(home.open());
    let error = Embedded::open_with_mutant(&config(&home.path()), Mutant::SyncOff)
        .expect_err("synchronous = OFF was accepted");
    assert_eq!(error.kind, ErrorKind::InvalidConfig);
    let text = error.to_string();
    assert!(
        text.contains("synchronous 0") && text.contains("store.db"),
        "{text}"
    );

    let other = rusqlite::Connection::open(home.path()).expect("open beside");
    let mode: String = other
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .expect("journal_mode");
    assert_eq!(mode, "wal");
}

/// Makes one write while the disk holds every sync. `Err` if it was answered before its sync was done.
async fn answered_after_sync<T>(
    disk: &Disk,
    what: &str,
    write: impl Future<Output = T>,
) -> Result<T, String> {
    disk.close_gate();
    let watch = disk.handle();
    let held = tokio::task::spawn_blocking(move || watch.wait_for_held_sync());
    let early = match select(pin!(write), held).await {
        Either::Left(_) => Err(format!("{what} was answered without a sync")),
        Either::Right((_, mut write)) => match write.as_mut().now_or_never() {
            Some(_) => Err(format!("{what} was answered while its sync was under way")),
            None => {
                disk.open_gate();
                return Ok(write.await);
            }
        },
    };
    disk.open_gate();
    early
}

/// Every kind of write, each answered only after a sync of its own.
async fn every_write_is_synced(
    open: impl FnOnce(EmbeddedConfig) -> Embedded,
) -> Result<u32, String> {
    let home = Home::new();
    let disk = Disk::watch(&home.folder());
    let store = open(config(&home.path()));
    let (jobs, log) = (store.coordination(), store.records());
    let session = open_session(&jobs).await;
    let mut writes = 0;
    for round in 0..3 {
        let name = format!("job-{round}");
        let put = job(&name);
        let put = jobs.jobs.put(&put, Precondition::Any);
        let version = answered_after_sync(&disk, "put", put)
            .await?
            .expect("put")
            .version;
        let pinned = sandclock_core::backend::Pinned {
            job: std::sync::Arc::new(job(&name)),
            version,
        };
        answered_after_sync(&disk, "adopt", adopt(&jobs, &pinned, None)).await?;
        let fence = claim(&jobs, &session, &pinned, mark(0));
        let fence = answered_after_sync(&disk, "decide", fence).await?;
        let key = RunKey::Tick(at(1));
        let header = RunHeader {
            id: RunId::of(&pinned.job.name, &key),
            job: pinned.job.name.clone(),
            key: key.clone(),
            state: RunState::Running,
            attempt: 1,
            worker: "w".to_owned(),
            started_at: at(1),
            next_attempt_at: None,
            cause: String::new(),
        };
        let begin = log.sink.begin(&header, fence);
        answered_after_sync(&disk, "begin", begin)
            .await?
            .expect("begin");
        let kill = Kill {
            run: header.id,
            by: "ann".to_owned(),
            why: "because".to_owned(),
        };
        let kill = jobs.kills.send(&kill, LONG);
        answered_after_sync(&disk, "kill", kill)
            .await?
            .expect("kill");
        answered_after_sync(&disk, "end", end(&jobs, &pinned, key, fence)).await?;
        let delete = jobs.jobs.delete(&pinned.job.name, Precondition::Any);
        answered_after_sync(&disk, "delete", delete)
            .await?
            .expect("delete");
        writes += 7;
    }
    Ok(writes)
}

#[tokio::test]
async fn a_sync_lies_between_each_write_and_its_answer() {
    let open = |config| Embedded::open(config).expect("open");
    assert_eq!(every_write_is_synced(open).await, Ok(21));
}

#[tokio::test]
async fn a_store_that_answers_too_early_is_caught() {
    for mutant in [
        Mutant::SyncOffUnseen,
        Mutant::SyncNormalUnseen,
        Mutant::AnswerBeforeCommit,
    ] {
        let open = |config| Embedded::open_with_mutant(&config, mutant).expect("open");
        let caught = every_write_is_synced(open).await;
        println!("{mutant:?}: {caught:?}");
        assert!(caught.is_err(), "{mutant:?} was not caught");
    }
}

#[tokio::test]
async fn what_has_queued_is_committed_together() {
    const WRITERS: u64 = 64;
    let home = Home::new();
    let store = home.open().coordination();
    let disk = Disk::watch(&home.folder());
    let jobs: Vec<_> = (0..WRITERS).map(|n| job(&format!("job-{n}"))).collect();
    let put = |n: usize| store.jobs.put(&jobs[n], Precondition::Absent);

    disk.close_gate();
    let mut first = pin!(put(0));
    assert!(first.as_mut().now_or_never().is_none());
    let watch = disk.handle();
    let held = tokio::task::spawn_blocking(move || watch.wait_for_held_sync());
    held.await.expect("a sync");
    let mut others = pin!(join_all((1..jobs.len()).map(put)));
    assert!(others.as_mut().now_or_never().is_none());
    disk.open_gate();
    first.await.expect("first");
    assert!(others.await.iter().all(Result::is_ok));

    let syncs = disk.syncs();
    println!("{WRITERS} concurrent writes, {syncs} syncs");
    assert!(syncs <= 4, "{syncs} syncs for {WRITERS} writes");
}

#[tokio::test]
async fn a_refused_write_leaves_those_beside_it() {
    let home = Home::new();
    let store = home.open().coordination();
    let disk = Disk::watch(&home.folder());
    let pinned = planned_job(&store, "taken").await;

    disk.close_gate();
    let blocker = job("blocker");
    let mut blocker = pin!(store.jobs.put(&blocker, Precondition::Absent));
    assert!(blocker.as_mut().now_or_never().is_none());
    let watch = disk.handle();
    let held = tokio::task::spawn_blocking(move || watch.wait_for_held_sync());
    held.await.expect("a sync");
    // These three are one transaction; the second is refused.
    let (before, after) = (job("before"), job("after"));
    let together = join_all([
        store.jobs.put(&before, Precondition::Absent),
        store.jobs.put(&pinned.job, Precondition::Absent),
        store.jobs.put(&after, Precondition::Absent),
    ]);
    let mut together = pin!(together);
    assert!(together.as_mut().now_or_never().is_none());
    disk.open_gate();
    blocker.await.expect("blocker");
    let kinds: Vec<_> = together
        .await
        .into_iter()
        .map(|put| put.map(|_| ()).map_err(|error| error.kind))
        .collect();
    assert_eq!(kinds, [Ok(()), Err(ErrorKind::Conflict), Ok(())]);

    let there = store.jobs.snapshot().await.expect("snapshot").jobs;
    let names: Vec<_> = there.iter().map(|job| job.job.name.as_str()).collect();
    assert_eq!(names, ["after", "before", "blocker", "taken"]);
}
