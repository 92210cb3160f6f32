//! The window against the plain rule: the first half of the limit, and as much of the end as fits
//! the other half.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::transcript::{Transcript, cut_marker};
use super::*;

/// A store that does what a run log does with batches, and complains about what it may not see.
#[derive(Default)]
struct Stored {
    chunks: BTreeMap<u64, OutputChunk>,
    next: u64,
    most: usize,
}

impl Stored {
    fn append(&mut self, batch: Batch) {
        for chunk in batch.chunks {
            assert_eq!(chunk.seq, self.next, "numbers have no gaps");
            self.next += 1;
            self.chunks.insert(chunk.seq, chunk);
        }
        if let Some((from, to)) = batch.cut {
            self.chunks.retain(|seq, _| !(from..to).contains(seq));
        }
        self.most = self.most.max(self.bytes());
    }

    fn text(&self, printed: u64) -> BytesMut {
        let (mut transcript, mut text) = (Transcript::default(), BytesMut::new());
        let chunks = self.chunks.values();
        chunks
            .flat_map(|chunk| transcript.next(1, chunk))
            .for_each(|part| part.write_to(&mut text));
        let end = transcript.end(1, printed);
        end.for_each(|part| part.write_to(&mut text));
        text
    }

    fn bytes(&self) -> usize {
        self.chunks
            .values()
            .map(|chunk| chunk.bytes.bytes().len())
            .sum()
    }
}

/// Bytes that tell their position.
fn printed(length: usize) -> Vec<u8> {
    (0..length)
        .flat_map(|i| (i as u64 * 2_654_435_761).to_le_bytes())
        .take(length)
        .collect()
}

/// Pushes `length` bytes in pieces of `piece`, storing after every `every` pieces.
fn check(limit: u64, length: usize, piece: usize, every: usize) {
    let mut window = Window::new(limit);
    let mut stored = Stored::default();
    let output = printed(length);
    for (i, part) in output.chunks(piece).enumerate() {
        window.push(
            Channel::Combined,
            &Redacted::vouch(Bytes::copy_from_slice(part)),
        );
        if i % every == every - 1 {
            window
                .take()
                .into_iter()
                .for_each(|batch| stored.append(batch));
        }
    }
    window
        .take()
        .into_iter()
        .for_each(|batch| stored.append(batch));
    let what = format!("limit {limit}, {length} bytes by {piece}, stored every {every}");
    let summary = window.summary();
    assert_eq!(summary.bytes, length as u64, "{what}");
    assert!(
        stored.bytes() as u64 <= limit,
        "{what}: {} stored",
        stored.bytes()
    );
    assert_eq!(summary.cut, length as u64 - stored.bytes() as u64, "{what}");
    let whole = length as u64 <= limit;
    assert_eq!(summary.cut == 0, whole, "{what}");
    // What is stored is where it says that it was.
    for chunk in stored.chunks.values() {
        let from = usize::try_from(chunk.offset).unwrap();
        let bytes = chunk.bytes.bytes();
        assert_eq!(&output[from..from + bytes.len()], &bytes[..], "{what}");
    }
    let text = stored.text(summary.bytes);
    let head = output
        .len()
        .min(usize::try_from(limit - limit / 2).unwrap());
    assert_eq!(text[..head], output[..head], "{what}: head");
    if !whole {
        let marker = cut_marker(summary.cut);
        assert_eq!(
            &text[head..head + marker.len()],
            marker.as_bytes(),
            "{what}: marker"
        );
        let tail = text.len() - head - marker.len();
        assert_eq!(
            text[head + marker.len()..],
            output[length - tail..],
            "{what}: tail"
        );
        // The tail gives up whole chunks, which are at most a sixteenth of the limit.
        assert!(
            tail as u64 + limit / 16 + 1 >= limit / 2,
            "{what}: tail of {tail}"
        );
    }
    let last = length.min(LAST_WORDS_BYTES);
    assert_eq!(
        window.last_words(),
        output[length - last..],
        "{what}: last words"
    );
}

#[test]
fn head_and_tail_are_kept_within_the_limit() {
    for limit in [1, 2, 3, 16, 1000, 4096, 100_000] {
        for length in [
            0, 1, 2, 3, 15, 16, 17, 999, 1000, 1001, 5000, 100_000, 100_001, 300_000,
        ] {
            for (piece, every) in [(1, 7), (1000, 1), (1000, 5), (65_536, 1), (65_536, 100)] {
                if length / piece < 2_000 && length as u64 <= 300 * limit {
                    check(limit, length, piece, every);
                }
            }
        }
    }
}

#[test]
fn a_limit_of_nothing_stores_nothing() {
    let mut window = Window::new(0);
    window.push(
        Channel::Stdout,
        &Redacted::vouch(Bytes::from_static(b"anything")),
    );
    assert_eq!(window.take(), None);
    assert_eq!(window.summary(), OutputSummary { bytes: 8, cut: 8 });
}

#[test]
fn pipes_share_the_offsets_and_keep_their_names() {
    let mut window = Window::new(1 << 20);
    for (channel, text) in [
        (Channel::Stdout, "a"),
        (Channel::Stdout, "b"),
        (Channel::Stderr, "oops"),
        (Channel::Stdout, "c"),
    ] {
        window.push(
            channel,
            &Redacted::vouch(Bytes::from_static(text.as_bytes())),
        );
    }
    let batch = window.take().unwrap();
    let seen: Vec<_> = batch
        .chunks
        .iter()
        .map(|c| (c.channel, c.offset, &c.bytes.bytes()[..]))
        .collect();
    assert_eq!(
        seen,
        [
            (Channel::Stdout, 0, &b"ab"[..]),
            (Channel::Stderr, 2, &b"oops"[..]),
            (Channel::Stdout, 6, &b"c"[..])
        ]
    );
}

#[test]
fn what_was_overtaken_before_it_was_stored_is_never_stored() {
    let mut window = Window::new(1 << 20);
    let mebibyte = Redacted::vouch(Bytes::from(vec![7; 1 << 20]));
    for _ in 0..100 {
        window.push(Channel::Combined, &mebibyte);
    }
    let batch = window.take().unwrap();
    let bytes: usize = batch
        .chunks
        .iter()
        .map(|chunk| chunk.bytes.bytes().len())
        .sum();
    assert!(bytes <= 1 << 20, "{bytes}");
    assert_eq!(batch.cut, None);
    assert_eq!(window.summary().cut, 99 << 20);
}
