//! A bounded file of writes that wait for a run log elsewhere.
//!
//! The embedded store is a run log; this is only what waits for another one, in order of arrival, until it is
//! taken out again. It is SQLite too: a torn write, a full disk and reuse of what is free again are solved
//! there, and only this crate knows it. A push is all or nothing; it survives the process however that ends,
//! and an end of a run, which may be the only record of it, is on disk before it is acknowledged.
//!
//! The bound counts what waits, so that the file is a little larger. An eighth of it is for ends alone: output
//! that fills the rest takes no record's place.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::{Connection, Transaction, params_from_iter};
use sandclock_core::backend::Result;
use sandclock_core::run::RunId;
use sandclock_core::stored;
use sandclock_core::{BackendError, ErrorKind};

use crate::error::{DbError, DbResult, from_sqlite};
use crate::lock::Lock;
use crate::place::Place;

mod entry;

pub use entry::Entry;
use entry::{CHUNK, Columns};

const OPEN: &str = "spool.open";
const PUSH: &str = "spool.push";
const TAKE: &str = "spool.take";

/// The form of the file, in its `user_version`. It rises with that of the records in it: an older program, which would
/// take what it cannot read for damage, then leaves the whole file alone (S13).
const VERSION: u32 = stored::VERSION;

/// What an entry counts beside its body, in bytes: its columns, its place in the index, and half a page.
const ENTRY_BYTES: u64 = 512;

/// Among how many of the oldest entries runs are looked for.
const OLDEST: u32 = 256;

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Entries.
    pub entries: u64,
    /// Their bytes, as the bound counts them.
    pub bytes: u64,
}

/// The oldest entries of a run, in order.
#[derive(Debug)]
pub struct OfRun {
    /// The run.
    pub run: RunId,
    /// Each with its number; `None` in place of one that cannot be read.
    pub entries: Vec<(u64, Option<Entry>)>,
}

/// An open spool. All its methods block.
#[derive(Debug)]
pub struct SpoolFile {
    db: Connection,
    place: Place,
    max_bytes: u64,
    waiting: Waiting,
    /// Released last, after the connection is closed.
    _lock: Lock,
}

impl SpoolFile {
    /// Opens the file at `path` for this process, or makes it, for its owner's eyes only. At most `max_bytes`
    /// wait in it.
    ///
    /// # Errors
    /// `Conflict` if it cannot be locked, because another process has it, with its pid; `InvalidConfig` if a newer program wrote it;
    /// `Corrupt` if it is damaged; else as the file system says.
    pub fn open(path: &Path, max_bytes: u64) -> Result<Self> {
        let taken = |error: BackendError| BackendError {
            kind: ErrorKind::Conflict,
            ..error
        };
        let lock = Lock::take(path).map_err(taken)?;
        make(path).map_err(|error| {
            let refused = BackendError::new(OPEN, ErrorKind::Unavailable);
            refused.context(path.display()).source(error)
        })?;
        let failed = |error| from_sqlite(OPEN, error).context(path.display());
        let db = connect(path).map_err(failed)?;
        let place = Place::of(path)
            .map_err(|error| BackendError::new(OPEN, ErrorKind::Unavailable).source(error))?;
        let waiting = count(&db).map_err(failed)?;
        Ok(Self {
            db,
            place,
            max_bytes,
            waiting,
            _lock: lock,
        })
    }

    /// How much waits.
    pub fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Whether anything of this run waits.
    ///
    /// # Errors
    /// As the file system says.
    pub fn has(&self, run: &RunId) -> Result<bool> {
        let has = || {
            let sql = "SELECT EXISTS (SELECT 1 FROM entries WHERE run = ?1)";
            let mut select = self.db.prepare_cached(sql)?;
            select.query_row([run.as_str()], |row| row.get(0))
        };
        has().map_err(|error| from_sqlite(TAKE, error))
    }

