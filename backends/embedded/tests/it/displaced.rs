//! One of the store's files is removed or replaced while it is open: nothing more is acknowledged or shown,
//! and the error says why and what to do.

use std::fs;
use std::path::PathBuf;

use sandclock_backend_embedded::spool::SpoolFile;
use sandclock_core::backend::{Coordination, Precondition};
use sandclock_core::job::JobName;
use sandclock_core::run::{RunId, RunKey};
use sandclock_core::{BackendError, Effect, ErrorKind};

use crate::scene::{Home, at, job};

/// The file itself, and those that SQLite has beside it.
const FILES: [&str; 3] = ["", "-wal", "-shm"];

fn file(home: &Home, suffix: &str) -> PathBuf {
    home.folder().join(format!("store.db{suffix}"))
}

/// What is to be done about it.
fn remedy(suffix: &str) -> &'static str {
    match suffix {
        "" => "bring the file back",
        _ => "with SIGTERM, not SIGKILL",
    }
}

/// A write and a read, both of which must fail.
async fn refused(jobs: &Coordination, suffix: &str, why: &str) {
    let put = jobs.jobs.put(&job("lost"), Precondition::Absent).await;
    let put = put.expect_err("acknowledged into nowhere");
    assert_eq!(put.effect, Effect::None, "{put}");
    let look = jobs.jobs.snapshot().await;
    let look = look.expect_err("shows what is gone");
    for error in [put, look] {
        told(&error, suffix, why);
    }
}

fn told(error: &BackendError, suffix: &str, why: &str) {
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    let text = error.to_string();
    let file = format!("store.db{suffix} ");
    let parts = [why, &file, remedy(suffix)];
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
    refused(&jobs, "", "is not at").await;
}

#[tokio::test]
async fn a_replaced_file_is_noticed_and_one_brought_back_is_used_again() {
    for suffix in FILES {
        let home = Home::new();
        let store = home.open();
        let jobs = store.coordination();
        let put = jobs.jobs.put(&job("kept"), Precondition::Absent).await;
        put.expect("put");
        let (path, aside) = (file(&home, suffix), home.folder().join("aside"));
        fs::rename(&path, &aside).expect("rename");
        refused(&jobs, suffix, "is not at").await;
        fs::copy(&aside, &path).expect("copy");
        refused(&jobs, suffix, "another file").await;
        fs::rename(&aside, &path).expect("rename");
        let put = jobs.jobs.put(&job("new"), Precondition::Absent).await;
        put.expect("it is the file again");
        assert_eq!(jobs.jobs.snapshot().await.expect("snapshot").jobs.len(), 2);
    }
}

/// What was acknowledged before the journal was removed or replaced is in the file once the store was closed.
#[tokio::test]
async fn closing_saves_what_a_removed_journal_held() {
    for suffix in ["-wal", "-shm"] {
        for replaced in [false, true] {
            let home = Home::new();
            let store = home.open();
            let jobs = store.coordination();
            let put = jobs.jobs.put(&job("kept"), Precondition::Absent).await;
            put.expect("put");
            let path = file(&home, suffix);
            fs::remove_file(&path).expect("remove");
            if replaced {
                fs::write(&path, "another").expect("write");
            }
            drop((store, jobs));
            let jobs = home.open().coordination();
            let kept = jobs.jobs.snapshot().await.expect("snapshot").jobs.len();
            assert_eq!(kept, 1, "{suffix}, replaced: {replaced}");
        }
    }
}

#[test]
fn the_spool_takes_nothing_either() {
    let name = JobName::parse("spooled").expect("a name");
    let run = RunId::of(&name, &RunKey::Tick(at(1)));
    for suffix in FILES {
        let home = Home::new();
        let mut spool = SpoolFile::open(&home.path(), 1 << 20).expect("open");
        let path = file(&home, suffix);
        let aside = home.folder().join("aside");
        fs::rename(&path, &aside).expect("rename");
        let push = spool.push(&run, &[]).expect_err("taken into nowhere");
        told(&push, suffix, "is not at");
        fs::rename(&aside, &path).expect("rename");
        spool.push(&run, &[]).expect("it is the file again");
    }
}
