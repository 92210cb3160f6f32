//! What another process, or another life of this one, finds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use sandclock_backend_embedded::{Embedded, checkup};
use sandclock_core::ErrorKind;
use sandclock_core::backend::{
    Alert, AlertState, AuditFilter, ClaimEnd, Cursor, DocKind, FireEvent, Kill, OpenState,
    Precondition, RecordSeen, Request, SessionEvent, Settle, SettleAs, Settled, Triggered,
};
use sandclock_core::error::WithSources;
use sandclock_core::ports::AlertDraft;
use sandclock_core::run::{RunId, RunKey, RunState};

use crate::scene::{
    Home, LONG, at, claim, config, end, job, mark, open_session, outcome, planned_job,
};
use crate::syscalls::Disk;

#[test]
fn a_second_opener_is_told_who_has_the_file() {
    let home = Home::new();
    let first = home.open();
    let error = Embedded::open(config(&home.path())).expect_err("opened twice");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let text = error.to_string();
    let pid = std::process::id().to_string();
    assert!(text.contains("store.db") && text.contains(&pid), "{text}");
    drop(first);
    drop(home.open());
}

#[test]
fn files_of_others_are_refused() {
    let home = Home::new();
    let refused = |kind: ErrorKind, word: &str| {
        let error = Embedded::open(config(&home.path())).expect_err(word);
        assert_eq!(error.kind, kind, "{error}");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let text = format!("{error} {}", source.unwrap_or_default());
        assert!(text.contains(word) && text.contains("store.db"), "{text}");
    };
    std::fs::write(home.path(), [b'x'; 8192]).expect("write");
    refused(ErrorKind::Corrupt, "not a database");
    std::fs::remove_file(home.path()).expect("remove");

    let other = rusqlite::Connection::open(home.path()).expect("open");
    other
        .execute_batch("CREATE TABLE theirs (x)")
        .expect("table");
    drop(other);
    refused(ErrorKind::InvalidConfig, "another program");
    std::fs::remove_file(home.path()).expect("remove");

    drop(home.open());
    let newer = rusqlite::Connection::open(home.path()).expect("open");
    newer
        .pragma_update(None, "user_version", 99)
        .expect("version");
    drop(newer);
    refused(ErrorKind::InvalidConfig, "newer version");
}

/// What is in a folder. Of the journal's index only its name counts: readers write in it, too.
fn held(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder");
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        let bytes = match name.ends_with("-shm") {
            true => Vec::new(),
            false => fs::read(entry.path()).expect("read"),
        };
        (name, bytes)
    };
    entries.map(of).collect()
}

#[tokio::test]
async fn a_look_leaves_a_folder_as_it_was() {
    let looks = |home: &Home| {
        let before = held(&home.folder());
        let found = checkup(&home.path()).expect("a store");
        assert_eq!(found.expect("it is there").damage, None);
        assert!(held(&home.folder()) == before, "{:?}", before.keys());
        before
    };
    let home = Home::new();
    assert_eq!(checkup(&home.path()).expect("nothing"), None);
    planned_job(&home.open().coordination(), "kept").await;
    // Stopped in order: SQLite has tidied up.
    let stopped = looks(&home);
    assert!(!stopped.keys().any(|name| name.contains("-wal")));

    let open = home.open();
    planned_job(&open.coordination(), "more").await;
    let running = looks(&home);
    assert!(running.contains_key("store.db-wal"));
    // What a crash leaves.
    let crashed = Home::new();
    for name in running.keys() {
        let from = home.folder().join(name);
        fs::copy(from, crashed.folder().join(name)).expect("copy");
    }
    looks(&crashed);
}

/// How to take back each step from one version of the tables to the next, from the second on.
const TAKEN_BACK: [&str; 7] = [
    "DROP TABLE plugins; DROP TABLE releases; DROP TABLE modules;",
    "DROP TABLE docs;",
    "DROP TABLE recordings; ALTER TABLE plugins DROP COLUMN shadow;",
    "DROP TABLE plugin_values;",
    "DROP INDEX alerts_by_whole; DROP INDEX alerts_by_job;
     ALTER TABLE alerts DROP COLUMN kind; ALTER TABLE alerts DROP COLUMN failures;
     ALTER TABLE alerts DROP COLUMN waits; ALTER TABLE alerts DROP COLUMN next_try;
     ALTER TABLE alerts DROP COLUMN part_of; ALTER TABLE alerts DROP COLUMN parts;",
    "ALTER TABLE plugins DROP COLUMN mode;",
    "DROP TABLE audit;",
];

