//! What waits in a spool, and its row.

use rusqlite::Row;
use sandclock_core::backend::{DoneRecord, Fence, OutputChunk, RunHeader, RunRecord, Version};
use sandclock_core::ports::Redacted;
use sandclock_core::run::RunId;
use sandclock_core::stored;

use crate::error::{DbError, DbResult};
use crate::output::channel_of;

/// A write of the run log that waits for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// An attempt begins, or the run waits again.
    Begin(RunHeader, Fence),
    /// A piece of an attempt's output.
    Chunk(u32, OutputChunk),
    /// Of this attempt, the chunks with `from <= seq < to` are not kept.
    Cut(u32, (u64, u64)),
    /// The run is over.
    End(Box<DoneRecord>),
}

/// An entry as columns.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) kind: &'static str,
    pub(super) attempt: u32,
    pub(super) seq: u64,
    pub(super) at: u64,
    pub(super) channel: &'static str,
    pub(super) body: Vec<u8>,
}

const BEGIN: &str = "begin";
pub(super) const CHUNK: &str = "chunk";
const CUT: &str = "cut";
const END: &str = "end";

impl Entry {
    /// Whether it says what became of a run, rather than what the run printed or that it began.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::End(_))
    }

    pub(super) fn columns(&self) -> DbResult<Columns> {
        let columns = |kind, attempt| Columns {
            kind,
            attempt,
            seq: 0,
            at: 0,
            channel: "",
            body: Vec::new(),
        };
        Ok(match self {
            Self::Begin(header, fence) => Columns {
                at: fence.get(),
                body: stored::encode(&RunRecord::begun(header))?,
                ..columns(BEGIN, header.attempt)
            },
            Self::Chunk(attempt, chunk) => Columns {
                seq: chunk.seq,
                at: chunk.offset,
                channel: chunk.channel.as_str(),
                body: chunk.bytes.bytes().to_vec(),
                ..columns(CHUNK, *attempt)
            },
            Self::Cut(attempt, (from, to)) => Columns {
                seq: *from,
                at: *to,
                ..columns(CUT, *attempt)
            },
            Self::End(done) => Columns {
                body: stored::encode(&**done)?,
                ..columns(END, done.attempts)
            },
        })
    }

    /// From the columns `kind, attempt, seq, at, channel, body`, of which the first has this index.
    pub(super) fn read(row: &Row<'_>, first: usize) -> DbResult<Self> {
        let kind: String = row.get(first)?;
        let attempt: u32 = row.get(first + 1)?;
        let (seq, at): (u64, u64) = (row.get(first + 2)?, row.get(first + 3)?);
        let body: Vec<u8> = row.get(first + 5)?;
        match kind.as_str() {
            BEGIN => Ok(Self::Begin(
                header(stored::decode(&body)?),
                Fence::at(Version(at)),
            )),
            CHUNK => Ok(Self::Chunk(
                attempt,
                OutputChunk {
                    seq,
                    channel: channel_of(row.get(first + 4)?)?,
                    offset: at,
                    // Only redacted bytes were ever stored.
                    bytes: Redacted::vouch(body.into()),
                },
            )),
            CUT => Ok(Self::Cut(attempt, (seq, at))),
            END => Ok(Self::End(Box::new(stored::decode(&body)?))),
            _ => Err(DbError::Column {
                column: "entries.kind",
                value: kind,
            }),
        }
    }

    /// The run that it is about.
    pub(super) fn run(&self) -> Option<RunId> {
        match self {
            Self::Begin(header, _) => Some(header.id.clone()),
            Self::End(done) => Some(done.run()),
            Self::Chunk(..) | Self::Cut(..) => None,
        }
    }
}

/// What [`RunRecord::begun`] was made of.
fn header(record: RunRecord) -> RunHeader {
    RunHeader {
        id: record.id,
        job: record.job,
        key: record.key,
        state: record.state,
        attempt: record.attempt,
        worker: record.worker,
        started_at: record.started_at.unwrap_or_default(),
        next_attempt_at: record.next_attempt_at,
        cause: record.cause,
    }
}
