//! What can be configured, and what is refused.

use std::collections::BTreeMap;

use sandclock_plugin_sdk::prelude::*;
use sandclock_plugin_sdk::rules::{Builder, Prebuilt};
use serde::Deserialize;

use crate::shapes::{PRIVATE_KEY, SHAPES};

/// Shorter words would hide half of any output.
const MIN_WORD_BYTES: usize = 4;
const MAX_WORD_BYTES: usize = 1024;

// What the build script makes of the shapes.
static ALL_SHAPES: Prebuilt = include!(concat!(env!("OUT_DIR"), "/shapes.rs"));
static ASSIGNMENTS: Prebuilt = include!(concat!(env!("OUT_DIR"), "/assignment.rs"));

/// What can be configured.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Hidden wherever they occur, as `[redacted:word]`.
    #[cfg_attr(test, schemars(inner(length(max = MAX_WORD_BYTES))))]
    words: Vec<String>,
    /// Further rules: a name, which the label shows, and a pattern.
    regexes: BTreeMap<String, String>,
    /// Shapes to leave visible, by name; `all` for every one.
    disable: Vec<String>,
    /// Whether to hide the values of what is called password, secret or token.
    assignments: bool,
}

impl Settings {
    pub(crate) fn read() -> Result<Self> {
        config::all()
    }

    pub(crate) fn rules(&self) -> Result<Rules> {
        self.check_disabled()?;
        let mut rules = Rules::builder();
        for (at, word) in self.words.iter().enumerate() {
            if !(MIN_WORD_BYTES..=MAX_WORD_BYTES).contains(&word.len()) {
                let len = word.len();
                let why = format!("{len} bytes, has to be {MIN_WORD_BYTES} to {MAX_WORD_BYTES}");
                return Err(config::invalid(format_args!("words[{at}]"), why));
            }
            rules = rules.word("word", word)?;
        }
        for (name, pattern) in &self.regexes {
            rules = rules
                .pattern(name, pattern)
                .map_err(|error| config::invalid(format_args!("regexes.{name}"), error))?;
        }
        rules = self.shapes(rules)?;
        if self.assignments {
            rules = rules.prebuilt(&ASSIGNMENTS)?;
        }
        rules.build()
    }

    /// All shapes are at hand as they are; a part of them is compiled.
    fn shapes(&self, mut rules: Builder) -> Result<Builder> {
        if self.disable.is_empty() {
            return rules.prebuilt(&ALL_SHAPES);
        }
        if self.enabled(PRIVATE_KEY.0) {
            rules = rules.armoured(PRIVATE_KEY.0, PRIVATE_KEY.1)?;
        }
        for (name, pattern) in SHAPES.iter().filter(|(name, _)| self.enabled(name)) {
            rules = rules.pattern(name, pattern)?;
        }
        Ok(rules)
    }

    fn enabled(&self, shape: &str) -> bool {
        !self
            .disable
            .iter()
            .any(|name| name == shape || name == "all")
    }

    fn check_disabled(&self) -> Result<()> {
        let known: Vec<&str> = SHAPES
            .iter()
            .chain([&PRIVATE_KEY])
            .map(|(name, _)| *name)
            .collect();
        for (at, name) in self.disable.iter().map(String::as_str).enumerate() {
            if name != "all" && !known.contains(&name) {
                let why = format!("\"{name}\", has to be all or one of {}", known.join(", "));
                return Err(config::invalid(format_args!("disable[{at}]"), why));
            }
        }
        Ok(())
    }
}
