//! The host's side of a stream: builds the windows, checks each answer against the contract, applies it.
//!
//! A redactor is right only if its output does not depend on how the bytes arrive. [`check_chunkings`] is that promise
//! as a test: every split in two, single bytes, and a thousand random chunkings with instances replaced on the way.

use super::Host;
use crate::redaction::{
    Flush, MAX_CARRY_BYTES, MAX_EDITS, MAX_REPLACEMENT_BYTES, MAX_WINDOW_BYTES, Redactor, Verdict,
    Window,
};
use crate::{Channel, Result};

/// One output stream. Each piece may go through another instance, since a redactor keeps nothing of a stream.
#[derive(Debug)]
pub struct Stream<'a> {
    host: &'a Host,
    window: Vec<u8>,
    carry: Vec<u8>,
    output: Vec<u8>,
}

/// An instance of `T` for a stream of [`super::run`].
///
/// # Errors
/// Those of [`Redactor::begin`].
pub fn begin<T: Redactor>(host: &Host) -> Result<T> {
    host.call(|| T::begin(super::run(), Channel::Combined))
}

impl<'a> Stream<'a> {
    /// An empty stream.
    #[must_use]
    pub fn new(host: &'a Host) -> Self {
        Self {
            host,
            window: Vec::new(),
            carry: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Bytes that are not decided yet.
    #[must_use]
    pub fn undecided(&self) -> usize {
        self.window.len()
    }

    /// Shows new bytes to the redactor.
    ///
    /// # Errors
    /// Those of [`Redactor::scan`], and a verdict that breaks the contract.
    pub fn push(&mut self, redactor: &mut impl Redactor, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let space = MAX_WINDOW_BYTES - self.window.len();
            let (now, later) = bytes.split_at(space.min(bytes.len()));
            let fresh_from = self.window.len();
            self.window.extend_from_slice(now);
            bytes = later;
            self.scan(redactor, fresh_from, Flush::More)?;
            if self.window.len() == MAX_WINDOW_BYTES {
                self.scan(redactor, MAX_WINDOW_BYTES, Flush::Full)?;
            }
        }
        Ok(())
    }

    /// Ends the stream and gives all of its output.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(mut self, redactor: &mut impl Redactor) -> Result<Vec<u8>> {
        self.scan(redactor, self.window.len(), Flush::Last)?;
        Ok(self.output)
    }

    fn scan(
        &mut self,
        redactor: &mut impl Redactor,
        fresh_from: usize,
        flush: Flush,
    ) -> Result<()> {
        let window = Window {
            bytes: &self.window,
            fresh_from,
            flush,
            carry: &self.carry,
        };
        let verdict = self.host.call(|| redactor.scan(window))?;
        check(&verdict, self.window.len(), flush)?;
        let mut released = 0;
        for edit in &verdict.edits {
            let start = edit.start as usize;
            self.output
                .extend(self.window.get(released..start).unwrap_or_default());
            self.output.extend(edit.replacement.bytes());
            released = start + edit.len as usize;
        }
        let consumed = verdict.consumed as usize;
        self.output
            .extend(self.window.get(released..consumed).unwrap_or_default());
        self.window.drain(..consumed);
        self.carry = verdict.carry;
        Ok(())
    }
}

/// The rules that the real host enforces on every verdict.
fn check(verdict: &Verdict, window: usize, flush: Flush) -> Result<()> {
    let consumed = verdict.consumed as usize;
    if consumed > window {
        return Err(format!("consumed {consumed} of {window} bytes").into());
    }
    match flush {
        Flush::Full if consumed < window / 2 => {
            return Err(
                format!("consumed {consumed} of a full window: at least half is due").into(),
            );
        }
        Flush::Last if consumed < window => {
            return Err(format!("consumed {consumed} of the last {window} bytes").into());
        }
        _ => {}
    }
    if verdict.edits.len() > MAX_EDITS {
        return Err(format!("{} edits: at most {MAX_EDITS}", verdict.edits.len()).into());
    }
    if verdict.carry.len() > MAX_CARRY_BYTES {
        return Err(format!(
            "carry of {} bytes: at most {MAX_CARRY_BYTES}",
            verdict.carry.len()
        )
        .into());
    }
    let mut free_from = 0_u64;
    for edit in &verdict.edits {
        let end = u64::from(edit.start) + u64::from(edit.len);
        if u64::from(edit.start) < free_from || end > u64::from(verdict.consumed) {
            return Err(
                format!("edit {edit:?} overlaps, is unsorted or is beyond consumed").into(),
            );
        }
        if edit.replacement.len() > MAX_REPLACEMENT_BYTES
            || edit.replacement.chars().any(char::is_control)
        {
            return Err(format!("edit {edit:?}: up to 64 bytes of printable text").into());
        }
        free_from = end;
    }
    Ok(())
}

/// The output of `T` for `chunks`.
///
/// # Errors
/// As [`Stream::push`].
pub fn redact<'c, T: Redactor>(
    host: &Host,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Result<Vec<u8>> {
    run(host, &mut begin::<T>(host)?, chunks)
}

fn run<'c>(
    host: &Host,
    redactor: &mut impl Redactor,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Result<Vec<u8>> {
    let mut stream = Stream::new(host);
    for chunk in chunks {
        stream.push(redactor, chunk)?;
    }
    stream.finish(redactor)
}

/// The output of `T` for `input`, the same for every split in two, for single bytes, and for 1,000 random chunkings whose pieces go
/// through two instances at random.
///
/// # Errors
/// The first chunking with another output, or an error of the redactor.
pub fn check_chunkings<T: Redactor>(host: &Host, input: &[u8]) -> Result<Vec<u8>> {
    let mut instances = (begin::<T>(host)?, begin::<T>(host)?);
    let whole = run(host, &mut instances.0, [input])?;
    let same = |output: Vec<u8>, how: String| -> Result<()> {
        if output == whole {
            return Ok(());
        }
        let (got, want) = (
            String::from_utf8_lossy(&output),
            String::from_utf8_lossy(&whole),
        );
        Err(format!("{how}:\n{got}\nat once:\n{want}").into())
    };
    for at in 0..=input.len() {
        let (left, right) = input.split_at(at);
        same(
            run(host, &mut instances.1, [left, right])?,
            format!("split at {at}"),
        )?;
    }
    same(
        run(host, &mut instances.0, input.chunks(1))?,
        "single bytes".to_owned(),
    )?;
    for seed in 0..1000 {
        let mut random = SplitMix(seed);
        let mut stream = Stream::new(host);
        let mut rest = input;
        while !rest.is_empty() {
            let longest = 1 << random.below(11);
            let (chunk, later) = rest.split_at((1 + random.below(longest)).min(rest.len()));
            stream.push(&mut instances.0, chunk)?;
            rest = later;
            if random.below(4) == 0 {
                core::mem::swap(&mut instances.0, &mut instances.1);
            }
        }
        same(
            stream.finish(&mut instances.1)?,
            format!("random chunking {seed}"),
        )?;
    }
    Ok(whole)
}

/// Steele, Lea and Flood's SplitMix64: enough to draw chunk sizes, the same on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap_or_default()
    }
}
