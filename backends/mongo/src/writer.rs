//! The one task that writes documents of runs.
//!
//! What has queued is one command, and one sync of the server's journal, for all of them: a thousand runs a
//! second end one by one, fifty times as many in batches. Each is answered for itself, and only when a
//! majority has it in the journal. What is too large for a command is refused before it is in one, so that
//! a large record harms no other.
//!
//! ```text
//! request ─► queue ─► one `update`, unordered ─► journal of a majority ─► answers
//! ```

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, doc, rawdoc};
use mongodb::error::Error;
use sandclock_core::backend::Result;
use sandclock_core::{BackendError, ErrorKind};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Access, DUPLICATE_KEY, from_code, from_driver, late};

/// How many requests may wait; further ones wait for room in their callers.
const QUEUE: usize = 1_024;

/// How many requests one command takes.
const BATCH: usize = 100;

/// How large the requests of one command may be, in bytes, unless it has one only. A server takes 16 MiB.
const BATCH_BYTES: usize = 8 << 20;

/// How large a request may be, in bytes: what the server takes, less what surrounds it.
const REQUEST_BYTES: usize = 15 << 20;

/// A change of one document.
#[derive(Debug)]
pub(crate) struct Update {
    /// Which one.
    pub(crate) filter: Document,
    /// A whole document, or a pipeline that makes one.
    pub(crate) change: Bson,
}

/// What became of an upsert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upserted {
    /// It is done.
    Written,
    /// The filter found nothing, and still the document's unique key was there. Nothing was changed.
    KeyTaken,
}

/// The way to the writing task, which ends when this is dropped and the queue is empty.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Request>,
    target: Target,
}

#[derive(Debug)]
struct Request {
    op: &'static str,
    statement: RawDocumentBuf,
    reply: oneshot::Sender<Result<Upserted>>,
}

/// Where the documents are.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The database.
    pub(crate) db: Database,
    /// The collection in it.
    pub(crate) collection: String,
    /// How long a command may take.
    pub(crate) timeout: Duration,
    /// Whether a command's size has a bound.
    pub(crate) bounded: bool,
}

/// What the server says of a command.
#[derive(Debug, Default)]
struct Reply {
    /// How many documents were matched or made.
    count: i64,
    /// The code and text of each statement that failed, by its place.
    failed: Vec<(usize, i32, String)>,
    /// The code and text if what was written is not on a majority.
    concern: Option<(i32, String)>,
}

/// Why there is no reply.
#[derive(Clone, Debug)]
enum NoReply {
    Driver(Error),
    Late,
}

impl NoReply {
    fn at(&self, op: &'static str) -> BackendError {
        match self {
            Self::Driver(error) => from_driver(op, Access::Write, error.clone()),
            Self::Late => late(op, Access::Write),
        }
    }
}

impl Writer {
    /// Starts the task on the current runtime.
    #[expect(
        clippy::disallowed_methods,
        reason = "requests of many callers share a command, which none of them can own"
    )]
    pub(crate) fn start(target: Target) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE);
        tokio::spawn(work(target.clone(), requests));
        Self { queue, target }
    }

    /// Changes the document, or makes it if the filter finds none, together with what else has queued.
    pub(crate) async fn upsert(&self, op: &'static str, update: &Update) -> Result<Upserted> {
        let ended = || BackendError::new(op, ErrorKind::Unavailable).context("the store is closed");
        let statement = self.target.statement(op, update, true)?;
        let (reply, answer) = oneshot::channel();
        let request = Request {
            op,
            statement,
            reply,
        };
        let answered = async {
            self.queue.send(request).await.map_err(|_| ended())?;
            answer.await.map_err(|_| ended().effect_unknown())?
        };
        // A request whose caller has gone is not sent any more.
        match tokio::time::timeout(self.target.timeout, answered).await {
            Ok(answer) => answer,
            Err(_) => Err(late(op, Access::Write)),
        }
    }

    /// Changes the document if the filter finds it. Whether it did.
    pub(crate) async fn change(&self, op: &'static str, update: &Update) -> Result<bool> {
        let statement = self.target.statement(op, update, false)?;
        let reply = self.target.update(&[&statement]).await;
        let reply = reply.map_err(|none| none.at(op))?;
        if let Some((_, code, said)) = reply.failed.first() {
            return Err(from_code(op, *code, said));
        }
        reply.majority(op)?;
        Ok(reply.count > 0)
    }
}

