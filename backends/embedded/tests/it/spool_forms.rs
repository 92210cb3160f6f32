//! The spool's file in each form that was ever written, frozen as a dump: it is what is written today, or else it
//! stays readable (S13); and one that a newer program wrote is left as it is.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Connection;
use sandclock_backend_embedded::spool::{Entry, SpoolFile};
use sandclock_core::ErrorKind;
use sandclock_core::backend::{DoneRecord, Fence, OutputChunk, Pinned, RunHeader, Version};
use sandclock_core::policy::Streak;
use sandclock_core::ports::{Channel, Redacted};
use sandclock_core::run::{Outcome, OutputSummary, RunId, RunKey, RunState};
use sandclock_core::stored;

use crate::scene::{Home, at, job};

/// Form 1.
const V1: &str = include_str!("golden/spool-v1.sql");

/// The same as it was written before its first release, when what is absent stood there as `null` or empty.
const EXPLICIT: &str = include_str!("golden/spool-v1-explicit.sql");

const MAX_BYTES: u64 = 1 << 20;

/// An entry of each kind.
fn entries() -> (RunId, Vec<Entry>) {
    let (job, key) = (job("nightly/backup"), RunKey::Tick(at(10)));
    let run = RunId::of(&job.name, &key);
    let header = RunHeader {
        id: run.clone(),
        job: job.name.clone(),
        key: key.clone(),
        state: RunState::Running,
        attempt: 2,
        worker: "worker-1".to_owned(),
        started_at: at(11),
        next_attempt_at: None,
        cause: "asked by ann".to_owned(),
    };
    let chunk = OutputChunk {
        seq: 3,
        channel: Channel::Stdout,
        offset: 70,
        bytes: Redacted::vouch(Bytes::from_static(b"one\n\xff")),
    };
    let end = DoneRecord {
        job: job.name.clone(),
        key,
        span: None,
        outcome: Outcome {
            started_at: Some(at(11)),
            exit_code: Some(3),
            output: OutputSummary { bytes: 75, cut: 20 },
            ..Outcome::without_process(RunState::Failed, "exit status 3", at(12))
        },
        attempts: 2,
        fence: 99,
        worker: "worker-1".to_owned(),
        streak_before: Streak::default(),
        streak: Streak {
            last: Some(RunState::Failed),
            failures: 1,
        },
        pinned: Some(Pinned {
            job: Arc::new(job),
            version: Version(7),
        }),
    };
    let entries = vec![
        Entry::Begin(header, Fence::at(Version(98))),
        Entry::Cut(2, (1, 3)),
        Entry::Chunk(2, chunk),
        Entry::End(Box::new(end)),
    ];
    (run, entries)
}

fn waiting(path: &Path) -> Vec<Option<Entry>> {
    let spool = SpoolFile::open(path, MAX_BYTES).expect("open");
    let mut runs = spool.oldest(9, 1 << 20).expect("oldest");
    let of_run = runs.pop().expect("a run");
    assert!(runs.is_empty() && of_run.run == entries().0);
    of_run.entries.into_iter().map(|(_, entry)| entry).collect()
}

/// The file as statements that make it.
fn dump(path: &Path) -> String {
    let db = Connection::open(path).expect("open");
    let version: u32 = db
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .expect("a version");
    let mut schema = db
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
        .expect("the schema");
    let tables = schema
        .query_map([], |row| row.get::<_, String>(0))
        .expect("tables");
    let tables: String = tables
        .map(|sql| format!("{};\n", sql.expect("text")))
        .collect();
    let mut rows = db
        .prepare(
            "SELECT printf('INSERT INTO entries VALUES (%d, %Q, %Q, %d, %d, %d, %Q, x''%s'');', n, run, kind,
                           attempt, seq, at, channel, lower(hex(body)))
             FROM entries ORDER BY n",
        )
        .expect("the rows");
    let rows = rows
        .query_map([], |row| row.get::<_, String>(0))
        .expect("rows");
    let rows: String = rows
        .map(|sql| format!("{}\n", sql.expect("text")))
        .collect();
    format!("PRAGMA user_version = {version};\n{tables}{rows}")
}

/// A file made by these statements.
fn made(home: &Home, statements: &str) {
    let db = Connection::open(home.path()).expect("open");
    db.execute_batch(statements).expect("the dump");
}

#[test]
fn form_1_is_written() {
    let home = Home::new();
    let (run, entries) = entries();
    let mut spool = SpoolFile::open(&home.path(), MAX_BYTES).expect("open");
    spool.push(&run, &entries).expect("push");
    drop(spool);
    let dump = dump(&home.path());
    assert!(dump == V1, "written now:\n{dump}");
}

#[test]
fn form_1_is_read() {
    for form in [V1, EXPLICIT] {
        let home = Home::new();
        made(&home, form);
        let want: Vec<_> = entries().1.into_iter().map(Some).collect();
        assert_eq!(waiting(&home.path()), want);
    }
}

#[test]
fn what_a_later_program_added_to_records_is_in_nobodys_way() {
    let home = Home::new();
    made(&home, V1);
    let db = Connection::open(home.path()).expect("open");
    let add = "UPDATE entries SET body = CAST(json_set(CAST(body AS TEXT), '$.later', json('{\"said\":\"so\"}')) AS BLOB)
               WHERE kind IN ('begin', 'end')";
    assert_eq!(db.execute(add, []).expect("add"), 2);
    drop(db);
    let want: Vec<_> = entries().1.into_iter().map(Some).collect();
    assert_eq!(waiting(&home.path()), want);
}

/// What an older program cannot read it must not take for damage: the only record of a run may be in it. So the form
/// of the file rises with that of the records.
#[test]
fn a_newer_programs_file_is_left_as_it_is() {
    let home = Home::new();
    made(&home, V1);
    let db = Connection::open(home.path()).expect("open");
    let newer = stored::VERSION + 1;
    db.pragma_update(None, "user_version", newer)
        .expect("newer");
    drop(db);
    let before = dump(&home.path());
    let refused = SpoolFile::open(&home.path(), MAX_BYTES).expect_err("a newer program's");
    assert_eq!(refused.kind, ErrorKind::InvalidConfig, "{refused}");
    assert_eq!(dump(&home.path()), before);
}
