//! `[plugins.breaker]` and `[plugins.breakers.NAME]`: when a plugin fails too often to be asked.

use std::collections::BTreeMap;
use std::time::Duration;

use sandclock_core::backend::plugins::{PLUGIN_NAMES, is_plugin_name};
use sandclock_hooks::{BreakerRule, BreakerRules};
use serde::{Deserialize, Serialize};

use crate::document::FieldError;

/// The most failures that can be asked for: so many instants are kept.
const MOST_FAILURES: usize = 1000;

/// The longest stretch of time, in seconds.
const LONGEST_S: u64 = 86_400;

/// What is not said is as for all plugins, and for all as [`BreakerRule::default`].
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSection {
    /// Whether a plugin that fails too often is left alone.
    pub enabled: Option<bool>,
    /// So many failures.
    pub failures: Option<usize>,
    /// Within so many seconds.
    pub within_s: Option<u64>,
}

/// The rules for all plugins and for some.
///
/// # Errors
/// Names the number out of bounds, or the plugin that cannot be.
pub(super) fn rules(
    all: &BreakerSection,
    some: &BTreeMap<String, BreakerSection>,
) -> Result<BreakerRules, FieldError> {
    let default = all.rule("plugins.breaker", BreakerRule::default())?;
    let mut by_name = BTreeMap::new();
    for (plugin, section) in some {
        let field = format!("plugins.breakers.{plugin}");
        if !is_plugin_name(plugin) {
            let accepted = format!("a plugin's name: {PLUGIN_NAMES}");
            return Err(FieldError::new(field, plugin, accepted));
        }
        by_name.insert(plugin.clone(), section.rule(&field, default)?);
    }
    Ok(BreakerRules { default, by_name })
}

impl BreakerSection {
    fn rule(&self, field: &str, otherwise: BreakerRule) -> Result<BreakerRule, FieldError> {
        let failures = self.failures.unwrap_or(otherwise.failures);
        if !(1..=MOST_FAILURES).contains(&failures) {
            let accepted = format!("1 to {MOST_FAILURES}; enabled = false turns the breaker off");
            let field = format!("{field}.failures");
            return Err(FieldError::new(field, failures, accepted));
        }
        let within_s = self.within_s.unwrap_or(otherwise.within.as_secs());
        if !(1..=LONGEST_S).contains(&within_s) {
            let accepted = format!("1 to {LONGEST_S} seconds");
            let field = format!("{field}.within_s");
            return Err(FieldError::new(field, within_s, accepted));
        }
        Ok(BreakerRule {
            enabled: self.enabled.unwrap_or(otherwise.enabled),
            failures,
            within: Duration::from_secs(within_s),
        })
    }
}
