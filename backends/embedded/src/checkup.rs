//! What is known of a store's file without taking it, for whoever looks for what is wrong. Nothing in it is changed, and a
//! process that has it goes on.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use sandclock_core::backend::Result;

use crate::error::at_open;
use crate::place::{BESIDE, beside};
use crate::schema;
use crate::store::is_there;

/// What the file is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkup {
    /// How many migrations its tables have seen.
    pub tables: usize,
    /// How many this program knows; the next start carries out what is missing.
    pub known: usize,
    /// The first thing that SQLite found wrong with it.
    pub damage: Option<String>,
}

/// Looks at the file at `path`; `None` if there is none. Blocks for as long as it takes to read all of it.
///
/// # Errors
/// As [`Embedded::open`](crate::Embedded::open), but for a file that another process has.
pub fn checkup(path: &Path) -> Result<Option<Checkup>> {
    if !is_there(path)? {
        return Ok(None);
    }
    let failed = |error: rusqlite::Error| at_open(path, error);
    let db = open(path).map_err(failed)?;
    schema::refuse_strangers(&db, path)?;
    let found: String = db
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(failed)?;
    Ok(Some(Checkup {
        tables: schema::version(&db).map_err(failed)?,
        known: schema::KNOWN,
        damage: Some(found).filter(|found| found != "ok"),
    }))
}

/// Opens the file so that beside it there is in the end what was there before.
///
/// Reading makes a journal and its index where there are none, and only a connection that may write removes them as it
/// closes. Where they are there it would do more: bring what a crash has left in the journal into the file, which is for
/// the next start.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    // SQLite follows links to the file; the journal is beside what they lead to.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if !BESIDE.iter().any(|suffix| beside(&target, suffix).exists()) {
        return schema::open_reader(path);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(schema::BUSY_TIMEOUT)?;
    Ok(db)
}
