//! Rules that were compiled with the plugin: tables in its data, ready without any work.
//!
//! A fresh instance serves each stream, so what it prepares it prepares again and again. These tables are plain data, where the
//! serialised automata of regex-automata are bytes that a fresh instance would first have to check.

use super::begins::Begins;
use super::machine::Machine;
use crate::Result;

/// A compiled set of rules, as a build script has made it with `Builder::prebuild` (feature `prebuild`).
#[derive(Debug)]
pub struct Prebuilt {
    /// Name, and whether it is armoured.
    pub(super) rules: &'static [(&'static str, bool)],
    /// Of each state, which is its index: the first rule with a match that is seen there, the first with one that ends there, both from 1
    /// on with 0 for none, and where its edges begin, which end where those of the next begin. A match begins in the first state.
    states: &'static [(u16, u16, u16)],
    /// First and last byte, and the state that they lead to. Any other byte ends the walk.
    edges: &'static [(u8, u8, u16)],
}

impl Prebuilt {
    /// For the code that `Builder::prebuild` writes.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        rules: &'static [(&'static str, bool)],
        states: &'static [(u16, u16, u16)],
        edges: &'static [(u8, u8, u16)],
    ) -> Self {
        Self {
            rules,
            states,
            edges,
        }
    }

    /// The edges of a state.
    #[inline]
    fn edges(&self, state: u16) -> &'static [(u8, u8, u16)] {
        let state = usize::from(state);
        let begin = |state: usize| Some(usize::from(self.states.get(state)?.2));
        let end = begin(state + 1).unwrap_or(self.edges.len());
        let edges = begin(state).and_then(|begin| self.edges.get(begin..end));
        edges.unwrap_or_default()
    }
}

impl Machine for &'static Prebuilt {
    type State = u16;

    fn start(&mut self) -> Result<u16> {
        Ok(0)
    }

    #[inline]
    fn next(&mut self, state: u16, byte: u8) -> Result<Option<u16>> {
        let mut edges = self.edges(state).iter();
        let edge = edges.find(|&&(first, last, _)| first <= byte && byte <= last);
        Ok(edge.map(|&(.., to)| to))
    }

    #[inline]
    fn seen(&self, state: u16) -> Option<usize> {
        let &(seen, ..) = self.states.get(usize::from(state))?;
        usize::from(seen).checked_sub(1)
    }

    fn ends(&mut self, state: u16) -> Result<Option<usize>> {
        let ends = self
            .states
            .get(usize::from(state))
            .map_or(0, |state| state.1);
        Ok(usize::from(ends).checked_sub(1))
    }

    fn era(&self) -> usize {
        0
    }

    fn begins(&mut self, begins: &mut Begins) -> Result<()> {
        for &(a_from, a_to, state) in self.edges(0) {
            for &(b_from, b_to, state) in self.edges(state) {
                begins.add_first(a_from..=a_to, b_from..=b_to);
                for &(c_from, c_to, _) in self.edges(state) {
                    begins.add_second(b_from..=b_to, c_from..=c_to);
                }
                if self.seen(state).is_some() {
                    begins.add_second(0..=u8::MAX, 0..=u8::MAX);
                }
            }
        }
        Ok(())
    }
}
