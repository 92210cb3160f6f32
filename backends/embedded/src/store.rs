//! The store: what all contracts share.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use sandclock_core::backend::Result;
use sandclock_core::{BackendError, ErrorKind};

use crate::changes::Changes;
use crate::error::{DbResult, OPEN, at_open};
use crate::expiry::Deadlines;
use crate::leadership::TheSeat;
use crate::lock::Lock;
use crate::mend;
use crate::place::{BESIDE, Place, beside};
use crate::readers::Readers;
use crate::schema::{self, Settings};
use crate::sessions::SessionTable;
use crate::txn::{Sequence, Txn};
use crate::writer::{Desk, Writer};

/// Everything behind the contracts. Fields are dropped in order: readers before the writer, which
/// closes the file last and tidies its journal away.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) readers: Readers,
    pub(crate) writer: Writer,
    pub(crate) changes: Arc<Changes>,
    pub(crate) sessions: Arc<SessionTable>,
    pub(crate) seat: TheSeat,
}

impl Store {
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<Self> {
        // One file, one lock, whatever links lead to it.
        let path = &resolved(path).map_err(|error| at_open(path, error))?;
        let lock = Lock::take(path)?;
        make(path)?;
        let db = schema::open_writer(path, settings)?;
        let deadlines = Deadlines::load(&db).map_err(|error| at_open(path, error))?;
        let sessions = SessionTable::new();
        let place = Place::of(path).map_err(|error| at_open(path, error))?;
        let sequence = mended(&db, &sessions).map_err(|error| at_open(path, error))?;
        let changes = Changes::from(sequence.position);
        let writer = Writer::start(Desk {
            db,
            sequence,
            changes: Arc::clone(&changes),
            sessions: Arc::clone(&sessions),
            deadlines,
            place: place.clone(),
            answer_after_commit: settings.answer_after_commit,
            _lock: lock,
        })?;
        Ok(Self {
            readers: Readers::new(path, place),
            writer,
            changes,
            sessions,
            seat: TheSeat::default(),
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.changes.end_streams();
        self.sessions.end_streams();
    }
}

/// Mends what cannot be read before anybody looks; what the sequence is then. Changes of this time are
/// counted, so that a cursor of an earlier process has expired.
fn mended(db: &Connection, sessions: &SessionTable) -> DbResult<Sequence> {
    // Dropped without a commit, it is rolled back.
    let open = db.unchecked_transaction()?;
    let mut sequence = Sequence::read(db)?;
    let mut changes = Vec::new();
    let mut txn = Txn {
        db,
        op: OPEN,
        sessions,
        deadlines: &mut Deadlines::default(),
        sequence: &mut sequence,
        changes: &mut changes,
    };
    mend::mend(&mut txn)?;
    sequence.position = txn.position();
    if !changes.is_empty() {
        sequence.write(db)?;
    }
    open.commit()?;
    Ok(sequence)
}

/// Where links lead. A file that is not there yet is in the folder that its path leads to.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            let name = path.file_name().ok_or(error)?;
            Ok(folder(path).canonicalize()?.join(name))
        }
        found => found,
    }
}

fn folder(of: &Path) -> &Path {
    match of.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whether there is a file. An empty one is refused.
pub(crate) fn is_there(path: &Path) -> Result<bool> {
    match path.metadata() {
        Ok(found) if found.len() > 0 => Ok(true),
        Ok(_) => Err(BackendError::new(OPEN, ErrorKind::InvalidConfig).context(format!(
            "{} is empty, which a store never is: put a backup in its place, or remove it to begin anew",
            path.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at_open(path, error)),
    }
}

/// Makes the file if it is missing, for its owner only: output and definitions are in it.
///
/// It gets its name once it is a database. So no crash leaves an empty file, and one that is found was a
/// store that something else cut off: SQLite would take it for a new one.
fn make(path: &Path) -> Result<()> {
    let failed = |error: io::Error| at_open(path, error);
    if is_there(path)? {
        return Ok(());
    }
    let new = beside(path, ".new");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed)?;
    schema::begin(&new).map_err(|error| at_open(path, error))?;
    file.sync_all().map_err(failed)?;
    // What an earlier file of this name has left is none of this one's writes.
    for left in BESIDE {
        match fs::remove_file(beside(path, left)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    fs::rename(&new, path).map_err(failed)?;
    let folder = fs::File::open(folder(path)).map_err(failed)?;
    folder.sync_all().map_err(failed)
}
