//! Where a match that begins here ends: one automaton over all rules, built as it is used.
//!
//! A walk follows the automaton from one position until it dies. Two walks that stand in the same state at the same
//! byte have the same future, so a walk ends where it meets the trail of the one before. Without that, a rule such
//! as `[a-z]{20,}` would walk a long word once for each of its letters.

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind, nfa::thompson};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

use super::MAX_MATCH_BYTES;
use crate::Result;

/// Bound of the compiled rules, before the automaton unfolds them.
const MAX_NFA_BYTES: usize = 8 << 20;
/// Bound of what has been unfolded; beyond it the automaton forgets and begins anew.
const CACHE_BYTES: usize = 4 << 20;

/// How far a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// No longer match is possible; the end of the longest and its rule, if any.
    Over(Option<Match>),
    /// The bytes ran out first. The match is the one that stands if nothing follows.
    Open(Option<Match>),
    /// [`MAX_MATCH_BYTES`] did not decide it.
    Long(Option<Match>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) end: usize,
    pub(super) rule: usize,
}

pub(super) struct Automaton {
    dfa: DFA,
    cache: Cache,
    start: LazyStateID,
    begins: Pairs,
    /// The walk that went furthest: its states after each byte of `from..to`, kept at the byte's own position.
    trail: Vec<LazyStateID>,
    from: usize,
    to: usize,
    best: Option<Match>,
    scratch: Vec<LazyStateID>,
    clears: usize,
}

impl core::fmt::Debug for Automaton {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Automaton")
            .field("patterns", &self.dfa.pattern_len())
            .finish_non_exhaustive()
    }
}

/// Which two bytes a match may begin with: a table that passes over ordinary text without a walk.
struct Pairs(Vec<[u64; 4]>);

impl Pairs {
    fn new(dfa: &DFA, cache: &mut Cache, start: LazyStateID) -> Result<Self> {
        let mut rows = vec![[0; 4]; 256];
        for (first, row) in (0..=u8::MAX).zip(&mut rows) {
            let state = dfa.next_state(cache, start, first)?;
            if state.is_dead() {
                continue;
            }
            for second in 0..=u8::MAX {
                let next = dfa.next_state(cache, state, second)?;
                if let Some(bits) = row
                    .get_mut(usize::from(second >> 6))
                    .filter(|_| !next.is_dead())
                {
                    *bits |= 1 << (second & 63);
                }
            }
        }
        Ok(Self(rows))
    }

    #[inline]
    fn pair(&self, first: u8, second: u8) -> bool {
        let bits = self
            .0
            .get(usize::from(first))
            .and_then(|row| row.get(usize::from(second >> 6)));
        bits.is_some_and(|bits| bits >> (second & 63) & 1 == 1)
    }

    /// Whether a match may begin with this byte, whatever follows.
    fn byte(&self, first: u8) -> bool {
        self.0
            .get(usize::from(first))
            .is_some_and(|row| row != &[0; 4])
    }
}

/// Parses a pattern and refuses what a rule cannot be, in words for its author.
pub(super) fn parse(pattern: &str) -> Result<Hir> {
    let parsed = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(pattern);
    let hir = parsed.map_err(|error| format!("pattern \"{pattern}\": {error}"))?;
    let properties = hir.properties();
    if !properties.look_set().is_empty() {
        return Err(format!(
            "pattern \"{pattern}\": ^, $, \\b and the like look at bytes that may be gone by then; \
             match the neighbouring byte itself, or leave it out"
        )
        .into());
    }
    if properties.minimum_len().is_none_or(|len| len == 0) {
        return Err(format!("pattern \"{pattern}\": has to match at least one byte").into());
    }
    Ok(hir)
}

