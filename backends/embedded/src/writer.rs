//! The one thread that writes.
//!
//! Requests queue, and what has queued is one transaction: one sync of the disk for all of them. Each
//! has a savepoint of its own, so that one that fails leaves the others alone. Nothing is answered
//! before the commit; streams learn of changes in between. When a commit fails nobody knows what is
//! on disk, so that all its requests get an unknown effect.
//!
//! ```text
//! request ─► queue ─► BEGIN ─► savepoint each ─► COMMIT (synced) ─► streams ─► answers
//! ```

use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use rusqlite::Connection;
use sandclock_core::backend::Result;
use sandclock_core::{BackendError, Effect, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::changes::{Change, Changes};
use crate::error::{DbResult, OPEN, kind_of};
use crate::expiry::Deadlines;
use crate::lock::Lock;
use crate::place::Place;
use crate::sessions::SessionTable;
use crate::txn::{Sequence, Txn};

/// How many requests may wait; further ones wait for room in their callers.
const QUEUE: usize = 1_024;

/// How many requests one commit takes.
const BATCH: usize = 256;

/// What a transaction is called until a request of it is told.
const OP: &str = "embedded.commit";

/// The way to the writing thread.
pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Request>>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

/// Something to do in a transaction, and somebody to tell how it went.
trait Request: Send {
    fn op(&self) -> &'static str;

    /// Does it. Whether its changes are to be kept. Called again if the first transaction was undone.
    fn apply(&mut self, txn: &mut Txn<'_>) -> bool;

    /// An earlier commit of it failed: if the disk does not take it now, its effect is unknown.
    fn doubt(&mut self);

    /// Tells how it went: as `apply` said, or that everything failed.
    fn answer(&mut self, failure: Option<BackendError>);
}

struct Call<T, F> {
    op: &'static str,
    work: F,
    outcome: Option<Result<T>>,
    doubtful: bool,
    reply: Option<oneshot::Sender<Result<T>>>,
    _room: OwnedSemaphorePermit,
}

impl<T, F> Request for Call<T, F>
where
    T: Send,
    F: FnMut(&mut Txn<'_>) -> DbResult<T> + Send,
{
    fn op(&self) -> &'static str {
        self.op
    }

    fn apply(&mut self, txn: &mut Txn<'_>) -> bool {
        let outcome = (self.work)(txn).map_err(|error| error.at(self.op));
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn doubt(&mut self) {
        self.doubtful = true;
    }

    fn answer(&mut self, failure: Option<BackendError>) {
        let outcome = match (failure, self.outcome.take()) {
            // What a request was refused for holds whatever became of the others.
            (Some(failure), Some(Ok(_)) | None) => Err(failure),
            (_, Some(outcome)) => outcome,
            (None, None) => Err(BackendError::new(self.op, ErrorKind::Unexpected)),
        };
        let outcome = outcome.map_err(|error| match self.doubtful && error.is_transient() {
            true => error.effect_unknown(),
            false => error,
        });
        if let Some(reply) = self.reply.take() {
            // Nobody listens if the caller's future was dropped.
            let _gone = reply.send(outcome);
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = QUEUE - self.room.available_permits().min(QUEUE);
        f.debug_struct("Writer").field("waiting", &waiting).finish()
    }
}

/// What the writing thread owns. Fields are dropped in order.
pub(crate) struct Desk {
    pub(crate) db: Connection,
    pub(crate) sequence: Sequence,
    pub(crate) changes: Arc<Changes>,
    pub(crate) sessions: Arc<SessionTable>,
    pub(crate) deadlines: Deadlines,
    pub(crate) place: Place,
    pub(crate) answer_after_commit: bool,
    /// Released last, after the connection is closed.
    pub(crate) _lock: Lock,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// `Unavailable` if there can be no further thread.
    pub(crate) fn start(desk: Desk) -> Result<Self> {
        let (queue, requests) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("sandclock-writer".to_owned())
            .spawn(move || desk.work(&requests))
            .map_err(|error| {
                let refused = BackendError::new(OPEN, ErrorKind::Unavailable);
                refused.context(format!("there can be no further thread: {error}"))
            })?;
        Ok(Self {
            queue: Some(queue),
            room: Arc::new(Semaphore::new(QUEUE)),
            thread: Some(thread),
        })
    }

    /// Does `work` in a transaction and answers once that is on disk.
    ///
    /// `work` may be called a second time when the transaction of the first was undone as a whole.
    pub(crate) async fn write<T, F>(&self, op: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Txn<'_>) -> DbResult<T> + Send + 'static,
    {
        let ended = || BackendError::new(op, ErrorKind::Unavailable).context("the store is closed");
        let room = Arc::clone(&self.room);
        let room = room.acquire_owned().await.map_err(|_| ended())?;
        let (reply, answer) = oneshot::channel();
        let call = Call {
            op,
            work,
            outcome: None,
            doubtful: false,
            reply: Some(reply),
            _room: room,
        };
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue.send(Box::new(call)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended().effect_unknown())?
    }
}

/// Commits what has queued, closes the file and releases the lock before it returns.
impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by its own message.
            let _ended = thread.join();
        }
    }
}

/// Why a transaction did not come about.
enum Undone {
    /// Certainly: nothing of it is on disk.
    RolledBack(rusqlite::Error),
    /// Perhaps: the commit itself failed.
    Unknown(rusqlite::Error),
    /// As good as: the file, or its journal, is not at its place any more.
    Displaced(BackendError, Effect),
}

impl Undone {
    /// What the caller of `op` is told.
    fn at(&self, op: &'static str) -> BackendError {
        match self {
            Self::RolledBack(error) => failure(op, error),
            Self::Unknown(error) => failure(op, error).effect_unknown(),
            Self::Displaced(error, effect) => BackendError {
                op,
                effect: *effect,
                context: error.context.clone(),
                ..BackendError::new(op, error.kind)
            },
        }
    }
}

fn failure(op: &'static str, error: &rusqlite::Error) -> BackendError {
    BackendError::new(op, kind_of(error)).context(error)
}

impl Desk {
    fn work(mut self, requests: &mpsc::Receiver<Box<dyn Request>>) {
        while let Ok(first) = requests.recv() {
            let mut batch = vec![first];
            batch.extend(requests.try_iter().take(BATCH - 1));
            self.serve(&mut batch);
        }
    }

    /// Does a batch together; if that is undone, perhaps for one that does not fit, each alone.
    fn serve(&mut self, batch: &mut [Box<dyn Request>]) {
        let together = self.transact(batch);
        if batch.len() == 1 || matches!(together, Ok(()) | Err(Undone::Displaced(..))) {
            return answer(batch, &together);
        }
        for request in batch {
            if matches!(together, Err(Undone::Unknown(_))) {
                request.doubt();
            }
            let alone = std::slice::from_mut(request);
            let outcome = self.transact(alone);
            answer(alone, &outcome);
        }
    }

    fn transact(&mut self, batch: &mut [Box<dyn Request>]) -> std::result::Result<(), Undone> {
        let displaced = |effect| move |error| Undone::Displaced(error, effect);
        self.place.check(OP).map_err(displaced(Effect::None))?;
        let mut changes = Vec::new();
        let applied = self.apply(batch, &mut changes);
        if let Err(error) = applied {
            self.roll_back();
            return Err(Undone::RolledBack(error));
        }
        if !self.answer_after_commit {
            answer(batch, &Ok(()));
        }
        if let Err(error) = execute(&self.db, "COMMIT") {
            self.roll_back();
            self.look_again();
            return Err(Undone::Unknown(error));
        }
        self.sequence.position += u64::try_from(changes.len()).unwrap_or(u64::MAX);
        if !changes.is_empty() {
            self.changes.publish(changes);
        }
        // What was committed to a file that is gone is not acknowledged.
        self.place.check(OP).map_err(displaced(Effect::Unknown))
    }

    /// Everything up to the commit.
    fn apply(
        &mut self,
        batch: &mut [Box<dyn Request>],
        changes: &mut Vec<Change>,
    ) -> rusqlite::Result<()> {
        let before = self.sequence.revision;
        execute(&self.db, "BEGIN IMMEDIATE")?;
        let mut txn = Txn {
            db: &self.db,
            op: "embedded.expire",
            sessions: &self.sessions,
            deadlines: &mut self.deadlines,
            sequence: &mut self.sequence,
            changes,
        };
        crate::expiry::expire(&mut txn)?;
        for request in batch {
            execute(txn.db, "SAVEPOINT request")?;
            txn.op = request.op();
            let told = txn.changes.len();
            let keep = request.apply(&mut txn);
            if txn.db.is_autocommit() {
                // SQLite gives up the whole transaction when the disk is full or fails.
                return Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
                    Some("the transaction was undone by a failure of the disk".to_owned()),
                ));
            }
            if !keep {
                txn.changes.truncate(told);
                execute(txn.db, "ROLLBACK TO request")?;
            }
            execute(txn.db, "RELEASE request")?;
        }
        let position = txn.position();
        if self.sequence.revision > before || !changes.is_empty() {
            let sequence = Sequence {
                position,
                ..self.sequence
            };
            sequence.write(&self.db)?;
        }
        Ok(())
    }

    /// After a failed commit: goes on from what the file says. To this process the transaction has not
    /// happened; only a crash before the next commit might bring it back, which no later request can tell.
    fn look_again(&mut self) {
        let Ok(found) = Sequence::read(&self.db) else {
            return;
        };
        if found.position != self.sequence.position {
            self.changes.forget(found.position);
        }
        self.sequence.position = found.position;
        self.sequence.revision = found.revision.max(self.sequence.revision);
    }

    fn roll_back(&self) {
        if !self.db.is_autocommit() {
            // If even this fails, the next BEGIN does, and is answered so.
            let _failed = execute(&self.db, "ROLLBACK");
        }
    }
}

fn answer(batch: &mut [Box<dyn Request>], outcome: &std::result::Result<(), Undone>) {
    for request in batch {
        let failure = outcome.as_ref().err();
        let failure = failure.map(|undone| undone.at(request.op()));
        request.answer(failure);
    }
}

fn execute(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(|_| ())
}
