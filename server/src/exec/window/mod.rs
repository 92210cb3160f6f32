//! What is kept of a run's output: its head and its tail, in bounded space.
//!
//! ```text
//!   offset 0          head_cap                              total - tail   total
//!     │ head, stored ... │  cut: counted, then forgotten  │ tail ...        │
//! ```
//! Half of the limit is for the head, half for the tail. Chunks get their numbers when they are
//! taken for storing, so what was overtaken before that is never stored at all, and the numbers
//! have no gaps. The gap shows in the offsets.

use std::collections::VecDeque;

use bytes::BytesMut;

use sandclock_core::backend::runs::OutputChunk;
use sandclock_core::ports::{Channel, Redacted};
use sandclock_core::run::OutputSummary;

/// No chunk is larger.
const CHUNK_BYTES: usize = 64 << 10;

/// What alerts and conditions on output see of a run.
const LAST_WORDS_BYTES: usize = 16 << 10;

/// Output that waits to be stored.
#[derive(Debug)]
struct Piece {
    channel: Channel,
    offset: u64,
    in_head: bool,
    bytes: BytesMut,
}

/// Chunks to store, and which stored ones to delete: those with `cut.0 <= seq < cut.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) chunks: Vec<OutputChunk>,
    pub(super) cut: Option<(u64, u64)>,
}

/// The state of one attempt's output.
#[derive(Debug)]
pub(super) struct Window {
    head_cap: u64,
    tail_cap: u64,
    chunk_bytes: usize,
    /// Everything that was pushed, in bytes.
    total: u64,
    cut: u64,
    pending: VecDeque<Piece>,
    pending_bytes: usize,
    /// Lengths of the tail's stored chunks, the oldest first; the newest has the number before
    /// `next_seq`.
    stored_tail: VecDeque<u64>,
    tail_bytes: u64,
    next_seq: u64,
    /// The number of the first chunk behind the head.
    head_end: Option<u64>,
    last_words: BytesMut,
}

impl Window {
    /// An empty window that keeps at most `limit` bytes.
    pub(super) fn new(limit: u64) -> Window {
        // Whole chunks leave the tail, so they are small against it.
        let chunk_bytes = usize::try_from(limit / 16)
            .unwrap_or(usize::MAX)
            .clamp(1, CHUNK_BYTES);
        Window {
            head_cap: limit - limit / 2,
            tail_cap: limit / 2,
            chunk_bytes,
            total: 0,
            cut: 0,
            pending: VecDeque::new(),
            pending_bytes: 0,
            stored_tail: VecDeque::new(),
            tail_bytes: 0,
            next_seq: 0,
            head_end: None,
            last_words: BytesMut::new(),
        }
    }

    /// Adds output. Returns how many bytes wait to be stored as part of the head.
    pub(super) fn push(&mut self, channel: Channel, output: &Redacted) -> usize {
        let mut rest: &[u8] = output.bytes();
        self.remember_last(rest);
        if self.total >= self.head_cap && rest.len() as u64 > self.tail_cap {
            rest = self.start_tail_anew(rest);
        }
        while !rest.is_empty() {
            let head_room =
                usize::try_from(self.head_cap.saturating_sub(self.total)).unwrap_or(usize::MAX);
            let in_head = head_room > 0;
            let mut piece = self.open_piece(channel, in_head);
            let room = self.chunk_bytes - piece.bytes.len();
            let room = if in_head { room.min(head_room) } else { room };
            let (now, later) = rest.split_at(room.min(rest.len()));
            piece.bytes.extend_from_slice(now);
            self.pending.push_back(piece);
            rest = later;
            self.total += now.len() as u64;
            self.pending_bytes += now.len();
            if !in_head {
                self.tail_bytes += now.len() as u64;
                self.trim();
            }
        }
        if self.total <= self.head_cap {
            self.pending_bytes
        } else {
            0
        }
    }

    /// The last pending piece if it can take more of this channel, or a new one.
    fn open_piece(&mut self, channel: Channel, in_head: bool) -> Piece {
        let chunk_bytes = self.chunk_bytes;
        let has_room = |last: &mut Piece| {
            last.channel == channel && last.in_head == in_head && last.bytes.len() < chunk_bytes
        };
        self.pending.pop_back_if(has_room).unwrap_or_else(|| Piece {
            channel,
            offset: self.total,
            in_head,
            bytes: BytesMut::new(),
        })
    }

