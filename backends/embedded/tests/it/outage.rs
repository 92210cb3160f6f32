//! A worker on a disk that fills up: everything can be read and leases are renewed, so only the worker can
//! say that nothing is carried out.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use nix::libc::ENOSPC;
use sandclock_core::backend::Precondition;
use sandclock_core::fleet::{Worker, WorkerConfig};
use sandclock_core::job::ScheduleSpec;
use sandclock_core::policy::ConcurrencyPolicy;
use sandclock_core::random::SplitMix64;
use sandclock_core::time::SimClock;
use sandclock_testkit::no_work::NoWork;
use tokio::time::Instant;

use crate::scene::{Home, at, job};
use crate::syscalls::Disk;

/// A worker on this store, and a job that is due every second.
async fn busy_worker(home: &Home) -> Worker {
    let store = home.open();
    let mut every_second = job("every-second");
    every_second.concurrency = ConcurrencyPolicy::Allow;
    every_second.schedule = Some(ScheduleSpec::utc("@every 1s"));
    let coordination = store.coordination();
    let put = coordination.jobs.put(&every_second, Precondition::Absent);
    put.await.expect("put");
    Worker::new(
        WorkerConfig::new("w"),
        coordination,
        store.records(),
        Arc::new(NoWork),
        Arc::new(NoWork),
        Arc::new(SimClock::new(at(0), Instant::now(), 0, 0)),
        Box::new(SplitMix64::new(1)),
    )
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "in a minute not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_worker_says_that_nothing_is_carried_out_and_when_that_is_over() {
    let home = Home::new();
    let disk = Disk::watch(&home.folder());
    let worker = busy_worker(&home).await;
    let handle = worker.handle();
    let seen = async {
        let decided = || handle.counters().ticks_decided;
        until("a tick is decided", || decided() > 0).await;
        assert_eq!(handle.status().outage, None);

        disk.fail_writes(Some(ENOSPC));
        until("an outage", || handle.status().outage.is_some()).await;
        let status = handle.status();
        assert!(status.trusted, "the session needs no disk");
        let error = status.outage.expect("the outage").error;
        assert!(error.contains("disk is full"), "{error}");

        disk.fail_writes(None);
        until("the outage is over", || handle.status().outage.is_none()).await;
        let before = decided();
        until("ticks go on", || decided() > before).await;
    };
    tokio::select! {
        _ = worker.run(pending()) => panic!("the worker stopped"),
        () = seen => {}
    }
}
