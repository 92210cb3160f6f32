//! Snapshots beside the writer, on a few connections of their own.
//!
//! A read sees everything that was acknowledged before it began (WAL), runs on tokio's blocking
//! threads, and holds no lock that the writer needs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use sandclock_core::backend::Result;
use sandclock_core::{BackendError, ErrorKind};
use tokio::sync::Semaphore;

use crate::error::DbResult;
use crate::place::Place;
use crate::schema;

/// How many reads run at once; further ones wait.
const READERS: usize = 4;

/// The connections.
#[derive(Debug)]
pub(crate) struct Readers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    place: Place,
    room: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Connections are opened when they are first needed.
    pub(crate) fn new(path: &Path, place: Place) -> Self {
        Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                place,
                room: Semaphore::new(READERS),
                idle: Mutex::new(Vec::new()),
            }),
        }
    }

    /// Does `read` on one snapshot of the file.
    pub(crate) async fn read<T, F>(&self, op: &'static str, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> DbResult<T> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let closed =
            |_| BackendError::new(op, ErrorKind::Unavailable).context("the store is closed");
        let _room = self.shared.room.acquire().await.map_err(closed)?;
        let done = tokio::task::spawn_blocking(move || shared.on_snapshot(op, read)).await;
        match done {
            Ok(outcome) => outcome.map_err(|error| error.at(op)),
            Err(error) => Err(BackendError::new(op, ErrorKind::Unexpected).source(error)),
        }
    }
}

impl Shared {
    fn on_snapshot<T>(
        &self,
        op: &'static str,
        read: impl FnOnce(&Connection) -> DbResult<T>,
    ) -> DbResult<T> {
        self.place.check(op)?;
        let idle = self.idle().pop();
        let mut db = match idle {
            Some(db) => db,
            None => schema::open_reader(&self.path)?,
        };
        let txn = db.transaction()?;
        let outcome = read(&txn);
        txn.finish()?;
        self.idle().push(db);
        outcome
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
