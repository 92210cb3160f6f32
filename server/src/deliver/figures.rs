//! What is counted of deliveries, for metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A count of tries by target and outcome: `delivered`, `failed` (it is tried again) or `given_up`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliveries {
    /// The target; empty for those that are not configured, whose names plugins choose.
    pub target: String,
    /// How they ended.
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
}

/// The counts of this process, since its start. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Figures(Arc<Mutex<BTreeMap<(String, &'static str), u64>>>);

impl Figures {
    pub(super) fn count(&self, target: &str, outcome: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((target.to_owned(), outcome)).or_default() += 1;
    }

    /// All counts, in a stable order.
    pub fn all(&self) -> Vec<Deliveries> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |((target, outcome), count): (&(String, &'static str), &u64)| Deliveries {
            target: target.clone(),
            outcome,
            count: *count,
        };
        counts.iter().map(count).collect()
    }
}
