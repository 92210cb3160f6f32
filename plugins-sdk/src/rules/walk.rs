//! Where a match that begins here ends.
//!
//! A walk follows a machine from one position until it dies. Two walks that stand in the same state at the same
//! byte have the same future, so a walk ends where it meets the trail of the one before. Without that, a rule such
//! as `[a-z]{20,}` would walk a long word once for each of its letters.

use core::cmp::Reverse;

use super::MAX_MATCH_BYTES;
use super::machine::Machine;
use crate::Result;

/// How far a walk came, and the longest match on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) fate: Fate,
    pub(super) found: Option<Match>,
}

/// Why a walk is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// No longer match is possible.
    Over,
    /// The bytes ran out first. The match is the one that stands if nothing follows.
    Open,
    /// [`MAX_MATCH_BYTES`] did not decide it.
    Long,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) end: usize,
    pub(super) rule: usize,
}

impl Walk {
    /// What no machine says.
    pub(super) const NONE: Self = Self {
        fate: Fate::Over,
        found: None,
    };

    /// What two machines say about one position: as if they were one. Of equally long matches that of the first rule counts.
    pub(super) fn and(self, other: Self) -> Self {
        let found = [self.found, other.found].into_iter().flatten();
        Self {
            fate: self.fate.max(other.fate),
            found: found.max_by_key(|found| (found.end, Reverse(found.rule))),
        }
    }
}

/// Walks one machine through the windows of a stream.
#[derive(Debug)]
pub(super) struct Walker<M: Machine> {
    machine: M,
    /// The rules of the machine among all rules, in the same order.
    rules: Vec<usize>,
    trail: Trail<M::State>,
    scratch: Vec<M::State>,
    era: usize,
}

/// The walk that went furthest.
#[derive(Debug)]
struct Trail<S> {
    /// Its states after each byte from `base` on. Those before `from` belong to older walks.
    states: Vec<S>,
    base: usize,
    from: usize,
    best: Option<Match>,
}

impl<M: Machine> Walker<M> {
    pub(super) fn new(machine: M, rules: Vec<usize>) -> Self {
        let era = machine.era();
        Self {
            machine,
            rules,
            trail: Trail::new(),
            scratch: Vec::new(),
            era,
        }
    }

    /// Forgets the trail: another window begins.
    pub(super) fn reset(&mut self) {
        self.trail.states.clear();
    }

    /// Follows the matches that begin at `at`, which lies behind all walks of this window so far.
    pub(super) fn walk(&mut self, bytes: &[u8], at: usize) -> Result<Walk> {
        if self.machine.era() != self.era {
            self.era = self.machine.era();
            self.reset();
        }
        self.scratch.clear();
        let mut state = self.machine.start()?;
        let mut found = None;
        let limit = bytes.len().min(at + MAX_MATCH_BYTES);
        for (i, &byte) in bytes.iter().enumerate().take(limit).skip(at) {
            let Some(next) = self.machine.next(state, byte)? else {
                return Ok(self.died(at, found));
            };
            state = next;
            if let Some(rule) = self.machine.seen(state) {
                found = self.matched(i, rule);
            }
            // States from before a change of era compare with nothing.
            if self.trail.holds(i, state) && self.machine.era() == self.era {
                let found = self.trail.join(at, &self.scratch, found);
                return Ok(Walk {
                    fate: Fate::Over,
                    found,
                });
            }
            self.scratch.push(state);
        }
        if limit < bytes.len() {
            let fate = Fate::Long;
            return Ok(Walk { fate, found });
        }
        if let Some(rule) = self.machine.ends(state)? {
            found = self.matched(limit, rule);
        }
        let fate = Fate::Open;
        Ok(Walk { fate, found })
    }

    fn matched(&self, end: usize, rule: usize) -> Option<Match> {
        let rule = *self.rules.get(rule)?;
        Some(Match { end, rule })
    }

    /// The walk from `at` died alone: it is the new trail if it went further than the old one.
    fn died(&mut self, at: usize, found: Option<Match>) -> Walk {
        if at + self.scratch.len() > self.trail.end() && self.machine.era() == self.era {
            core::mem::swap(&mut self.trail.states, &mut self.scratch);
            (self.trail.base, self.trail.from) = (at, at);
            self.trail.best = found;
        }
        let fate = Fate::Over;
        Walk { fate, found }
    }
}

impl<S: Copy + PartialEq> Trail<S> {
    const fn new() -> Self {
        Self {
            states: Vec::new(),
            base: 0,
            from: 0,
            best: None,
        }
    }

    fn end(&self) -> usize {
        if self.states.is_empty() {
            return 0;
        }
        self.base + self.states.len()
    }

    /// Whether it is in `state` after byte `i` too.
    fn holds(&self, i: usize, state: S) -> bool {
        let known = i.checked_sub(self.base).filter(|_| i >= self.from);
        known.and_then(|known| self.states.get(known)) == Some(&state)
    }

    /// The walk from `at` over `states` goes on as this one from there on: its best is that of the trail if it lies ahead. The
    /// trail is now that of this walk.
    fn join(&mut self, at: usize, states: &[S], found: Option<Match>) -> Option<Match> {
        let begin = at - self.base;
        if let Some(same) = self.states.get_mut(begin..begin + states.len()) {
            same.copy_from_slice(states);
        }
        self.from = at;
        let i = at + states.len();
        self.best = self.best.filter(|ahead| ahead.end > i).or(found);
        self.best
    }
}
