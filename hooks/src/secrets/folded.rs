//! A window without the line ends in the middle of a code, as base64 and hexadecimal are wrapped.
//!
//! Where a tool breaks a code depends on what it encodes before the secret, so the break may be anywhere in
//! it. What is searched here is the window less those line ends that stand between two characters of a code;
//! what is found there is told in places of the window. Whether a line end is taken out depends on its two
//! neighbours alone, so that a stream folds in the same way however it is cut.

use memchr::memchr3_iter;

use super::needles::Span;

/// A window on one line.
pub(super) struct Folded {
    bytes: Vec<u8>,
    /// For each line end: where in `bytes` it was, and how many bytes are missing up to and with it.
    missing: Vec<(usize, usize)>,
}

impl Folded {
    /// `None` if no line end stands in a code. One at the end of the window counts: the code may go on.
    pub(super) fn of(window: &[u8]) -> Option<Self> {
        let mut folded = Self {
            bytes: Vec::new(),
            missing: Vec::new(),
        };
        let mut copied = 0;
        for at in memchr3_iter(b'\r', b'\n', b'\\', window) {
            let Some((before, rest)) = window.split_at_checked(at) else {
                break;
            };
            let Some(end) = line_end(rest) else {
                continue;
            };
            let goes_on = rest.get(end).is_none_or(|after| is_code(*after));
            if goes_on && before.last().is_some_and(|last| is_code(*last)) {
                let line = before.get(copied..).unwrap_or_default();
                folded.bytes.extend_from_slice(line);
                copied = at + end;
                let missing = copied - folded.bytes.len();
                folded.missing.push((folded.bytes.len(), missing));
            }
        }
        let line = window.get(copied..).unwrap_or_default();
        folded.bytes.extend_from_slice(line);
        (!folded.missing.is_empty()).then_some(folded)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in the window a byte is.
    pub(super) fn place(&self, at: usize) -> usize {
        let before = self.missing.partition_point(|(line, _)| *line <= at);
        let missing = before
            .checked_sub(1)
            .and_then(|last| self.missing.get(last));
        at + missing.map_or(0, |(_, missing)| *missing)
    }

    /// The same stretch in the window.
    pub(super) fn unfolded(&self, span: Span) -> Span {
        Span {
            start: self.place(span.start),
            end: self.place(span.end.saturating_sub(1)) + 1,
            ..span
        }
    }
}

/// The length of the line end that `rest` begins with, also as JSON and shells write it; of what there is of it,
/// if nothing follows.
fn line_end(rest: &[u8]) -> Option<usize> {
    [b"\n".as_slice(), b"\r\n", br"\n"]
        .into_iter()
        .find(|end| rest.starts_with(end) || end.starts_with(rest))
        .map(|end| end.len().min(rest.len()))
}

const fn is_code(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}
