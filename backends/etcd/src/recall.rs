//! What this process last knew of open runs and marks.
//!
//! An end needs the open record and the job's mark. The process that ends a run has claimed it, so it knows
//! the record, and mostly the mark; then an end is one request instead of two. What is recalled is a guess: the
//! transaction compares it with what is there.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sandclock_core::backend::Version;

use crate::facts::Seen;
use crate::keys::{Key, Keys, Range, Record};
use crate::tree::Write;
use crate::watch::Change;

/// Last values by key: one for each open run, and one for each job.
#[derive(Debug)]
pub(crate) struct Recall {
    keys: Keys,
    seen: Mutex<BTreeMap<Key, Seen>>,
}

impl Recall {
    pub(crate) fn new(keys: Keys) -> Self {
        Self {
            keys,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<Key, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was last known to stand at a key.
    pub(crate) fn at(&self, key: &[u8]) -> Option<Seen> {
        self.seen().get(key).cloned()
    }

    /// Keeps what this process has written at `version`.
    pub(crate) fn remember(&self, writes: &[Write], version: Version) {
        let mut seen = self.seen();
        for Write { key, value, .. } in writes {
            match (self.keys.record_of(key), value) {
                (Some(Record::Open(..) | Record::Mark(_)), Some(value)) => {
                    let value = value.clone();
                    seen.insert(key.clone(), Seen::At { version, value });
                }
                (Some(Record::Open(..)), None) => drop(seen.remove(key)),
                _ => {}
            }
        }
    }

    /// Whether a run is known that stands in this range of open records.
    pub(crate) fn any_open(&self, range: &Range) -> bool {
        let seen = self.seen();
        let mut open = seen.range::<Key, _>(&range.start..&range.end);
        open.next().is_some()
    }

    /// Follows what others write: marks that moved, runs that began, and runs that are over.
    pub(crate) fn follow(&self, change: &Change) {
        let mut seen = self.seen();
        let known = seen.get(&change.key).and_then(Seen::value);
        // Mostly it is our own write, which is remembered since its answer.
        if change.value.is_some() && known.is_some_and(|(version, _)| version == change.version) {
            return;
        }
        let record = self.keys.record_of(&change.key);
        if !matches!(record, Some(Record::Mark(_) | Record::Open(..))) {
            return;
        }
        match &change.value {
            Some(value) => {
                let (version, value) = (change.version, value.clone());
                seen.insert(change.key.clone(), Seen::At { version, value });
            }
            None => drop(seen.remove(&change.key)),
        }
    }

    /// Forgets everything, before all that there is is read anew.
    pub(crate) fn clear(&self) {
        self.seen().clear();
    }
}
