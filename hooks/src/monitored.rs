//! Which plugins are only monitored: they are asked and recorded, and nothing follows from what they say.
//!
//! It is a decision about a plugin's name and not about one of its versions: a new version that serves is monitored as
//! the one before was.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use crate::PluginHost;
use crate::mutants::Mutant;

/// Their names.
#[derive(Debug, Default)]
pub(crate) struct Monitored(RwLock<BTreeSet<String>>);

impl PluginHost {
    /// From now on these plugins are only monitored, by name, and all others enforced. A stream keeps what it began with.
    pub fn monitor(&self, names: BTreeSet<String>) {
        let monitored = &self.monitored.0;
        *monitored.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Whether the plugin of this name is only monitored, installed or not.
    pub fn is_monitored(&self, plugin: &str) -> bool {
        let names = self
            .monitored
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        names.contains(plugin) && !self.config.mutation().is(Mutant::EnforceMonitored)
    }
}

/// What a monitored plugin has decided, in a run's notes.
pub(crate) fn noted(decision: &str) -> String {
    format!("not enforced: {decision}")
}
