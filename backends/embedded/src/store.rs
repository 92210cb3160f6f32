//! The store: what all contracts share.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use sandclock_core::backend::Result;
use sandclock_core::{BackendError, ErrorKind};

use crate::changes::Changes;
use crate::error::{DbResult, from_sqlite};
use crate::expiry::Deadlines;
use crate::leadership::TheSeat;
use crate::lock::Lock;
use crate::mend;
use crate::place::Place;
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
        make(path)?;
        // One file, one lock, whatever links lead to it.
        let path = &path
            .canonicalize()
            .map_err(|error| cannot_open(path, error))?;
        let lock = Lock::take(path)?;
        let db = schema::open_writer(path, settings)?;
        let failed = |error| from_sqlite("embedded.open", error).context(path.display());
        let deadlines = Deadlines::load(&db).map_err(failed)?;
        let sessions = SessionTable::new();
        let place = Place::of(path).map_err(|error| cannot_open(path, error))?;
        let sequence = mended(&db, &sessions).map_err(|error| error.at("embedded.open"))?;
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
        op: "embedded.open",
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

/// Makes the file if it is missing, for its owner only: output and definitions are in it.
fn make(path: &Path) -> Result<()> {
    let failed = |error| cannot_open(path, error);
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(file) => file.sync_all().map_err(failed)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = std::fs::File::open(folder).map_err(failed)?;
    folder.sync_all().map_err(failed)
}

fn cannot_open(path: &Path, error: std::io::Error) -> BackendError {
    BackendError::new("embedded.open", ErrorKind::Unavailable)
        .context(format!("{} cannot be opened", path.display()))
        .source(error)
}
