//! Stored output as a reader gets it: in order, and with what is missing said where it is missing.

use bytes::{BufMut, BytesMut};
use sandclock_core::backend::runs::OutputChunk;

/// What comes next in a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The next attempt begins; never said of the first one that has output.
    Attempt(u32),
    /// So many bytes of the attempt are not stored.
    Cut(u64),
    /// Output.
    Chunk(&'a OutputChunk),
}

impl Part<'_> {
    /// Adds it as text.
    pub fn write_to(&self, text: &mut BytesMut) {
        match self {
            Part::Attempt(attempt) => {
                text.put_slice(format!("\n[sandclock: attempt {attempt}]\n").as_bytes());
            }
            Part::Cut(bytes) => text.put_slice(cut_marker(*bytes).as_bytes()),
            Part::Chunk(chunk) => text.put_slice(chunk.bytes.bytes()),
        }
    }
}

/// How far a reader is in a run's output.
#[derive(Debug, Default)]
pub struct Transcript {
    attempt: u32,
    end: u64,
}

impl Transcript {
    /// For a reader who has this attempt up to here, and those before it.
    pub fn from(attempt: u32, end: u64) -> Self {
        Self { attempt, end }
    }

    /// The next chunk, in the order of attempts and numbers, and what is to be said before it.
    pub fn next<'a>(
        &mut self,
        attempt: u32,
        chunk: &'a OutputChunk,
    ) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let before = self.come_to(attempt, chunk.offset);
        self.end = chunk.offset + chunk.bytes.bytes().len() as u64;
        before.chain([Part::Chunk(chunk)])
    }

    /// What is to be said at the end of a run whose last attempt printed so many bytes: a run log that
    /// was away may lack the last of them.
    pub fn end(
        &mut self,
        attempt: u32,
        printed: u64,
    ) -> impl Iterator<Item = Part<'static>> + use<> {
        // An attempt that printed nothing has no place in a transcript.
        let known = printed > 0 || attempt == self.attempt;
        known
            .then(|| self.come_to(attempt, printed))
            .into_iter()
            .flatten()
    }

    fn come_to<'a>(
        &mut self,
        attempt: u32,
        offset: u64,
    ) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let is_another = attempt != self.attempt;
        let is_further = is_another && self.attempt != 0;
        if is_another {
            (self.attempt, self.end) = (attempt, 0);
        }
        let cut = offset.saturating_sub(self.end);
        let attempt = is_further.then_some(Part::Attempt(attempt));
        attempt
            .into_iter()
            .chain((cut > 0).then_some(Part::Cut(cut)))
    }
}

/// The line that stands for output that is not stored.
pub fn cut_marker(bytes: u64) -> String {
    format!("\n[{bytes} bytes of output are not stored]\n")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sandclock_core::ports::{Channel, Redacted};

    use super::*;

    fn chunk(offset: u64, text: &str) -> OutputChunk {
        OutputChunk {
            seq: 0,
            channel: Channel::Combined,
            offset,
            bytes: Redacted::vouch(Bytes::copy_from_slice(text.as_bytes())),
        }
    }

    #[test]
    fn what_is_missing_is_said_where_it_is_missing() {
        let chunks = [
            (1, chunk(0, "head")),
            (1, chunk(10, "tail")),
            (3, chunk(2, "late")),
        ];
        let ends = [
            ((3, 6), ""),
            ((3, 9), "\n[3 bytes of output are not stored]\n"),
            ((4, 0), ""),
            (
                (4, 5),
                "\n[sandclock: attempt 4]\n\n[5 bytes of output are not stored]\n",
            ),
        ];
        for ((attempt, printed), end) in ends {
            let mut transcript = Transcript::default();
            let mut text = BytesMut::new();
            for (attempt, chunk) in &chunks {
                for part in transcript.next(*attempt, chunk) {
                    part.write_to(&mut text);
                }
            }
            for part in transcript.end(attempt, printed) {
                part.write_to(&mut text);
            }
            let expected = format!(
                "head\n[6 bytes of output are not stored]\ntail\n[sandclock: attempt 3]\n\n[2 bytes of output are not stored]\nlate{end}"
            );
            assert_eq!(text, expected.as_bytes());
        }
    }
}
