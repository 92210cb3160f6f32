//! Which trace something belongs to, as the W3C's Trace Context (level 1) has it: `00-TRACE-SPAN-FLAGS`.
//!
//! Whoever decides, runs, copies and alerts may be different processes, and none tells another of a trace: it follows from
//! the run. A run's trace is its id, which has the 128 bits that a trace has. A run that a request asked for belongs to the
//! trace of that request: its `traceparent` is what the run's request id begins with, so every store carries it.

use std::fmt;

use sandclock_core::run::{RunId, RunKey, hex};
use sha2::{Digest as _, Sha256};

/// How many characters of an id are random, behind the `traceparent` in it: one span may ask for a job twice.
const APART: usize = 8;

/// A place in a trace: something that spans may stand below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; never 0.
    pub trace: u128,
    /// The span; never 0.
    pub span: u64,
    /// Whether whoever began the trace keeps it.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads a header. `None` if it is not of version 00, or of a later one in its form.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let fine = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            part.bytes().all(fine).then_some(part)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // A later version may have more behind these; what it has in them means the same.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }

    /// The id of a request for a run that belongs here: no other request has it.
    pub fn request_id(self) -> String {
        let apart = crate::random::token_hex(APART / 2);
        format!("{self}-{apart}")
    }

    /// The place that the id of a request for a run names, if it names one.
    fn of_request(id: &str) -> Option<Self> {
        let (place, apart) = id.rsplit_once('-')?;
        let version = place.starts_with("00-") && apart.len() == APART;
        version.then(|| Self::read(place)).flatten()
    }
}

/// The header.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace, self.span)
    }
}

/// A run's part of a trace: its own span, and what that stands below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunTrace {
    /// The span of the run as a whole, from its fire time to its end. Everything that happens to it is below it.
    pub whole: TraceParent,
    /// The span that asked for it.
    pub asked: Option<TraceParent>,
}

impl RunTrace {
    /// Of this run.
    pub fn of(run: &RunId, key: &RunKey) -> Self {
        let asked = match key {
            RunKey::Tick(_) => None,
            RunKey::Request(id) => TraceParent::of_request(id),
        };
        let own = Self::of_id(run);
        let whole = asked.map_or(own, |asked| TraceParent {
            span: own.span,
            ..asked
        });
        Self { whole, asked }
    }

    /// Of a run of which the id alone is known: right for every tick.
    pub fn of_id(run: &RunId) -> TraceParent {
        let id = u128::from_str_radix(run.as_str(), 16).unwrap_or_default();
        TraceParent {
            // No hash that anybody has seen is 0, but a trace must not be.
            trace: id.max(1),
            span: derived(run, "whole"),
            sampled: true,
        }
    }

    /// The span of an attempt's command, known before it begins: the command is told of it.
    pub fn attempt(&self, run: &RunId, attempt: u32) -> TraceParent {
        TraceParent {
            span: derived(run, &attempt.to_string()),
            ..self.whole
        }
    }
}

/// The id of a span that every process gives the same name.
fn derived(run: &RunId, what: &str) -> u64 {
    let hash = Sha256::digest(format!("{run} {what}").as_bytes());
    u64::from_str_radix(&hex(&hash, 8), 16)
        .unwrap_or_default()
        .max(1)
}

#[cfg(test)]
mod tests {
    use sandclock_core::Timestamp;
    use sandclock_core::job::JobName;

    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_header_is_read_as_the_standard_says() {
        let read = TraceParent::read(GIVEN).unwrap();
        assert_eq!(read.to_string(), GIVEN);
        assert!(read.sampled);
        let of = |text: String| TraceParent::read(&text);
        assert!(!of(GIVEN.replace("-01", "-00")).unwrap().sampled);
        assert_eq!(of(GIVEN.replacen("00", "cc", 1) + "-more"), Some(read));
        for wrong in [
            String::new(),
            GIVEN.to_uppercase(),
            GIVEN.replacen("00", "ff", 1),
            format!("{GIVEN}-more"),
            GIVEN.replace("b7ad6b7169203331", "0000000000000000"),
            GIVEN.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            GIVEN.replace("b7", "b"),
            GIVEN.replace("b7", "+7"),
        ] {
            assert_eq!(of(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn a_request_carries_the_place_of_who_asked_and_a_tick_has_its_own() {
        let given = TraceParent::read(GIVEN).unwrap();
        let (one, other) = (given.request_id(), given.request_id());
        assert_ne!(one, other);
        assert_eq!(one.len(), 64, "what a request id may have");
        let job = JobName::existing("job");
        let trace = |key: RunKey| {
            let run = RunId::of(&job, &key);
            (RunTrace::of(&run, &key), run)
        };
        let (asked, run) = trace(RunKey::Request(one));
        assert_eq!(asked.asked, Some(given));
        assert_eq!(asked.whole.trace, given.trace);
        assert_ne!(asked.whole.span, given.span);
        assert_ne!(asked.attempt(&run, 1), asked.attempt(&run, 2));
        let key = RunKey::Tick(Timestamp::from_millis(1_000));
        let (tick, run) = trace(key);
        assert_eq!(tick.asked, None);
        assert_eq!(format!("{:032x}", tick.whole.trace), run.as_str());
        assert_eq!(RunTrace::of_id(&run), tick.whole);
        let (plain, _) = trace(RunKey::Request("5f".repeat(16)));
        assert_eq!(plain.asked, None);
    }
}
