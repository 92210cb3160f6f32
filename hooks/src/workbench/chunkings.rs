//! However output is cut on its way, the same has to come out: the host may read a byte or 64 KiB at a time, and it may replace
//! an instance between any two calls.

use std::ops::Range;

/// Up to this many bytes every split in two is tried, of longer inputs as many.
const SPLITS: usize = 4_096;
/// Chunkings at random places.
const RANDOM: u64 = 1_000;
/// The most pieces of one of those.
const PIECES: usize = 24;

/// One way to cut an input.
#[derive(Clone, Debug)]
pub(super) struct Chunking {
    /// For people.
    pub(super) how: How,
    /// Where the pieces end, the last one at the input's end.
    ends: Vec<usize>,
    /// Whether one instance sees all of the stream; else each call has one of its own.
    pub(super) keeps_instance: bool,
}

/// Which kind of chunking it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    SplitAt(usize),
    SingleBytes,
    Seed(u64),
}

impl Chunking {
    /// All chunkings of an input of so many bytes.
    pub(super) fn all(len: usize) -> Vec<Self> {
        let mut all: Vec<_> = splits(len)
            .map(|at| Self::new(How::SplitAt(at), [at, len], true))
            .collect();
        for keeps_instance in [true, false] {
            all.push(Self::new(How::SingleBytes, 1..=len, keeps_instance));
        }
        for seed in 0..RANDOM {
            let mut dice = Dice::new(seed);
            let pieces = dice.below(PIECES.min(len)) + 1;
            let mut ends: Vec<_> = (1..pieces).map(|_| dice.below(len + 1)).collect();
            ends.sort_unstable();
            ends.push(len);
            all.push(Self::new(How::Seed(seed), ends, seed % 2 == 0));
        }
        all
    }

    fn new(how: How, ends: impl IntoIterator<Item = usize>, keeps_instance: bool) -> Self {
        Self {
            how,
            ends: ends.into_iter().collect(),
            keeps_instance,
        }
    }

    /// The pieces, of which some may be empty.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| start..*end)
    }

    /// In words.
    pub(super) fn told(&self) -> String {
        let how = match self.how {
            How::SplitAt(at) => format!("split at byte {at}"),
            How::SingleBytes => "byte by byte".to_owned(),
            How::Seed(seed) => format!("at random places (seed {seed})"),
        };
        if self.keeps_instance {
            how
        } else {
            format!("{how}, each call on a fresh instance")
        }
    }
}

/// Where an input of so many bytes is split in two.
fn splits(len: usize) -> impl Iterator<Item = usize> {
    let inner = len.saturating_sub(1);
    let tried = inner.min(SPLITS);
    (0..tried).map(move |number| 1 + number * inner / tried.max(1))
}

/// Numbers that are the same in every run (xorshift64*).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`, 0 if there is none.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or_default() % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunking_covers_the_input_once() {
        for len in [1, 2, 7, 300, 9_000] {
            for chunking in Chunking::all(len) {
                let mut at = 0;
                for piece in chunking.pieces() {
                    assert_eq!(piece.start, at, "{len}: {chunking:?}");
                    at = piece.end;
                }
                assert_eq!(at, len, "{chunking:?}");
            }
        }
    }

    #[test]
    fn every_split_of_a_short_input_is_tried() {
        assert_eq!(splits(1).count(), 0);
        assert_eq!(splits(5).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let many: Vec<_> = splits(100_000).collect();
        assert_eq!((many.len(), many[0]), (SPLITS, 1));
        assert!(many.is_sorted() && many.iter().all(|at| (1..100_000).contains(at)));
    }
}
