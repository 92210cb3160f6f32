//! Faults of the disk: a clear error, nothing half-done, and the store goes on.

use nix::libc::{EIO, ENOSPC};
use sandclock_core::backend::Precondition;
use sandclock_core::{Effect, ErrorKind};

use crate::scene::{Home, claim, job, mark, open_session, planned_job};
use crate::syscalls::Disk;

/// What a write says while the disk fails, and what is there once it works again.
async fn outlives(fault: impl Fn(&Disk, bool)) {
    let home = Home::new();
    let disk = Disk::watch(&home.folder());
    let store = home.open();
    let jobs = store.coordination();
    let session = open_session(&jobs).await;
    let pinned = planned_job(&jobs, "steady").await;

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
    for name in ["first", "second"] {
        let put = jobs.jobs.put(&job(name), Precondition::Absent).await;
        put.expect("writes go on");
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
