//! The output of runs, in chunks.
//!
//! A chunk's `_id` is `{run, attempt, seq}`, in this order and always of the same types: documents are
//! compared member by member, so that the index on `_id` has the chunks of a run together and in order.

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};
use mongodb::error::ErrorKind as Driver;
use sandclock_core::backend::{LogPage, OutputChunk, Result};
use sandclock_core::go::log;
use sandclock_core::ports::{Channel, Redacted};
use sandclock_core::run::RunId;
use sandclock_core::{BackendError, ErrorKind};

use crate::error::DUPLICATE_KEY;
use crate::foreign;
use crate::store::{Store, rows};

/// The largest chunk, in bytes: what the server takes in one document, less what surrounds it.
const CHUNK_BYTES: usize = 15 << 20;

/// How many chunks a reader gets from the server at once; they are some 64 KiB each.
const READ_BATCH: u32 = 8;

/// The pieces in which the output of a Go worker's run is shown, in bytes.
const FOREIGN_CHUNK: usize = 64 << 10;

fn signed(number: u64) -> Bson {
    Bson::Int64(i64::try_from(number).unwrap_or(i64::MAX))
}

fn id(run: &RunId, attempt: u32, seq: u64) -> Document {
    doc! { "run": run.as_str(), "attempt": i64::from(attempt), "seq": signed(seq) }
}

/// Greater than the id of every chunk of the attempt, or with `None` of the run.
fn end(run: &RunId, attempt: Option<u32>) -> Document {
    match attempt {
        Some(attempt) => {
            doc! { "run": run.as_str(), "attempt": i64::from(attempt), "seq": Bson::MaxKey }
        }
        None => doc! { "run": run.as_str(), "attempt": Bson::MaxKey },
    }
}

/// The chunks of all attempts of a run.
pub(crate) fn of_run(run: &RunId) -> Document {
    doc! { "_id": { "$gte": { "run": run.as_str() }, "$lt": end(run, None) } }
}

fn document(run: &RunId, attempt: u32, chunk: &OutputChunk) -> Document {
    doc! {
        "_id": id(run, attempt, chunk.seq),
        "channel": chunk.channel.as_str(),
        "offset": signed(chunk.offset),
        "bytes": Binary {
            subtype: BinarySubtype::Generic,
            bytes: chunk.bytes.bytes().to_vec(),
        },
    }
}

/// The attempt and the chunk in a document; `None` if it is not one of ours.
fn chunk(document: &Document) -> Option<(u32, OutputChunk)> {
    let id = document.get_document("_id").ok()?;
    let unsigned = |document: &Document, name| u64::try_from(document.get_i64(name).ok()?).ok();
    let channel = document.get_str("channel").ok()?;
    let chunk = OutputChunk {
        seq: unsigned(id, "seq")?,
        channel: [Channel::Combined, Channel::Stdout, Channel::Stderr]
            .into_iter()
            .find(|known| known.as_str() == channel)?,
        offset: unsigned(document, "offset")?,
        // Only redacted bytes were ever stored.
        bytes: Redacted::vouch(document.get_binary_generic("bytes").ok()?.clone().into()),
    };
    Some((u32::try_from(id.get_i64("attempt").ok()?).ok()?, chunk))
}

impl Store {
    /// Stores chunks in one round trip; one that is there already is left as it is. Then deletes what is
    /// cut out, which may be among them.
    pub(crate) async fn append_output(
        &self,
        op: &'static str,
        run: &RunId,
        attempt: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) -> Result<()> {
        for chunk in chunks {
            let bytes = chunk.bytes.bytes().len();
            if bytes > CHUNK_BYTES {
                let refused = BackendError::new(op, ErrorKind::InvalidConfig);
                let why = format!(
                    "chunk {} has {bytes} bytes; at most {CHUNK_BYTES}",
                    chunk.seq
                );
                return Err(refused.context(why));
            }
        }
        if !chunks.is_empty() {
            let documents = chunks.iter().map(|chunk| document(run, attempt, chunk));
            let insert = self.output.insert_many(documents).ordered(false);
            self.write(op, async { insert.await.map(drop).or_else(all_there) })
                .await?;
        }
        let Some((head_end, tail_start)) = cut.filter(|_| self.guards.cut) else {
            return Ok(());
        };
        let middle = doc! {
            "_id": { "$gte": id(run, attempt, head_end), "$lt": id(run, attempt, tail_start) },
        };
        self.write(op, self.output.delete_many(middle))
            .await
            .map(drop)
    }

