//! All automata of a set of rules, as if they were one: what was compiled with the plugin and what came with the configuration.

use regex_syntax::hir::Hir;

use super::Prebuilt;
use super::begins::Begins;
use super::machine::{Lazy, Machine as _};
use super::walk::{Walk, Walker};
use crate::Result;

#[derive(Debug)]
pub(super) struct Automata {
    begins: Begins,
    prebuilt: Vec<Walker<&'static Prebuilt>>,
    lazy: Option<Walker<Lazy>>,
}

impl Automata {
    /// Of prebuilt sets, each with the number of its first rule, and of patterns, each with the number of its rule.
    pub(super) fn new(
        sets: Vec<(usize, &'static Prebuilt)>,
        patterns: Vec<(usize, Hir)>,
    ) -> Result<Self> {
        let mut begins = Begins::new();
        let mut prebuilt = Vec::new();
        for (first, mut set) in sets {
            set.begins(&mut begins)?;
            let rules = first..first + set.rules.len();
            prebuilt.push(Walker::new(set, rules.collect()));
        }
        let mut lazy = None;
        if !patterns.is_empty() {
            let (rules, patterns): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
            let mut machine = Lazy::new(&patterns)?;
            machine.begins(&mut begins)?;
            lazy = Some(Walker::new(machine, rules));
        }
        Ok(Self {
            begins,
            prebuilt,
            lazy,
        })
    }

    /// Another window begins.
    pub(super) fn reset(&mut self) {
        self.prebuilt.iter_mut().for_each(Walker::reset);
        self.lazy.iter_mut().for_each(Walker::reset);
    }

    /// The first position from `from` on where a match may begin.
    pub(super) fn candidate(&self, bytes: &[u8], from: usize) -> Option<usize> {
        self.begins.find(bytes, from)
    }

    /// Follows the matches of all rules that begin at `at`, which lies behind all walks of this window so far.
    pub(super) fn walk(&mut self, bytes: &[u8], at: usize) -> Result<Walk> {
        let mut all = Walk::NONE;
        for walker in &mut self.prebuilt {
            all = all.and(walker.walk(bytes, at)?);
        }
        if let Some(walker) = &mut self.lazy {
            all = all.and(walker.walk(bytes, at)?);
        }
        Ok(all)
    }
}
