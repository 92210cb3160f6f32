//! During a run: which bytes of the output must not be seen?
//!
//! The low level of the contract, for plugins that scan by themselves. Most want [`crate::rules`], which decides what is
//! certain and holds the rest back.

use crate::{Channel, Result, RunInfo};

pub use crate::bindings::redaction::exports::sandclock::plugin::output_redaction::{
    Edit, Flush, Verdict,
};

/// Hides parts of one output stream.
///
/// An instance may be replaced between two calls at any time: what a later window needs to know about the bytes that
/// are decided goes into [`Verdict::carry`], not into `self`.
pub trait Redactor: Sized + 'static {
    /// Prepares for one stream: reads the configuration, compiles rules.
    ///
    /// # Errors
    /// The stream is withheld, unless the operator decided otherwise.
    fn begin(run: RunInfo, channel: Channel) -> Result<Self>;

    /// Decides a stretch of the window, from its start.
    ///
    /// # Errors
    /// The host asks once more on a fresh instance, then withholds the window.
    fn scan(&mut self, window: Window<'_>) -> Result<Verdict>;
}

/// What the host shows of a stream: the bytes that are not decided yet, then new ones.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// At most 64 KiB.
    pub bytes: &'a [u8],
    /// `bytes[fresh_from..]` was not in the window before.
    pub fresh_from: usize,
    /// Whether more may come.
    pub flush: Flush,
    /// [`Verdict::carry`] of the stream's last verdict; empty at first.
    pub carry: &'a [u8],
}

/// Longest [`Edit::replacement`] and [`Edit::rule`], in bytes.
pub const MAX_REPLACEMENT_BYTES: usize = 64;
/// Most edits of one verdict.
pub const MAX_EDITS: usize = 4096;
/// Longest [`Verdict::carry`], in bytes.
pub const MAX_CARRY_BYTES: usize = 256;
/// Longest window, in bytes.
pub const MAX_WINDOW_BYTES: usize = 64 << 10;

impl Verdict {
    /// Releases the first `consumed` bytes as they are.
    #[must_use]
    pub fn release(consumed: usize) -> Self {
        Self {
            edits: Vec::new(),
            consumed: offset(consumed),
            carry: Vec::new(),
        }
    }

    /// Hides `len` bytes from `start` behind `replacement`; edits come in order and do not overlap.
    #[must_use]
    pub fn hide(mut self, start: usize, len: usize, replacement: &str, rule: &str) -> Self {
        self.edits.push(Edit {
            start: offset(start),
            len: offset(len),
            replacement: replacement.to_owned(),
            rule: rule.to_owned(),
        });
        self
    }
}

/// An offset within a window, which is far smaller than 4 GiB.
pub(crate) fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