    /// Puts entries of a run behind those that wait; what waits already is not there twice. A cut takes the
    /// chunks out that it names.
    ///
    /// # Errors
    /// `Throttled` if there is no room; else as the file system says. Nothing has changed then.
    pub fn push(&mut self, run: &RunId, entries: &[Entry]) -> Result<()> {
        self.place.check(PUSH)?;
        let pushed = push(&mut self.db, self.waiting, self.max_bytes, run, entries);
        self.waiting = pushed.map_err(|error| error.at(PUSH))?;
        Ok(())
    }

    /// The oldest entries of at most `runs` runs, of each at least one and then as many as have `bytes`.
    ///
    /// # Errors
    /// As the file system says.
    pub fn oldest(&self, runs: u32, bytes: usize) -> Result<Vec<OfRun>> {
        oldest(&self.db, runs, bytes).map_err(|error| error.at(TAKE))
    }

    /// Takes entries out, by number. When none are left the file shrinks.
    ///
    /// # Errors
    /// As the file system says.
    pub fn remove(&mut self, numbers: &[u64]) -> Result<()> {
        let removed = remove(&mut self.db, self.waiting, numbers);
        self.waiting = removed.map_err(|error| error.at(TAKE))?;
        if self.waiting.entries == 0 {
            // A file that stays large costs disk and nothing else.
            let _large = self
                .db
                .execute_batch("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);");
        }
        Ok(())
    }
}

/// SQLite gives the files beside it the mode of this one.
fn make(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new();
    file.write(true).create(true).truncate(false).mode(0o600);
    file.open(path).map(drop)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let mut db = Connection::open(path)?;
    // Only before the first table, which is when it is needed.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    db.pragma_update(None, "journal_size_limit", 16 << 20)?;
    // What is written survives this process at once, and the machine from the next end or checkpoint on.
    db.pragma_update(None, "synchronous", "NORMAL")?;
    let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        let txn = db.transaction()?;
        txn.execute_batch(include_str!("schema.sql"))?;
        txn.pragma_update(None, "user_version", VERSION)?;
        txn.commit()?;
    } else if version > VERSION {
        let why = format!("a newer version wrote it (form {version}, known up to {VERSION})");
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG);
        return Err(rusqlite::Error::SqliteFailure(code, Some(why)));
    } else if version < VERSION {
        // The tables are the same; what is written from now on is newer.
        db.pragma_update(None, "user_version", VERSION)?;
    }
    Ok(db)
}

fn count(db: &Connection) -> rusqlite::Result<Waiting> {
    let sql = "SELECT count(*), coalesce(sum(length(body)), 0) FROM entries";
    let (entries, bodies): (u64, u64) =
        db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Waiting {
        entries,
        bytes: bodies + entries * ENTRY_BYTES,
    })
}

impl Waiting {
    fn add(&mut self, body: u64) {
        self.entries += 1;
        self.bytes += body + ENTRY_BYTES;
    }

    fn take(&mut self, bodies: &[u64]) {
        for body in bodies {
            self.entries = self.entries.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(body + ENTRY_BYTES);
        }
    }
}

fn push(
    db: &mut Connection,
    mut waiting: Waiting,
    max_bytes: u64,
    run: &RunId,
    entries: &[Entry],
) -> DbResult<Waiting> {
    let has_end = entries.iter().any(Entry::is_end);
    let before = waiting.bytes;
    let synchronous = if has_end { "FULL" } else { "NORMAL" };
    db.pragma_update(None, "synchronous", synchronous)?;
    let txn = db.transaction()?;
    for entry in entries {
        put(&txn, &mut waiting, run, entry)?;
    }
    let room = match has_end {
        true => max_bytes,
        false => max_bytes - max_bytes / 8,
    };
    if waiting.bytes > room && waiting.bytes > before {
        let full = BackendError::new(PUSH, ErrorKind::Throttled);
        return Err(full
            .context(format!("it is full, with {before} bytes"))
            .into());
    }
    txn.commit()?;
    Ok(waiting)
}

