//! Redaction by rules: shapes and words, and nothing to get wrong at the edges of a window.
//!
//! What is hidden: **every byte that lies in a match of any rule**, where at each position the longest match counts. This says
//! nothing about rules before one another, nor about how bytes arrive, so overlapping secrets leave no tail and the output is the
//! same for every chunking. Each unbroken stretch becomes one label, named after the rule whose match begins it.
//!
//! A rule sees bytes from its first one on, never what stands before, since that may have left the window. So `^`,
//! `$`, `\b` and their like are refused; Unicode classes too, because output need not be text.
//!
//! A candidate is followed for [`MAX_MATCH_BYTES`]. If it has not ended by then it is hidden as far as it goes: to the end of the
//! line, or of the armour. The rest of a secret is never released because the secret was long.

mod automata;
mod begins;
mod machine;
mod pattern;
#[cfg(any(test, feature = "prebuild"))]
mod prebuild;
mod prebuilt;
mod scan;
#[cfg(test)]
mod tests;
mod walk;

pub use prebuilt::Prebuilt;

use crate::Result;
use automata::Automata;
use regex_syntax::hir::Hir;

/// How far a match is followed before all that may belong to it is hidden.
pub const MAX_MATCH_BYTES: usize = 8 << 10;
/// Longest name of a rule: its label has to fit a replacement.
pub const MAX_NAME_BYTES: usize = 40;
/// Most rules of one set.
pub const MAX_RULES: usize = 2000;

/// What is hidden behind a match that became too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// All up to the end of the line.
    Line,
    /// All that can belong to base64 armour, across lines, with escaped line ends.
    Armour,
}

#[derive(Debug)]
struct Rule {
    name: String,
    label: String,
    tail: Tail,
}

/// A compiled set of rules for one stream.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    automata: Automata,
}

impl Rules {
    /// An empty set.
    #[must_use]
    pub const fn builder() -> Builder {
        Builder {
            rules: Vec::new(),
            patterns: Vec::new(),
            prebuilt: Vec::new(),
        }
    }
}

/// Collects rules. Where two rules match the same bytes, the label names the one that was added first.
#[derive(Debug)]
pub struct Builder {
    rules: Vec<Rule>,
    /// What is compiled by [`Builder::build`], with the numbers of the rules.
    patterns: Vec<(usize, Hir)>,
    /// With the number of the first rule.
    prebuilt: Vec<(usize, &'static Prebuilt)>,
}

impl Builder {
    /// Adds the rules of a set that was compiled with the plugin. Others cost an instance up to milliseconds before its stream, these cost
    /// nothing.
    ///
    /// # Errors
    /// There are too many rules.
    pub fn prebuilt(mut self, set: &'static Prebuilt) -> Result<Self> {
        self.prebuilt.push((self.rules.len(), set));
        for &(name, armoured) in set.rules {
            let tail = if armoured { Tail::Armour } else { Tail::Line };
            self.add(name, tail)?;
        }
        Ok(self)
    }

    /// Hides what `pattern` matches, behind `[redacted:name]`.
    ///
    /// # Errors
    /// The name is no label, or the pattern is not a regular expression over bytes without look-around that matches at least one
    /// byte.
    pub fn pattern(self, name: &str, pattern: &str) -> Result<Self> {
        self.rule(name, pattern, Tail::Line)
    }

    /// As [`Self::pattern`], for blocks of base64 over many lines: one that is too long is hidden to the end of its armour.
    ///
    /// # Errors
    /// As [`Self::pattern`].
    pub fn armoured(self, name: &str, pattern: &str) -> Result<Self> {
        self.rule(name, pattern, Tail::Armour)
    }

    /// Hides a word wherever it occurs, inside of other words too.
    ///
    /// # Errors
    /// The name is no label, or the word is empty.
    pub fn word(self, name: &str, word: &str) -> Result<Self> {
        self.rule(name, &regex_syntax::escape(word), Tail::Line)
    }

    fn rule(mut self, name: &str, pattern: &str, tail: Tail) -> Result<Self> {
        let rule = self.add(name, tail)?;
        self.patterns.push((rule, pattern::parse(pattern)?));
        Ok(self)
    }

    /// Notes a rule and gives its number.
    fn add(&mut self, name: &str, tail: Tail) -> Result<usize> {
        let label = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !label {
            return Err(format!(
                "rule name \"{name}\": up to {MAX_NAME_BYTES} letters, digits, '-', '_' and '.'"
            )
            .into());
        }
        if self.rules.len() == MAX_RULES {
            return Err(format!("more than {MAX_RULES} rules").into());
        }
        self.rules.push(Rule {
            name: name.to_owned(),
            label: format!("[redacted:{name}]"),
            tail,
        });
        Ok(self.rules.len() - 1)
    }

    /// Compiles the set.
    ///
    /// # Errors
    /// The rules are too large together.
    pub fn build(self) -> Result<Rules> {
        Ok(Rules {
            rules: self.rules,
            automata: Automata::new(self.prebuilt, self.patterns)?,
        })
    }
}
