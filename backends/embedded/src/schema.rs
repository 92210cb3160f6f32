//! The tables, their migrations, and the settings that durability rests on.
//!
//! Records of the protocol, jobs and runs are bodies that only `core::stored` understands; columns
//! beside them exist for keys, guards and indexes. `user_version` counts the migrations applied.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use sandclock_core::backend::Result;
use sandclock_core::{BackendError, ErrorKind};

use crate::error::{OPEN, at_open};

/// Another program, such as a backup, may hold the file for this long.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Distinct statements are far fewer; each connection keeps them all prepared.
const STATEMENTS: usize = 128;

/// Each entry takes the file from version `index` to `index + 1`. Entries never change once released.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
];

/// The version of a file with all of them.
pub(crate) const KNOWN: usize = MIGRATIONS.len();

/// What the writer's connection is told. Anything but the default is a defect that tests put in.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `FULL`: a commit is on disk before it is acknowledged.
    pub(crate) synchronous: &'static str,
    /// Whether the settings are read back and refused if they did not take.
    pub(crate) read_back: bool,
    /// Whether requests are answered only after their commit.
    pub(crate) answer_after_commit: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            synchronous: "FULL",
            read_back: true,
            answer_after_commit: true,
        }
    }
}

/// Makes an empty file a database, without any table yet.
pub(crate) fn begin(path: &Path) -> rusqlite::Result<()> {
    let db = Connection::open(path)?;
    // Any write makes the first page.
    db.pragma_update(None, "user_version", 0)?;
    db.close().map_err(|(_, error)| error)
}

/// Opens the writer's connection, with durable settings and every migration applied.
pub(crate) fn open_writer(path: &Path, settings: &Settings) -> Result<Connection> {
    let failed = |error: rusqlite::Error| at_open(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(failed)?;
    refuse_strangers(&db, path)?;
    set_durable(&db, settings).map_err(failed)?;
    if settings.read_back {
        read_back(&db, path)?;
    }
    migrate(&mut db).map_err(failed)?;
    Ok(db)
}

/// Opens a reader's connection. The file is there: beside a writer, who has opened it before, or alone.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}

pub(crate) fn refuse_strangers(db: &Connection, path: &Path) -> Result<()> {
    let failed = |error: rusqlite::Error| at_open(path, error);
    let refuse = |why: String| {
        let refused = BackendError::new(OPEN, ErrorKind::InvalidConfig);
        Err(refused.context(format!("{} {why}", path.display())))
    };
    let version = version(db).map_err(failed)?;
    let tables: u32 = db
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    if version == 0 && tables > 0 {
        return refuse("is a database of another program; name another file".to_owned());
    }
    if version > MIGRATIONS.len() {
        return refuse(format!(
            "was written by a newer version (tables {version}, known up to {}); upgrade this program",
            MIGRATIONS.len()
        ));
    }
    Ok(())
}

fn set_durable(db: &Connection, settings: &Settings) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // A journal that grew during a long read shrinks again at the next checkpoint.
    db.pragma_update(None, "journal_size_limit", 64 << 20)?;
    // Answers with the mode that it took, so that it is a query.
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    db.pragma_update(None, "synchronous", settings.synchronous)
}

/// In WAL mode a commit is synced before it returns with `synchronous = FULL` (2) only.
fn read_back(db: &Connection, path: &Path) -> Result<()> {
    let failed = |error: rusqlite::Error| at_open(path, error);
    let journal: String = db
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(failed)?;
    let synchronous: i64 = db
        .pragma_query_value(None, "synchronous", |row| row.get(0))
        .map_err(failed)?;
    if journal == "wal" && synchronous == 2 {
        return Ok(());
    }
    let refused = BackendError::new(OPEN, ErrorKind::InvalidConfig);
    Err(refused.context(format!(
        "{}: SQLite runs with journal_mode {journal} and synchronous {synchronous} instead of wal and 2, \
         so that acknowledged writes could be lost; put the file on a local file system",
        path.display()
    )))
}

pub(crate) fn version(db: &Connection) -> rusqlite::Result<usize> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let from = version(db)?;
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(from) {
        let txn = db.transaction()?;
        txn.execute_batch(sql)?;
        txn.pragma_update(None, "user_version", step + 1)?;
        txn.commit()?;
    }
    Ok(())
}