impl Automaton {
    pub(super) fn new(patterns: &[Hir]) -> Result<Self> {
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new()
                    .utf8(false)
                    .which_captures(thompson::WhichCaptures::None)
                    .nfa_size_limit(Some(MAX_NFA_BYTES)),
            )
            .build_many_from_hir(patterns)?;
        let dfa = DFA::builder()
            .configure(
                DFA::config()
                    .match_kind(MatchKind::All)
                    .cache_capacity(CACHE_BYTES),
            )
            .build_from_nfa(nfa)?;
        let mut cache = dfa.create_cache();
        let start = dfa.start_state(&mut cache, &start::Config::new().anchored(Anchored::Yes))?;
        let begins = Pairs::new(&dfa, &mut cache, start)?;
        let (trail, scratch) = (Vec::new(), Vec::new());
        let clears = cache.clear_count();
        Ok(Self {
            dfa,
            cache,
            start,
            begins,
            trail,
            from: 0,
            to: 0,
            best: None,
            scratch,
            clears,
        })
    }

    /// Forgets the trail: another window of `len` bytes begins.
    pub(super) fn reset(&mut self, len: usize) {
        self.to = 0;
        self.trail.resize(len, self.start);
    }

    /// The first position from `from` on where a match may begin.
    pub(super) fn candidate(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let rest = bytes.get(from..)?;
        let pairs = rest
            .windows(2)
            .position(|pair| matches!(pair, &[a, b] if self.begins.pair(a, b)));
        let last = || {
            rest.last()
                .filter(|&&byte| self.begins.byte(byte))
                .map(|_| rest.len() - 1)
        };
        pairs.or_else(last).map(|at| from + at)
    }

    /// Follows the matches that begin at `at`.
    pub(super) fn walk(&mut self, bytes: &[u8], at: usize) -> Result<Walk> {
        self.forget_stale_states()?;
        self.scratch.clear();
        let mut state = self.start;
        let mut best = None;
        let limit = bytes.len().min(at + MAX_MATCH_BYTES);
        for (i, &byte) in bytes.iter().enumerate().take(limit).skip(at) {
            state = self.dfa.next_state(&mut self.cache, state, byte)?;
            if state.is_tagged() {
                if state.is_match() {
                    best = Some(Match {
                        end: i,
                        rule: self.first_rule(state),
                    });
                }
                if state.is_dead() {
                    self.keep_longer(at, best);
                    return Ok(Walk::Over(best));
                }
            }
            if self.met(i, state) {
                return Ok(Walk::Over(self.join(at, best)));
            }
            self.scratch.push(state);
        }
        if limit < bytes.len() {
            return Ok(Walk::Long(best));
        }
        let end = self.dfa.next_eoi_state(&mut self.cache, state)?;
        if end.is_match() {
            best = Some(Match {
                end: limit,
                rule: self.first_rule(end),
            });
        }
        Ok(Walk::Open(best))
    }

    /// State numbers mean nothing once the cache was cleared in the middle of a walk.
    fn forget_stale_states(&mut self) -> Result<()> {
        if self.cache.clear_count() != self.clears {
            self.clears = self.cache.clear_count();
            self.to = 0;
            let anchored = start::Config::new().anchored(Anchored::Yes);
            self.start = self.dfa.start_state(&mut self.cache, &anchored)?;
        }
        Ok(())
    }

    fn first_rule(&self, state: LazyStateID) -> usize {
        let rules = (0..self.dfa.match_len(&self.cache, state))
            .map(|i| self.dfa.match_pattern(&self.cache, state, i).as_usize());
        rules.min().unwrap_or_default()
    }

    /// Whether the trail is in `state` after byte `i` too. States from before a clearing of the cache compare with nothing.
    fn met(&self, i: usize, state: LazyStateID) -> bool {
        (self.from..self.to).contains(&i)
            && self.trail.get(i) == Some(&state)
            && self.cache.clear_count() == self.clears
    }

    /// The walk from `at` goes on as the trail does from byte `i` on: its best is the trail's if that lies ahead. The trail is now
    /// that of this walk.
    fn join(&mut self, at: usize, best: Option<Match>) -> Option<Match> {
        let i = self.write(at);
        let best = self.best.filter(|ahead| ahead.end > i).or(best);
        self.best = best;
        best
    }

    /// The walk from `at` died alone: it is the new trail if it went further than the old one.
    fn keep_longer(&mut self, at: usize, best: Option<Match>) {
        if at + self.scratch.len() > self.to && self.cache.clear_count() == self.clears {
            self.to = self.write(at);
            self.best = best;
        }
    }

    /// Writes the states of the walk from `at` into the trail and gives the position after them.
    fn write(&mut self, at: usize) -> usize {
        let end = at + self.scratch.len();
        if let Some(trail) = self.trail.get_mut(at..end) {
            trail.copy_from_slice(&self.scratch);
        }
        self.from = at;
        end
    }
}