async fn work(target: Target, mut requests: mpsc::Receiver<Request>) {
    let mut batch = Vec::with_capacity(BATCH);
    while requests.recv_many(&mut batch, BATCH).await > 0 {
        batch.retain(|request| !request.reply.is_closed());
        while !batch.is_empty() {
            let rest = batch.split_off(target.fitting(&batch));
            target.serve(std::mem::replace(&mut batch, rest)).await;
        }
    }
}

impl Target {
    fn statement(&self, op: &'static str, update: &Update, upsert: bool) -> Result<RawDocumentBuf> {
        let statement = doc! { "q": &update.filter, "u": &update.change, "upsert": upsert };
        let refused = || BackendError::new(op, ErrorKind::InvalidConfig);
        let statement = RawDocumentBuf::try_from(&statement).map_err(|e| refused().source(e))?;
        let bytes = statement.as_bytes().len();
        if self.bounded && bytes > REQUEST_BYTES {
            let why = format!("the record takes {bytes} bytes; at most {REQUEST_BYTES} are stored");
            return Err(refused().context(why));
        }
        Ok(statement)
    }

    /// How many of the first requests fit into one command; at least one.
    fn fitting(&self, batch: &[Request]) -> usize {
        if !self.bounded {
            return batch.len();
        }
        let mut room = BATCH_BYTES;
        let fits = |request: &&Request| {
            let left = room.checked_sub(request.statement.as_bytes().len());
            room = left.unwrap_or_default();
            left.is_some()
        };
        batch.iter().take_while(fits).count().max(1)
    }

    /// Does these together.
    async fn serve(&self, batch: Vec<Request>) {
        let statements: Vec<_> = batch.iter().map(|request| &request.statement).collect();
        match self.update(&statements).await {
            Ok(reply) => answer(batch, &reply),
            Err(none) => fail(batch, &none),
        }
    }

    /// Sends one command and waits until a majority has it.
    async fn update(&self, statements: &[&RawDocumentBuf]) -> std::result::Result<Reply, NoReply> {
        let mut updates = RawArrayBuf::new();
        for statement in statements {
            updates.push((*statement).clone());
        }
        let command = rawdoc! {
            "update": self.collection.as_str(),
            "updates": updates,
            "ordered": false,
            "writeConcern": { "w": "majority", "j": true },
        };
        let sent = self.db.run_raw_command(command);
        match tokio::time::timeout(self.timeout, async { sent.await }).await {
            Ok(Ok(reply)) => Ok(Reply::read(&reply)),
            Ok(Err(error)) => Err(NoReply::Driver(error)),
            Err(_) => Err(NoReply::Late),
        }
    }
}

impl Reply {
    fn read(reply: &Document) -> Self {
        let said = |error: &Document| {
            let code = error.get_i32("code").unwrap_or_default();
            let text = error.get_str("errmsg").unwrap_or_default();
            (code, text.to_owned())
        };
        let failed = reply.get_array("writeErrors").into_iter().flatten();
        Self {
            count: (reply.get_i32("n").map(i64::from))
                .or_else(|_| reply.get_i64("n"))
                .unwrap_or_default(),
            failed: failed
                .filter_map(Bson::as_document)
                .map(|error| {
                    let (code, text) = said(error);
                    let at = error.get_i32("index").ok();
                    let at = at.and_then(|at| usize::try_from(at).ok());
                    (at.unwrap_or_default(), code, text)
                })
                .collect(),
            concern: reply.get_document("writeConcernError").ok().map(said),
        }
    }

