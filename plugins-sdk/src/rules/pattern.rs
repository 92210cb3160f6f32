//! From the text of a pattern to what an automaton is built of, and what a rule cannot be.

use regex_automata::nfa::thompson::{self, NFA};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

use crate::Result;

/// Bound of the compiled rules, before an automaton unfolds them.
const MAX_NFA_BYTES: usize = 8 << 20;

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

/// All patterns side by side.
pub(super) fn nfa(patterns: &[Hir]) -> Result<NFA> {
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .nfa_size_limit(Some(MAX_NFA_BYTES))
                .which_captures(thompson::WhichCaptures::None),
        )
        .build_many_from_hir(patterns)?;
    Ok(nfa)
}
