//! Faults of the disk: a clear error, nothing half-done, and the store goes on.

use std::pin::pin;

use futures_util::future::join;
use futures_util::{FutureExt, StreamExt};
use nix::libc::{EIO, ENOSPC};
use sandclock_core::backend::{JobEvent, OutputChunk, Precondition};
use sandclock_core::ports::{Channel, Redacted};
use sandclock_core::run::{RunId, RunKey};
use sandclock_core::{Effect, ErrorKind};

use crate::scene::{Home, at, claim, job, mark, open_session, planned_job};
use crate::syscalls::Disk;

/// What a write says while the disk fails, and what is there once it works again.
async fn outlives(fault: impl Fn(&Disk, bool)) {
    let home = Home::new();
    let disk = Disk::watch(&home.folder());
    let store = home.open();
    let jobs = store.coordination();
    let session = open_session(&jobs).await;
    let pinned = planned_job(&jobs, "steady").await;

    let cursor = jobs.jobs.snapshot().await.expect("snapshot").cursor;
    let mut events = jobs.jobs.watch(cursor).await.expect("watch");

    fault(&disk, true);
    for name in ["first", "second"] {
        let put = jobs.jobs.put(&job(name), Precondition::Absent).await;
        let error = put.expect_err("acknowledged without a disk");
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert_eq!(error.effect, Effect::Unknown, "{error}");
    }
    jobs.sessions
        .renew(&session, None)
        .await
        .expect("a renewal needs no disk");
    fault(&disk, false);

    let known = jobs.jobs.snapshot().await.expect("reads go on").jobs;
    assert_eq!(known.len(), 1, "a failed write shows");
    let cursor = jobs.jobs.snapshot().await.expect("snapshot").cursor;
    let watch = jobs.jobs.watch(cursor).await;
    drop(watch.expect("a fresh cursor is known"));
    for name in ["first", "second"] {
        let put = jobs.jobs.put(&job(name), Precondition::Absent).await;
        put.expect("writes go on");
        let (_, event) = events.next().await.expect("goes on").expect("goes on");
        let JobEvent::Put(put) = event else {
            panic!("the stream says {event:?}");
        };
        assert_eq!(
            put.job.name.as_str(),
            name,
            "the stream shows what was committed only"
        );
    }
    claim(&jobs, &session, &pinned, mark(0)).await;
    drop((store, jobs));

    let jobs = home.open().coordination();
    assert_eq!(jobs.jobs.snapshot().await.expect("jobs").jobs.len(), 3);
    let (view, _) = jobs.feed.snapshot().await.expect("records");
    assert_eq!((view.open.len(), view.marks.len()), (1, 1));
}

#[tokio::test]
async fn a_full_disk_is_outlived() {
    outlives(|disk, on| disk.fail_writes(on.then_some(ENOSPC))).await;
}

#[tokio::test]
async fn a_failing_sync_is_outlived() {
    outlives(|disk, on| disk.fail_syncs(on.then_some(EIO))).await;
}

#[tokio::test]
async fn a_failing_write_is_outlived() {
    outlives(|disk, on| disk.fail_writes(on.then_some(EIO))).await;
}

/// A request that does not fit on the disk fails alone, though it was in one transaction with others:
/// whether SQLite finds out while it writes or, with what its cache can hold, at the commit.
#[tokio::test]
async fn what_does_not_fit_fails_alone() {
    for bytes in [8 << 20, 1_300_000] {
        fails_alone(bytes).await;
    }
}

async fn fails_alone(bytes: usize) {
    let home = Home::new();
    let disk = Disk::watch(&home.folder());
    let store = home.open();
    let (jobs, log) = (store.coordination(), store.records());
    planned_job(&jobs, "there").await;
    disk.limit_files(1 << 20);

    disk.close_gate();
    let blocker = job("blocker");
    let mut blocker = pin!(jobs.jobs.put(&blocker, Precondition::Absent));
    assert!(blocker.as_mut().now_or_never().is_none());
    let watch = disk.handle();
    let held = tokio::task::spawn_blocking(move || watch.wait_for_held_sync());
    held.await.expect("a sync");
    let run = RunId::of(&job("there").name, &RunKey::Tick(at(1)));
    let huge = OutputChunk {
        seq: 0,
        channel: Channel::Combined,
        offset: 0,
        bytes: Redacted::vouch(vec![b'x'; bytes].into()),
    };
    let huge = [huge];
    let (small, append) = (job("small"), log.sink.append(&run, 1, &huge, None));
    let mut both = pin!(join(append, jobs.jobs.put(&small, Precondition::Absent)));
    assert!(both.as_mut().now_or_never().is_none());
    disk.open_gate();

    blocker.await.expect("blocker");
    let (append, put) = both.await;
    let error = append.expect_err("stored without room");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    put.expect("its neighbour");
    let known = jobs.jobs.snapshot().await.expect("snapshot").jobs;
    assert_eq!(known.len(), 3);
    let page = log.runs.read_log(&run, None, 1 << 20).await.expect("read");
    assert!(page.chunks.is_empty(), "half of it is there");
}