    /// # Errors
    /// If what was written is not known to be on a majority.
    fn majority(&self, op: &'static str) -> Result<()> {
        match &self.concern {
            None => Ok(()),
            Some((code, said)) => Err(BackendError::new(op, ErrorKind::Unavailable)
                .context(format!("{said} (code {code})"))
                .effect_unknown()),
        }
    }
}

fn answer(batch: Vec<Request>, reply: &Reply) {
    for (at, request) in batch.into_iter().enumerate() {
        let op = request.op;
        let failed = reply.failed.iter().find(|(place, _, _)| *place == at);
        let answer = match failed {
            None => reply.majority(op).map(|()| Upserted::Written),
            Some((_, DUPLICATE_KEY, _)) => Ok(Upserted::KeyTaken),
            Some((_, code, said)) => Err(from_code(op, *code, said)),
        };
        // Nobody listens if the caller's future was dropped.
        let _gone = request.reply.send(answer);
    }
}

fn fail(batch: Vec<Request>, none: &NoReply) {
    for request in batch {
        let failed = none.at(request.op);
        let _gone = request.reply.send(Err(failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody is there; nothing is sent.
    async fn target() -> Target {
        let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:1").await;
        Target {
            db: client.unwrap().database("cron"),
            collection: "log".to_owned(),
            timeout: Duration::ZERO,
            bounded: true,
        }
    }

    fn request(bytes: usize) -> Request {
        let mut statement = RawDocumentBuf::new();
        let key = mongodb::bson::raw::CString::try_from("x").unwrap();
        statement.append(key, "x".repeat(bytes));
        Request {
            op: "op",
            statement,
            reply: oneshot::channel().0,
        }
    }

    #[tokio::test]
    async fn a_command_is_bounded_and_takes_at_least_one() {
        let target = target().await;
        let batch = |sizes: &[usize]| {
            let batch: Vec<_> = sizes.iter().map(|bytes| request(*bytes)).collect();
            target.fitting(&batch)
        };
        assert_eq!(batch(&[1, 1, 1]), 3);
        assert_eq!(batch(&[BATCH_BYTES, 1]), 1);
        assert_eq!(batch(&[1, BATCH_BYTES / 2, BATCH_BYTES / 2, 1]), 2);
    }

    #[tokio::test]
    async fn what_cannot_be_stored_is_refused_before_it_is_sent() {
        let update = Update {
            filter: doc! {},
            change: "x".repeat(REQUEST_BYTES).into(),
        };
        let error = (target().await.statement("op", &update, true)).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidConfig, "{error}");
    }

    #[test]
    fn a_reply_tells_each_statement_its_own() {
        let reply = Reply::read(&doc! {
            "n": 2,
            "writeErrors": [
                { "index": 1, "code": 11_000, "errmsg": "E11000 duplicate key" },
                { "index": 2, "code": 10_334, "errmsg": "too large" },
            ],
        });
        assert_eq!(reply.count, 2);
        let (mut batch, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (reply, answer) = oneshot::channel();
            batch.push(Request {
                reply,
                ..request(1)
            });
            answers.push(answer);
        }
        answer(batch, &reply);
        let kinds: Vec<_> = answers
            .into_iter()
            .map(|mut answer| answer.try_recv().unwrap().map_err(|error| error.kind))
            .collect();
        let want = [
            Ok(Upserted::Written),
            Ok(Upserted::KeyTaken),
            Err(ErrorKind::InvalidConfig),
        ];
        assert_eq!(kinds, want);
    }

    #[test]
    fn what_is_not_on_a_majority_is_not_acknowledged() {
        let reply = Reply::read(&doc! {
            "n": 1,
            "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" },
        });
        let error = reply.majority("op").expect_err("acknowledged");
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(error.effect, sandclock_core::Effect::Unknown);
    }
}