/// What an earlier program made is upgraded when it is opened, with all that is in it.
#[tokio::test]
async fn an_older_file_is_upgraded() {
    let home = Home::new();
    planned_job(&home.open().coordination(), "kept").await;
    for version in 1..=TAKEN_BACK.len() + 1 {
        let older = rusqlite::Connection::open(home.path()).expect("open");
        for step in TAKEN_BACK[version - 1..].iter().rev() {
            older.execute_batch(step).expect("an older file");
        }
        older
            .pragma_update(None, "user_version", version)
            .expect("version");
        drop(older);
        let store = home.open();
        let coordination = store.coordination();
        let jobs = coordination.jobs.snapshot().await;
        assert_eq!(jobs.expect("snapshot").jobs.len(), 1);
        assert_eq!(store.records().plugins.list().await.expect("list"), []);
        let recordings = store.records().recordings.latest("a", 1).await;
        assert_eq!(recordings.expect("latest"), []);
        let docs = coordination.docs.list(DocKind::Binding).await;
        assert_eq!(docs.expect("list"), []);
        let kept = store.records().kv.get("acme", "key").await;
        assert_eq!(kept.expect("get"), None);
        let audit = store.records().audit;
        let trail = audit.list(&AuditFilter::default(), None, 1).await;
        assert_eq!(trail.expect("list").items, []);
    }
}

#[test]
fn a_missing_folder_is_named() {
    let home = Home::new();
    let path = home.folder().join("missing").join("store.db");
    let error = Embedded::open(config(&path)).expect_err("no folder");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.to_string().contains("missing/store.db"), "{error}");
}

/// SQLite would take it for a new one.
#[test]
fn an_empty_file_is_refused() {
    let home = Home::new();
    std::fs::write(home.path(), "").expect("write");
    let error = Embedded::open(config(&home.path())).expect_err("taken for a new store");
    assert_eq!(error.kind, ErrorKind::InvalidConfig);
    let text = error.to_string();
    let parts = ["store.db is empty", "backup", "remove it"];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    std::fs::remove_file(home.path()).expect("remove");
    drop(home.open());
    let made = std::fs::metadata(home.path()).expect("made");
    assert!(made.len() > 0);
}

/// Wherever making the file was interrupted, the next start makes it; what an earlier one left in the journal's
/// place is not taken for its own.
#[tokio::test]
async fn an_interrupted_first_start_and_a_left_journal_are_no_obstacle() {
    let home = Home::new();
    let jobs = home.open().coordination();
    planned_job(&jobs, "earlier").await;
    let journal = std::fs::read(home.folder().join("store.db-wal")).expect("journal");
    drop(jobs);
    for name in ["store.db-wal", "store.db.new", "store.db.new-journal"] {
        std::fs::write(home.folder().join(name), &journal).expect("write");
    }
    std::fs::remove_file(home.path()).expect("remove");
    let jobs = home.open().coordination();
    assert_eq!(jobs.jobs.snapshot().await.expect("snapshot").jobs, []);
}

#[test]
fn a_full_disk_is_told_once_with_the_remedy() {
    let home = Home::new();
    let disk = Disk::watch(&home.folder());
    disk.limit_files(0);
    let error = Embedded::open(config(&home.path())).expect_err("no room");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let text = WithSources(&error).to_string();
    for word in ["store.db", "is full", "make room"] {
        assert_eq!(text.matches(word).count(), 1, "{word:?} in {text}");
    }
    assert!(!home.path().exists(), "half a store");
    drop(disk);
    drop(home.open());
}

