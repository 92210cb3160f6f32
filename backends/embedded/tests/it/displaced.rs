//! The file is removed or replaced while it is open: nothing more is acknowledged or shown, and the
//! error says why and what to do.

use std::fs;

use sandclock_core::backend::{Coordination, Precondition};
use sandclock_core::{BackendError, Effect, ErrorKind};

use crate::scene::{Home, job};

/// A write and a read, both of which must fail.
async fn refused(jobs: &Coordination, why: &str) {
    let put = jobs.jobs.put(&job("lost"), Precondition::Absent).await;
    let put = put.expect_err("acknowledged into nowhere");
    assert_eq!(put.effect, Effect::None, "{put}");
    let look = jobs.jobs.snapshot().await;
    let look = look.expect_err("shows what is gone");
    for error in [put, look] {
        told(&error, why);
    }
}

fn told(error: &BackendError, why: &str) {
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    let text = error.to_string();
    let parts = [why, "store.db", "bring the file back"];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

#[tokio::test]
async fn a_removed_folder_is_noticed() {
    let home = Home::new();
    let store = home.open();
    let jobs = store.coordination();
    let put = jobs.jobs.put(&job("kept"), Precondition::Absent).await;
    put.expect("put");
    fs::remove_dir_all(home.folder()).expect("remove");
    refused(&jobs, "is not at").await;
}

#[tokio::test]
async fn a_replaced_file_is_noticed_and_one_brought_back_is_used_again() {
    let home = Home::new();
    let store = home.open();
    let jobs = store.coordination();
    let put = jobs.jobs.put(&job("kept"), Precondition::Absent).await;
    put.expect("put");
    let aside = home.folder().join("aside");
    fs::rename(home.path(), &aside).expect("rename");
    refused(&jobs, "is not at").await;
    fs::copy(&aside, home.path()).expect("copy");
    refused(&jobs, "another file").await;
    fs::rename(&aside, home.path()).expect("rename");
    let put = jobs.jobs.put(&job("new"), Precondition::Absent).await;
    put.expect("it is the file again");
    assert_eq!(jobs.jobs.snapshot().await.expect("snapshot").jobs.len(), 2);
}
