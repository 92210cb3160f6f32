//! What a walk follows: an automaton over rules, from the byte where a match may begin.
//!
//! Two kinds: [`Lazy`] is compiled where a plugin reads its configuration and unfolds as it is used;
//! [`Prebuilt`](super::Prebuilt) was compiled with the plugin.

use core::fmt::Debug;

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;

use super::begins::Begins;
use super::pattern;
use crate::Result;

/// Bound of what [`Lazy`] has unfolded; beyond it, it forgets and begins anew.
const CACHE_BYTES: usize = 4 << 20;

/// A deterministic automaton over the rules of one set, which it numbers from 0.
pub(super) trait Machine {
    /// Where it stands: with equal states, the same bytes have the same future.
    type State: Copy + PartialEq + Debug;

    /// Before the first byte.
    fn start(&mut self) -> Result<Self::State>;

    /// After one more byte; none if nothing can match any more.
    fn next(&mut self, state: Self::State, byte: u8) -> Result<Option<Self::State>>;

    /// The first rule with a match that ended before the last byte, which is where one is seen.
    fn seen(&self, state: Self::State) -> Option<usize>;

    /// The first rule with a match that ends here, for where no byte follows.
    fn ends(&mut self, state: Self::State) -> Result<Option<usize>>;

    /// Changes when the states given out so far have lost their meaning.
    fn era(&self) -> usize;

    /// Adds what a match may begin with.
    fn begins(&mut self, begins: &mut Begins) -> Result<()>;
}

/// Unfolds as it is used.
pub(super) struct Lazy {
    dfa: DFA,
    cache: Cache,
}

impl Debug for Lazy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lazy")
            .field("patterns", &self.dfa.pattern_len())
            .finish_non_exhaustive()
    }
}

impl Lazy {
    pub(super) fn new(patterns: &[Hir]) -> Result<Self> {
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(CACHE_BYTES);
        let dfa = DFA::builder()
            .configure(config)
            .build_from_nfa(pattern::nfa(patterns)?)?;
        let cache = dfa.create_cache();
        Ok(Self { dfa, cache })
    }
}

impl Machine for Lazy {
    type State = LazyStateID;

    fn start(&mut self) -> Result<LazyStateID> {
        let anchored = start::Config::new().anchored(Anchored::Yes);
        Ok(self.dfa.start_state(&mut self.cache, &anchored)?)
    }

    #[inline]
    fn next(&mut self, state: LazyStateID, byte: u8) -> Result<Option<LazyStateID>> {
        let next = self.dfa.next_state(&mut self.cache, state, byte)?;
        Ok((!next.is_dead()).then_some(next))
    }

    #[inline]
    fn seen(&self, state: LazyStateID) -> Option<usize> {
        if !state.is_match() {
            return None;
        }
        let rules = 0..self.dfa.match_len(&self.cache, state);
        rules
            .map(|at| self.dfa.match_pattern(&self.cache, state, at).as_usize())
            .min()
    }

    fn ends(&mut self, state: LazyStateID) -> Result<Option<usize>> {
        let end = self.dfa.next_eoi_state(&mut self.cache, state)?;
        Ok(self.seen(end))
    }

    fn era(&self) -> usize {
        self.cache.clear_count()
    }

    fn begins(&mut self, begins: &mut Begins) -> Result<()> {
        let start = self.start()?;
        let mut begun = Vec::new();
        for first in 0..=u8::MAX {
            begun.extend(self.next(start, first)?.map(|state| (first, state)));
        }
        for second in 0..=u8::MAX {
            let mut possible = false;
            for &(first, state) in &begun {
                if self.next(state, second)?.is_some() {
                    begins.add_first(first..=first, second..=second);
                    possible = true;
                }
            }
            if possible {
                // Which third bytes there are is not asked: it would unfold too much.
                begins.add_second(second..=second, 0..=u8::MAX);
            }
        }
        Ok(())
    }
}