#[tokio::test]
async fn sessions_end_with_the_process() {
    let home = Home::new();
    let store = home.open();
    let jobs = store.coordination();
    let session = open_session(&jobs).await;
    let pinned = planned_job(&jobs, "nightly").await;
    let fence = claim(&jobs, &session, &pinned, mark(0)).await;
    drop((store, jobs));

    let jobs = home.open().coordination();
    let first = jobs.sessions.live().await.expect("live").next().await;
    assert!(matches!(first, Some(Ok(SessionEvent::Synced))), "{first:?}");
    let error = jobs
        .sessions
        .renew(&session, None)
        .await
        .expect_err("renewed");
    assert_eq!(error.kind, ErrorKind::SessionLost);
    let (view, _) = jobs.feed.snapshot().await.expect("snapshot");
    let open = &view.open[0];
    assert_eq!(open.version.0, fence.get(), "the fence is what it was");
    assert!(matches!(open.value.state, OpenState::Claimed { .. }));

    let settle = Settle {
        record: RecordSeen {
            job: open.value.job.clone(),
            key: open.value.key.clone(),
            version: open.version,
        },
        how: SettleAs::Lost(outcome(RunState::Lost)),
        killed: outcome(RunState::Killed),
        pinned: None,
        worker: "w2".to_owned(),
    };
    let settled = jobs.fires.settle(&settle).await.expect("settle");
    assert!(matches!(settled, Settled::Done(_)), "{settled:?}");
}

#[tokio::test]
async fn versions_rise_over_lives() {
    let home = Home::new();
    let mut last = 0;
    for life in 0..5 {
        let jobs = home.open().coordination();
        let put = jobs
            .jobs
            .put(&job("job"), Precondition::Any)
            .await
            .expect("put");
        assert!(put.version.0 > last, "life {life}");
        last = put.version.0;
        jobs.jobs
            .delete(&job("job").name, Precondition::Any)
            .await
            .expect("delete");
    }
}

#[tokio::test]
async fn a_cursor_of_an_earlier_life_is_exact_or_expired() {
    let home = Home::new();
    let jobs = home.open().coordination();
    let (_, older) = jobs.feed.snapshot().await.expect("snapshot");
    planned_job(&jobs, "nightly").await;
    let (_, newest) = jobs.feed.snapshot().await.expect("snapshot");
    drop(jobs);

    let jobs = home.open().coordination();
    let session = open_session(&jobs).await;
    let expired = |cursor: Cursor| {
        let jobs = jobs.clone();
        async move {
            jobs.feed
                .watch(cursor)
                .await
                .map(|_| ())
                .map_err(|error| error.kind)
        }
    };
    assert_eq!(expired(older).await, Err(ErrorKind::CursorExpired));
    let foreign = Cursor(bytes::Bytes::from_static(b"elsewhere"));
    assert_eq!(expired(foreign).await, Err(ErrorKind::CursorExpired));
    let ahead = Cursor(bytes::Bytes::copy_from_slice(&u64::MAX.to_be_bytes()));
    assert_eq!(expired(ahead).await, Err(ErrorKind::CursorExpired));

    let mut events = jobs.feed.watch(newest).await.expect("nothing was missed");
    let (view, _) = jobs.feed.snapshot().await.expect("snapshot");
    let stored = jobs.jobs.snapshot().await.expect("jobs").jobs.remove(0);
    let pinned = sandclock_core::backend::Pinned {
        job: stored.job,
        version: stored.version,
    };
    claim(&jobs, &session, &pinned, view.marks[0].1.value).await;
    let (_, event) = events.next().await.expect("open").expect("an event");
    assert!(matches!(event, FireEvent::Open(_)), "{event:?}");
}

#[tokio::test]
async fn kills_and_requests_outlive_the_process() {
    let home = Home::new();
    let jobs = home.open().coordination();
    let pinned = planned_job(&jobs, "nightly").await;
    let run = RunId::of(&pinned.job.name, &RunKey::Tick(at(1)));
    let kill = Kill {
        run,
        by: "ann".to_owned(),
        why: "because".to_owned(),
    };
    jobs.kills.send(&kill, LONG).await.expect("kill");
    drop(jobs);

    let jobs = home.open().coordination();
    let first = jobs.kills.watch().await.expect("watch").next().await;
    assert_eq!(first.expect("a kill").expect("a kill"), kill);
    let session = open_session(&jobs).await;
    let due = crate::scene::due(&pinned, mark(0), 5);
    let decided = jobs.fires.decide(&session, &[due]).await.expect("decide");
    assert!(
        matches!(&decided[0], sandclock_core::backend::Decided::Held { kill: Some(found), .. } if *found == kill),
        "{decided:?}"
    );
}