    /// Chunks after a place: one at least, then as many as fit.
    pub(crate) async fn read_output(
        &self,
        run: &RunId,
        after: Option<(u32, u64)>,
        max_bytes: u32,
    ) -> Result<LogPage> {
        const OP: &str = "runs.read_log";
        if let Some(document) = foreign::object_id(run)
            && let Some(page) = self.foreign_output(OP, document, after, max_bytes).await?
        {
            return Ok(page);
        }
        let after = match after {
            Some((attempt, seq)) => id(run, attempt, seq),
            None => doc! { "run": run.as_str() },
        };
        let rest = doc! { "_id": { "$gt": after, "$lt": end(run, None) } };
        let find = self
            .output
            .find(rest)
            .sort(doc! { "_id": 1 })
            .batch_size(READ_BATCH);
        let mut page = Filling::new(max_bytes);
        self.read(OP, async {
            let mut cursor = find.await?;
            while cursor.advance().await? {
                let found = cursor.deserialize_current()?;
                if chunk(&found).is_some_and(|(attempt, chunk)| !page.take(attempt, chunk)) {
                    break;
                }
            }
            Ok(())
        })
        .await?;
        Ok(page.done)
    }

    /// The output of a run that a Go worker logged, in pieces; `None` if there is no such run.
    async fn foreign_output(
        &self,
        op: &'static str,
        document: mongodb::bson::oid::ObjectId,
        after: Option<(u32, u64)>,
        max_bytes: u32,
    ) -> Result<Option<LogPage>> {
        let find = self.runs.find(doc! { "_id": document, "sandclock": null });
        let found = self.read(op, async { rows(find.await?).await }).await?;
        let Some(found) = found.first() else {
            return Ok(None);
        };
        let output = bytes::Bytes::from(foreign::output(found));
        let mut page = Filling::new(max_bytes);
        let first = match after {
            None => 0,
            Some((1, seq)) => usize::try_from(seq).map_or(usize::MAX, |seq| seq + 1),
            Some(_) => usize::MAX,
        };
        for start in (0..output.len()).step_by(FOREIGN_CHUNK).skip(first) {
            let offset = u64::try_from(start).unwrap_or(u64::MAX);
            let end = output.len().min(start + FOREIGN_CHUNK);
            let chunk = OutputChunk {
                seq: offset / FOREIGN_CHUNK as u64,
                channel: Channel::Combined,
                offset,
                // A Go worker redacts nothing, and its master shows the same to everybody.
                bytes: Redacted::vouch(output.slice(start..end)),
            };
            if !page.take(1, chunk) {
                break;
            }
        }
        Ok(Some(page.done))
    }

    /// The beginning of an attempt's output, for the document that a Go master shows.
    pub(crate) async fn go_output(
        &self,
        op: &'static str,
        run: &RunId,
        attempt: u32,
    ) -> Result<String> {
        let all = doc! { "_id": { "$gte": id(run, attempt, 0), "$lt": end(run, Some(attempt)) } };
        let find = self
            .output
            .find(all)
            .sort(doc! { "_id": 1 })
            .batch_size(READ_BATCH);
        let (mut head, mut whole) = (Vec::new(), true);
        self.read(op, async {
            let mut cursor = find.await?;
            while whole && cursor.advance().await? {
                let Some((_, chunk)) = chunk(&cursor.deserialize_current()?) else {
                    continue;
                };
                // What follows a cut is not the beginning any more.
                whole = usize::try_from(chunk.offset) == Ok(head.len());
                if whole {
                    head.extend_from_slice(chunk.bytes.bytes());
                    whole = head.len() <= log::OUTPUT_BYTES;
                }
            }
            Ok(())
        })
        .await?;
        Ok(log::output(&head, whole))
    }
}

/// A page that is being filled.
struct Filling {
    done: LogPage,
    room: usize,
}

impl Filling {
    fn new(max_bytes: u32) -> Self {
        Self {
            done: LogPage {
                chunks: Vec::new(),
                next: None,
            },
            room: usize::try_from(max_bytes).unwrap_or(usize::MAX),
        }
    }

    /// Takes the chunk if it is the first or fits; else the page is full.
    fn take(&mut self, attempt: u32, chunk: OutputChunk) -> bool {
        let size = chunk.bytes.bytes().len();
        if size > self.room
            && let Some((attempt, last)) = self.done.chunks.last()
        {
            self.done.next = Some((*attempt, last.seq));
            return false;
        }
        self.room = self.room.saturating_sub(size);
        self.done.chunks.push((attempt, chunk));
        true
    }
}

/// Chunks that were there already are no failure.
fn all_there(error: mongodb::error::Error) -> mongodb::error::Result<()> {
    if let Driver::InsertMany(failed) = error.kind.as_ref()
        && failed.write_concern_error.is_none()
        && let Some(errors) = &failed.write_errors
        && errors.iter().all(|error| error.code == DUPLICATE_KEY)
    {
        return Ok(());
    }
    Err(error)
}