    /// What fills the whole tail by itself pushes everything else out of it; so it is not worth
    /// cutting the rest into chunks. Returns what stays.
    fn start_tail_anew<'a>(&mut self, output: &'a [u8]) -> &'a [u8] {
        let room = usize::try_from(self.tail_cap).unwrap_or(usize::MAX);
        let (gone, stays) = output.split_at(output.len() - room.min(output.len()));
        self.total += gone.len() as u64;
        self.cut += gone.len() as u64 + self.tail_bytes;
        self.tail_bytes = 0;
        self.stored_tail.clear();
        self.pending.retain(|piece| piece.in_head);
        self.pending_bytes = self.pending.iter().map(|piece| piece.bytes.len()).sum();
        stays
    }

    /// Gives up the oldest chunks of a tail that has grown over its limit.
    fn trim(&mut self) {
        while self.tail_bytes > self.tail_cap {
            let length = match self.stored_tail.pop_front() {
                Some(stored) => stored,
                None => {
                    let Some(oldest) = self.pending.iter().position(|piece| !piece.in_head) else {
                        return;
                    };
                    let gone = self
                        .pending
                        .remove(oldest)
                        .map_or(0, |piece| piece.bytes.len());
                    self.pending_bytes -= gone;
                    gone as u64
                }
            };
            self.tail_bytes -= length;
            self.cut += length;
        }
    }

    /// Takes what waits, numbered, to be stored together with the deletion it entails; `None` if
    /// nothing waits.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.pending.is_empty() {
            return None;
        }
        self.pending_bytes = 0;
        let mut chunks = Vec::with_capacity(self.pending.len());
        for Piece {
            channel,
            offset,
            in_head,
            bytes,
        } in self.pending.drain(..)
        {
            let seq = self.next_seq;
            self.next_seq += 1;
            if !in_head {
                self.head_end.get_or_insert(seq);
                self.stored_tail.push_back(bytes.len() as u64);
            }
            chunks.push(OutputChunk {
                seq,
                channel,
                offset,
                bytes: Redacted::vouch(bytes.freeze()),
            });
        }
        Some(Batch {
            chunks,
            cut: self.cut_range(),
        })
    }

    /// Counts what the store has not taken as left out: this batch, as far as it was not overtaken, and what
    /// came after it.
    pub(super) fn give_up(&mut self, batch: &Batch) {
        let overtaken = self.cut_range().unwrap_or_default();
        let lost = batch.chunks.iter();
        let lost = lost.filter(|chunk| !(overtaken.0..overtaken.1).contains(&chunk.seq));
        let lost: usize = lost.map(|chunk| chunk.bytes.bytes().len()).sum();
        self.cut += (lost + self.pending_bytes) as u64;
        self.pending.clear();
        self.pending_bytes = 0;
    }

    /// Which stored chunks are behind the head and no longer in the tail.
    pub(super) fn cut_range(&self) -> Option<(u64, u64)> {
        let head_end = self.head_end?;
        let tail_start = self.next_seq - self.stored_tail.len() as u64;
        (head_end < tail_start).then_some((head_end, tail_start))
    }

    /// How much there was, and how much of it is left out.
    pub(super) fn summary(&self) -> OutputSummary {
        OutputSummary {
            bytes: self.total,
            cut: self.cut,
        }
    }

    /// The end of the output, at most 16 KiB.
    pub(super) fn last_words(&self) -> bytes::Bytes {
        let from = self.last_words.len().saturating_sub(LAST_WORDS_BYTES);
        bytes::Bytes::copy_from_slice(self.last_words.get(from..).unwrap_or_default())
    }

    fn remember_last(&mut self, bytes: &[u8]) {
        let from = bytes.len().saturating_sub(LAST_WORDS_BYTES);
        self.last_words
            .extend_from_slice(bytes.get(from..).unwrap_or_default());
        if self.last_words.len() > 3 * LAST_WORDS_BYTES {
            let keep = self
                .last_words
                .split_off(self.last_words.len() - LAST_WORDS_BYTES);
            self.last_words = BytesMut::from(&keep[..]);
        }
    }
}

#[cfg(test)]
mod tests;