#[tokio::test]
async fn a_claimed_alert_is_due_again_in_the_next_life() {
    let home = Home::new();
    let outbox = home.open().records().outbox;
    let run = RunId::of(&job("nightly").name, &RunKey::Tick(at(1)));
    let alert = Alert::new(
        run,
        job("nightly").name,
        AlertDraft {
            plugin: "webhook-alert".to_owned(),
            index: 0,
            target: "ops".to_owned(),
            dedupe_key: Some("nightly".to_owned()),
            content_type: "text/plain".to_owned(),
            headers: vec![("x-a".to_owned(), "b".to_owned())],
            body: bytes::Bytes::from_static(b"\x00failed\xff"),
        },
        at(2),
    );
    outbox.put(std::slice::from_ref(&alert)).await.expect("put");
    let claimed = outbox.claim(10, LONG).await.expect("claim");
    assert_eq!(claimed.len(), 1);
    assert!(outbox.claim(10, LONG).await.expect("claim").is_empty());
    drop(outbox);

    let outbox = home.open().records().outbox;
    outbox
        .end(&alert.id, claimed[0].claim, &ClaimEnd::Delivered)
        .await
        .expect("a late answer");
    let again = outbox
        .claim(10, Duration::from_secs(1))
        .await
        .expect("claim");
    assert!(
        again.is_empty(),
        "the late answer was heard: the claim was still the last one"
    );
    let listed = outbox.list(None, None, 10).await.expect("list").items;
    let delivered = Alert {
        state: AlertState::Delivered,
        tries: 1,
        ..alert
    };
    assert_eq!(listed, [delivered]);
}

#[tokio::test]
async fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let jobs = home.open().coordination();
    let pinned = planned_job(&jobs, "nightly").await;
    let session = open_session(&jobs).await;
    let fence = claim(&jobs, &session, &pinned, mark(0)).await;
    end(&jobs, &pinned, RunKey::Tick(at(1)), fence).await;
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let file = std::fs::metadata(home.folder().join(name)).expect(name);
        assert_eq!(file.permissions().mode() & 0o077, 0, "{name}");
    }
}

/// A week after its job a mark goes, and a day after it was made a request; not before.
#[tokio::test]
async fn what_is_kept_for_long_goes_in_the_end() {
    let home = Home::new();
    let (mut found, request) = (
        Vec::new(),
        Request {
            id: "once".to_owned(),
            by: "ann".to_owned(),
            refuse_if_busy: false,
        },
    );
    for (days, seconds) in [(0, 0), (1, -60), (1, 60), (7, -60), (7, 60)] {
        let jobs = home.open().coordination();
        if days == 0 {
            let pinned = planned_job(&jobs, "nightly").await;
            let run = jobs.fires.trigger(&pinned.job.name, &request).await;
            run.expect("trigger");
            let name = &pinned.job.name;
            jobs.jobs
                .delete(name, Precondition::Any)
                .await
                .expect("delete");
        }
        drop(jobs);
        let made = i64::from(days) * 86_400 + seconds;
        let file = rusqlite::Connection::open(home.path()).expect("open beside");
        let age = |table: &str, column: &str| {
            let sql = format!("UPDATE {table} SET {column} = unixepoch() - {made}");
            file.execute(&sql, []).expect("age");
        };
        age("marks", "orphaned_at");
        age("requests", "made_at");
        drop(file);

        let jobs = home.open().coordination();
        // Any write looks after what has expired; the first one of a process always does.
        drop(jobs.kills.watch().await.expect("watch"));
        let (view, _) = jobs.feed.snapshot().await.expect("snapshot");
        let repeated = jobs.fires.trigger(&job("nightly").name, &request).await;
        let known = matches!(repeated, Ok(Triggered::Run(_)));
        found.push((days, seconds, view.marks.len(), known));
    }
    assert_eq!(
        found,
        [
            (0, 0, 1, true),
            (1, -60, 1, true),
            (1, 60, 1, false),
            (7, -60, 1, false),
            (7, 60, 0, false),
        ]
    );
}
