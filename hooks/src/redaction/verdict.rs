//! The contract of a verdict: checked on every call, because a plugin may only hide.

use bytes::{Bytes, BytesMut};

use crate::failure::Failure;
use crate::host::output_redaction::{Flush, Verdict};
use crate::limits::{CARRY_BYTES, EDITS, REPLACEMENT_BYTES};
use crate::text;

/// Whether `verdict` is an answer to a window of `len` bytes.
///
/// # Errors
/// Names the first rule that it breaks.
pub(super) fn check(verdict: &Verdict, len: usize, flush: Flush) -> Result<(), Failure> {
    let consumed = verdict.consumed as usize;
    let broken = |rule: String| Err(Failure::invalid(rule));
    if consumed > len {
        return broken(format!("consumed {consumed} of {len} bytes"));
    }
    match flush {
        Flush::More => {}
        Flush::Full if consumed * 2 < len => {
            return broken(format!(
                "consumed {consumed} of a full window of {len} bytes"
            ));
        }
        Flush::Last if consumed < len => {
            return broken(format!("consumed {consumed} of the last {len} bytes"));
        }
        Flush::Full | Flush::Last => {}
    }
    if verdict.edits.len() > EDITS {
        return broken(format!(
            "{} edits, at most {EDITS} are allowed",
            verdict.edits.len()
        ));
    }
    if verdict.carry.len() > CARRY_BYTES {
        return broken(format!(
            "carry has {} bytes, at most {CARRY_BYTES} are allowed",
            verdict.carry.len()
        ));
    }
    let mut decided = 0_u64;
    for (number, edit) in verdict.edits.iter().enumerate() {
        let (start, end) = (
            u64::from(edit.start),
            u64::from(edit.start) + u64::from(edit.len),
        );
        let rule = if edit.len == 0 {
            "hides nothing"
        } else if start < decided {
            "begins before the end of the one before it"
        } else if end > u64::from(verdict.consumed) {
            "ends behind what is consumed"
        } else if edit.replacement.len() > REPLACEMENT_BYTES || edit.rule.len() > REPLACEMENT_BYTES
        {
            "has more than 64 bytes of text"
        } else if !text::is_plain(&edit.replacement) || !text::is_plain(&edit.rule) {
            "has text with control or invisible characters"
        } else {
            decided = end;
            continue;
        };
        return broken(format!("edit {number} {rule}"));
    }
    Ok(())
}

/// The consumed part of the window with its edits made; `verdict` has passed [`check`].
pub(super) fn apply(verdict: &Verdict, window: &Bytes) -> Bytes {
    let consumed = verdict.consumed as usize;
    if verdict.edits.is_empty() {
        return window.slice(..consumed);
    }
    let mut out = BytesMut::with_capacity(consumed);
    let mut at = 0;
    for edit in &verdict.edits {
        let start = edit.start as usize;
        out.extend_from_slice(window.get(at..start).unwrap_or_default());
        out.extend_from_slice(edit.replacement.as_bytes());
        at = start + edit.len as usize;
    }
    out.extend_from_slice(window.get(at..consumed).unwrap_or_default());
    out.freeze()
}

/// How many bytes it hides.
pub(super) fn hidden_bytes(verdict: &Verdict) -> u64 {
    verdict.edits.iter().map(|edit| u64::from(edit.len)).sum()
}
