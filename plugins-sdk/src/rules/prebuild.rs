//! Compiles rules at build time, into the tables of [`Prebuilt`](super::Prebuilt).
//!
//! The automaton is the one that regex-automata determines; here it is only written down, state by state.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;

use super::{Builder, Tail, pattern};
use crate::Result;

/// What [`Prebuilt`](super::Prebuilt) refers to.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) states: Vec<(u16, u16, u16)>,
    pub(super) edges: Vec<(u8, u8, u16)>,
}

impl Builder {
    /// Compiles the set into an expression of type [`Prebuilt`](super::Prebuilt), for a build script to write into a file of `OUT_DIR` and
    /// for the plugin to `include!`.
    ///
    /// # Errors
    /// The set holds a prebuilt one, or it is too large for a table.
    pub fn prebuild(&self) -> Result<String> {
        if !self.prebuilt.is_empty() {
            return Err("a prebuilt set cannot hold another".into());
        }
        let patterns: Vec<Hir> = self.patterns.iter().map(|(_, hir)| hir.clone()).collect();
        let Tables { states, edges } = tables(&patterns)?;
        let mut rules = String::new();
        for rule in &self.rules {
            write!(rules, "({:?}, {}), ", rule.name, rule.tail == Tail::Armour)?;
        }
        Ok(format!(
            "::sandclock_plugin_sdk::rules::Prebuilt::new(&[{rules}], &{states:?}, &{edges:?})"
        ))
    }
}

pub(super) fn tables(patterns: &[Hir]) -> Result<Tables> {
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Anchored)
        .minimize(true);
    let dfa = dense::Builder::new()
        .configure(config)
        .build_from_nfa(&pattern::nfa(patterns)?)?;
    let start = dfa.start_state(&start::Config::new().anchored(Anchored::Yes))?;
    let mut ids = vec![start];
    let mut numbers = BTreeMap::from([(start, 0_u16)]);
    let mut tables = Tables::default();
    while let Some(&id) = ids.get(tables.states.len()) {
        let edges = small(tables.edges.len())?;
        let late = first_rule(&dfa, dfa.next_eoi_state(id))?;
        tables.states.push((first_rule(&dfa, id)?, late, edges));
        let to: Vec<(u8, StateID)> = (0..=u8::MAX)
            .map(|byte| (byte, dfa.next_state(id, byte)))
            .collect();
        for same in to.chunk_by(|a, b| a.1 == b.1) {
            let (Some(&(first, next)), Some(&(last, _))) = (same.first(), same.last()) else {
                continue;
            };
            if dfa.is_dead_state(next) {
                continue;
            }
            let number = match numbers.get(&next) {
                Some(&number) => number,
                None => {
                    let number = small(ids.len())?;
                    numbers.insert(next, number);
                    ids.push(next);
                    number
                }
            };
            tables.edges.push((first, last, number));
        }
    }
    Ok(tables)
}

/// 1 + the first rule with a match that is seen in this state, 0 for none.
fn first_rule(dfa: &dense::DFA<Vec<u32>>, state: StateID) -> Result<u16> {
    if !dfa.is_match_state(state) {
        return Ok(0);
    }
    let rules = (0..dfa.match_len(state)).map(|at| dfa.match_pattern(state, at).as_usize() + 1);
    small(rules.min().unwrap_or_default())
}

fn small(number: usize) -> Result<u16> {
    let why = |_| "the set is too large: at most 65,535 states, ranges of bytes and rules".into();
    u16::try_from(number).map_err(why)
}