fn put(txn: &Transaction<'_>, waiting: &mut Waiting, run: &RunId, entry: &Entry) -> DbResult<()> {
    let Columns {
        kind,
        attempt,
        seq,
        at,
        channel,
        body,
    } = entry.columns()?;
    if let Entry::Cut(..) = entry {
        let sql = "DELETE FROM entries WHERE run = ?1 AND kind = ?2 AND attempt = ?3 AND seq >= ?4 AND seq < ?5
                   RETURNING length(body)";
        let mut delete = txn.prepare_cached(sql)?;
        let gone = delete.query_map((run.as_str(), CHUNK, attempt, seq, at), |row| row.get(0))?;
        waiting.take(&gone.collect::<rusqlite::Result<Vec<u64>>>()?);
    }
    if let Entry::Cut(..) | Entry::Begin(..) = entry {
        // The later one says more, and what is being sent may be the earlier one.
        let sql = "DELETE FROM entries WHERE run = ?1 AND kind = ?2 AND attempt = ?3 AND seq = ?4
                   RETURNING length(body)";
        let mut delete = txn.prepare_cached(sql)?;
        let gone = delete.query_map((run.as_str(), kind, attempt, seq), |row| row.get(0))?;
        waiting.take(&gone.collect::<rusqlite::Result<Vec<u64>>>()?);
    }
    let sql = "INSERT INTO entries (run, kind, attempt, seq, at, channel, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
    let mut insert = txn.prepare_cached(sql)?;
    let bytes = body.len() as u64;
    let inserted = insert.execute((run.as_str(), kind, attempt, seq, at, channel, body))?;
    if inserted > 0 {
        waiting.add(bytes);
    }
    Ok(())
}

fn oldest(db: &Connection, runs: u32, bytes: usize) -> DbResult<Vec<OfRun>> {
    let sql = "SELECT run, min(n) FROM (SELECT run, n FROM entries ORDER BY n LIMIT ?1)
               GROUP BY run ORDER BY 2 LIMIT ?2";
    let mut select = db.prepare_cached(sql)?;
    let names = select.query_map((OLDEST, runs), |row| row.get(0))?;
    let names = names.collect::<rusqlite::Result<Vec<String>>>()?;
    names
        .into_iter()
        .map(|run| of_run(db, run, bytes))
        .collect()
}

fn of_run(db: &Connection, name: String, bytes: usize) -> DbResult<OfRun> {
    let run = RunId::parse(&name).ok_or_else(|| DbError::Column {
        column: "entries.run",
        value: name.clone(),
    })?;
    let sql =
        "SELECT n, kind, attempt, seq, at, channel, body FROM entries WHERE run = ?1 ORDER BY n";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([&name])?;
    let mut entries = Vec::new();
    let mut room = bytes;
    while let Some(row) = rows.next()? {
        let size = row.get_ref(6)?.as_blob().map_or(0, <[u8]>::len);
        if size > room && !entries.is_empty() {
            break;
        }
        room = room.saturating_sub(size);
        // One that is another run's is damaged too.
        let own = |entry: &Entry| entry.run().is_none_or(|other| other == run);
        entries.push((row.get(0)?, Entry::read(row, 1).ok().filter(own)));
    }
    Ok(OfRun { run, entries })
}

fn remove(db: &mut Connection, mut waiting: Waiting, numbers: &[u64]) -> DbResult<Waiting> {
    let txn = db.transaction()?;
    // SQLite's bound on the parameters of a statement is far above this.
    for some in numbers.chunks(500) {
        let marks = vec!["?"; some.len()].join(", ");
        let sql = format!("DELETE FROM entries WHERE n IN ({marks}) RETURNING length(body)");
        let mut delete = txn.prepare(&sql)?;
        let gone = delete.query_map(params_from_iter(some), |row| row.get(0))?;
        waiting.take(&gone.collect::<rusqlite::Result<Vec<u64>>>()?);
    }
    txn.commit()?;
    Ok(waiting)
}
