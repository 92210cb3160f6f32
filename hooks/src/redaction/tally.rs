//! What a plugin did to a stream, for the run's note and for the recording.

use std::collections::BTreeMap;
use std::time::Duration;

use sandclock_core::run::HookNote;
use serde_json::Value;

use crate::failure::Failure;
use crate::plugin::Hook;
use crate::recording::{Hidden, NAMED_EDITS, hidden};

/// Rules that are told apart in the note.
const NOTED_RULES: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) asked: bool,
    pub(super) failures: u32,
    pub(super) withheld: u64,
    pub(super) first_failure: Option<Failure>,
    pub(super) took: Duration,
    edits: u64,
    bytes: u64,
    /// The first of them.
    hidden: Vec<Hidden>,
    rules: BTreeMap<String, u64>,
}

impl Tally {
    /// One more stretch is hidden.
    pub(super) fn count(&mut self, edit: Hidden) {
        self.edits += 1;
        self.bytes += u64::from(edit.bytes);
        let known = self.rules.contains_key(&edit.rule);
        if known || self.rules.len() < NOTED_RULES {
            *self.rules.entry(edit.rule.clone()).or_default() += 1;
        }
        if self.hidden.len() < NAMED_EDITS {
            self.hidden.push(edit);
        }
    }

    /// What the plugin of this name and version decided about the stream; nothing if it was never asked.
    pub(super) fn note(&self, (plugin, version): (&str, Option<&str>)) -> Option<HookNote> {
        let mut parts = Vec::new();
        if let Some(failure) = &self.first_failure {
            let times = self.failures;
            parts.push(format!("failed {times} times, first {failure}"));
            if self.withheld > 0 {
                parts.push(format!("{} bytes withheld", self.withheld));
            }
        }
        if self.edits > 0 {
            let rules = self.rules.iter();
            let rules: Vec<String> = rules.map(|(rule, n)| format!("{rule} {n}")).collect();
            let (edits, bytes, rules) = (self.edits, self.bytes, rules.join(", "));
            parts.push(format!("hid {edits} stretches, {bytes} bytes ({rules})"));
        }
        if parts.is_empty() && self.asked {
            parts.push("hid nothing".to_owned());
        }
        (!parts.is_empty()).then(|| HookNote {
            plugin: plugin.to_owned(),
            version: version.map(str::to_owned),
            hook: Hook::OutputRedaction.as_str().to_owned(),
            decision: parts.join("; "),
            failed: self.first_failure.is_some(),
            monitored: false,
            took: self.took,
        })
    }

    /// What it hid, for a recording.
    pub(super) fn answer(&self) -> Value {
        hidden(&self.hidden, self.edits, self.first_failure.as_ref())
    }
}
