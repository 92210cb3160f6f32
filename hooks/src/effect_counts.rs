//! What is counted of effects: by what was asked for, and by what came of it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::effects::{Answer, Ask};

const EFFECTS: [&str; 3] = ["kv.get", "kv.swap", "http"];

/// How an effect can end. All but the first are what the plugin is told before a colon.
const OUTCOMES: [&str; 4] = ["ok", "denied", "limit", "unavailable"];

/// The effects of one plugin.
#[derive(Debug, Default)]
pub(crate) struct EffectCounts([[AtomicU64; OUTCOMES.len()]; EFFECTS.len()]);

/// Effects with the same end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectCount {
    /// `kv.get`, `kv.swap` or `http`.
    pub effect: &'static str,
    /// `ok`, or why not: `denied`, `limit` or `unavailable`.
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
}

/// The place of what is asked for among all that can be.
pub(crate) fn place(ask: &Ask) -> usize {
    match ask {
        Ask::Get { .. } => 0,
        Ask::Swap(_) => 1,
        Ask::Http { .. } => 2,
    }
}

impl EffectCounts {
    /// An effect at this [`place`] has come to this.
    pub(crate) fn count(&self, place: usize, answer: &Answer) {
        let failed = match answer {
            Answer::Value(told) => told.as_ref().err(),
            Answer::Swapped(told) => told.as_ref().err(),
            Answer::Response(told) => told.as_ref().err(),
        };
        let outcome = failed.map_or(Some(0), |told| {
            let word = told.split(':').next().unwrap_or_default();
            OUTCOMES.iter().position(|outcome| *outcome == word)
        });
        let outcome = outcome.unwrap_or(OUTCOMES.len() - 1);
        let counter = self.0.get(place).and_then(|of| of.get(outcome));
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What has happened so far; what never did is left out.
    pub(crate) fn snapshot(&self) -> Vec<EffectCount> {
        let all = EFFECTS.into_iter().zip(&self.0).flat_map(|(effect, of)| {
            let of = OUTCOMES.into_iter().zip(of);
            of.map(move |(outcome, count)| EffectCount {
                effect,
                outcome,
                count: count.load(Ordering::Relaxed),
            })
        });
        all.filter(|counted| counted.count > 0).collect()
    }
}
