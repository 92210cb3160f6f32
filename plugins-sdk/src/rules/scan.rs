//! From walks to a verdict: which stretches are hidden, how far the window is decided, what the next one has to know.

use super::walk::{Fate, Match, Walk};
use super::{MAX_MATCH_BYTES, Rule, Rules, Tail};
use crate::Result;
use crate::redaction::{Flush, MAX_EDITS, Verdict, Window};

/// What a window has to know about the bytes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Carry {
    /// The byte before the window is hidden, and its label written.
    hidden: bool,
    /// So many bytes from the start of the window are hidden as well.
    ahead: u16,
    /// A match became too long: what continues it is hidden.
    tail: Option<Tail>,
}

impl Carry {
    fn decode(bytes: &[u8]) -> Result<Self> {
        let &[hidden, tail, high, low] = bytes else {
            return if bytes.is_empty() {
                Ok(Self::default())
            } else {
                Err(format!("carry of {} bytes is not of these rules", bytes.len()).into())
            };
        };
        let tail = match tail {
            b'l' => Some(Tail::Line),
            b'a' => Some(Tail::Armour),
            _ => None,
        };
        Ok(Self {
            hidden: hidden == b'h',
            ahead: u16::from_be_bytes([high, low]),
            tail,
        })
    }

    fn encode(self) -> Vec<u8> {
        if self == Self::default() {
            return Vec::new();
        }
        let [high, low] = self.ahead.to_be_bytes();
        let tail = match self.tail {
            Some(Tail::Line) => b'l',
            Some(Tail::Armour) => b'a',
            None => b'-',
        };
        vec![if self.hidden { b'h' } else { b'-' }, tail, high, low]
    }
}

impl Tail {
    /// How many bytes continue a match that became too long.
    fn run(self, bytes: &[u8]) -> usize {
        let continues = |byte: u8| match self {
            Self::Line => byte != b'\n',
            Self::Armour => byte.is_ascii_alphanumeric() || b"+/=-\\ \t\r\n".contains(&byte),
        };
        bytes
            .iter()
            .position(|&byte| !continues(byte))
            .unwrap_or(bytes.len())
    }
}

/// Why a stretch is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It goes on from before the window, where its label stands.
    Continues,
    /// The longest match at its start is of this rule.
    Rule(usize),
    /// No rule has matched when the candidate became too long.
    Unfinished,
}

impl From<Option<Match>> for Why {
    fn from(found: Option<Match>) -> Self {
        found.map_or(Self::Unfinished, |found| Self::Rule(found.rule))
    }
}

/// The stretches to hide, in order, joined where they overlap or touch.
struct Cover<'r> {
    rules: &'r [Rule],
    before: Carry,
    stretches: Vec<(usize, usize, Why)>,
}

impl<'r> Cover<'r> {
    fn new(rules: &'r [Rule], before: Carry) -> Self {
        let mut stretches = Vec::new();
        if before.hidden {
            stretches.push((0, usize::from(before.ahead), Why::Continues));
        }
        Self {
            rules,
            before,
            stretches,
        }
    }

    fn hide(&mut self, start: usize, end: usize, why: Why) {
        match self.stretches.last_mut() {
            Some((_, last, _)) if start <= *last => *last = end.max(*last),
            _ => self.stretches.push((start, end, why)),
        }
    }

    /// Label and rule name of a stretch.
    fn words(&self, why: Why) -> (&str, &str) {
        match why {
            Why::Continues => ("", "continues"),
            Why::Rule(rule) => self
                .rules
                .get(rule)
                .map_or(("", ""), |rule| (&rule.label, &rule.name)),
            Why::Unfinished => ("[redacted:unfinished]", "unfinished"),
        }
    }

    /// Cuts the stretches off at `consumed`.
    fn verdict(self, consumed: usize, tail: Option<Tail>) -> Verdict {
        let mut verdict = Verdict::release(consumed);
        if consumed == 0 {
            verdict.carry = self.before.encode();
            return verdict;
        }
        let mut after = Carry {
            tail,
            ..Carry::default()
        };
        for &(start, end, why) in self.stretches.iter().filter(|stretch| stretch.0 < consumed) {
            if start < end {
                let (label, name) = self.words(why);
                verdict = verdict.hide(start, end.min(consumed) - start, label, name);
            }
            after.hidden = end >= consumed;
            after.ahead = u16::try_from(end.saturating_sub(consumed)).unwrap_or(u16::MAX);
        }
        verdict.carry = after.encode();
        verdict
    }
}

impl Rules {
    /// Decides what is certain of the window; under [`Flush::Full`] and [`Flush::Last`] as much as is due.
    ///
    /// # Errors
    /// The carry is not one of these rules, or the automaton gives up.
    pub fn scan(&mut self, window: Window<'_>) -> Result<Verdict> {
        let Window {
            bytes,
            flush,
            carry,
            ..
        } = window;
        let carry = Carry::decode(carry)?;
        if bytes.is_empty() {
            return Ok(Verdict {
                carry: carry.encode(),
                ..Verdict::release(0)
            });
        }
        let mut cover = Cover::new(&self.rules, carry);
        let mut at = 0;
        if let Some(tail) = carry.tail {
            at = tail.run(bytes);
            cover.hide(0, at, Why::Continues);
            if at == bytes.len() {
                return Ok(cover.verdict(at, Some(tail)));
            }
        }
        self.automata.reset();
        while let Some(start) = self.automata.candidate(bytes, at) {
            at = start + 1;
            if cover.stretches.len() >= MAX_EDITS - 1 {
                return Ok(too_many(cover, start, bytes.len(), flush));
            }
            let Walk { fate, found } = self.automata.walk(bytes, start)?;
            match fate {
                Fate::Open if flush == Flush::Full && start < bytes.len() / 2 => {
                    cover.hide(start, bytes.len(), found.into());
                    return Ok(cover.verdict(bytes.len(), Some(Tail::Line)));
                }
                Fate::Open if flush != Flush::Last => return Ok(cover.verdict(start, None)),
                Fate::Open | Fate::Over => {
                    if let Some(found) = found {
                        cover.hide(start, found.end, Why::Rule(found.rule));
                    }
                }
                Fate::Long => {
                    let rule = found.and_then(|found| self.rules.get(found.rule));
                    let tail = rule.map_or(Tail::Line, |rule| rule.tail);
                    let from = start + MAX_MATCH_BYTES;
                    at = from + tail.run(bytes.get(from..).unwrap_or_default());
                    cover.hide(start, at, found.into());
                    if at == bytes.len() {
                        return Ok(cover.verdict(at, Some(tail)));
                    }
                }
            }
        }
        Ok(cover.verdict(bytes.len(), None))
    }
}

/// More stretches than one verdict may have: the rest waits for the next window, and if there is none it is hidden.
fn too_many(mut cover: Cover<'_>, start: usize, len: usize, flush: Flush) -> Verdict {
    if flush == Flush::More || (flush == Flush::Full && start >= len / 2) {
        return cover.verdict(start, None);
    }
    cover.hide(start, len, Why::Unfinished);
    cover.verdict(len, None)
}
