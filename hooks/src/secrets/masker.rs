//! Masking of a stream: the same bytes come out however the stream was cut into pieces.
//!
//! A piece is searched together with what was held back before it. All occurrences of all needles
//! count, those that overlap become one mark, and what could still be the beginning of a needle is
//! held back, at most the longest needle less one byte. A mark is written as soon as nothing can
//! begin before it; if its stretch reaches into the held bytes, `hidden` remembers how far.

use bytes::{Bytes, BytesMut};

use super::KnownSecrets;
use crate::joined::joined;
use crate::mutants::Mutant;

/// The mask of one stream.
#[derive(Debug)]
pub struct Masker {
    secrets: KnownSecrets,
    held: Held,
}

/// What is not out yet. It may hold most of a secret, so it does not show itself.
#[derive(Default)]
struct Held {
    bytes: Bytes,
    /// How many of the first bytes stand behind a mark that is written already.
    hidden: usize,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

impl Masker {
    pub(super) fn new(secrets: KnownSecrets) -> Self {
        Self {
            secrets,
            held: Held::default(),
        }
    }

    /// Takes more of the stream and returns what is decided by now.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        if piece.is_empty() {
            return piece;
        }
        self.step(piece, false)
    }

    /// Returns what is left. The beginning of a secret at the very end is released, unless it is at
    /// least half of one and [`MIN_SECRET_BYTES`](super::MIN_SECRET_BYTES) long.
    pub fn finish(&mut self) -> Bytes {
        self.step(Bytes::new(), true)
    }

    /// How many bytes are held back now.
    pub fn held(&self) -> usize {
        self.held.bytes.len()
    }

    fn step(&mut self, piece: Bytes, last: bool) -> Bytes {
        let wanted = self.secrets.wanted();
        let held = std::mem::take(&mut self.held);
        let window = joined([held.bytes, piece]);
        if wanted.is_empty() {
            return window.slice(held.hidden.min(window.len())..);
        }
        let fold = !self.secrets.is_mutated(Mutant::LineByLine);
        let found = wanted.find(&window, last, fold);
        let decided = if self.secrets.is_mutated(Mutant::HoldNothingBack) {
            window.len()
        } else {
            found.undecided
        };
        let mut out = BytesMut::new();
        // Up to here bytes are out or behind a mark.
        let mut at = held.hidden;
        for span in found.spans {
            if span.start < at {
                if !self.secrets.is_mutated(Mutant::OverlapsApart) {
                    at = at.max(span.end);
                }
            } else if span.start < decided {
                out.extend_from_slice(window.get(at..span.start).unwrap_or_default());
                out.extend_from_slice(wanted.mark(&span).as_bytes());
                at = span.end;
            } else {
                break;
            }
        }
        let rest = window.slice(at.min(decided)..decided);
        self.held = Held {
            hidden: at.saturating_sub(decided),
            bytes: window.slice(decided..),
        };
        joined([out.freeze(), rest])
    }
}
