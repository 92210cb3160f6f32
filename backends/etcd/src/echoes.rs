//! What this process has written and the watch has not yet shown.
//!
//! Most of what a worker sees on its watch is what it wrote itself, and a record is worth more to read than to write.
//! So a write is kept as it was meant until the watch shows the same bytes at its key; those mean the same.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sandclock_core::backend::protocol;

use crate::keys::Key;
use crate::tree::Write;
use crate::watch::Change;

/// Bytes, and what they mean.
type Meant = (Vec<u8>, protocol::Change);

/// Writes on their way or done, by key; `None` while nobody watches. What a call leaves behind whose caller went away
/// stays until the next watch.
#[derive(Debug, Default)]
pub(crate) struct Echoes(Mutex<Option<BTreeMap<Key, Meant>>>);

impl Echoes {
    fn expected(&self) -> MutexGuard<'_, Option<BTreeMap<Key, Meant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody watches from now on, or nobody does any more.
    pub(crate) fn watched(&self, is_watched: bool) {
        *self.expected() = is_watched.then(BTreeMap::new);
    }

    /// These writes are about to be sent.
    pub(crate) fn expect<'a>(&self, writes: impl Iterator<Item = &'a Write>) {
        if let Some(expected) = &mut *self.expected() {
            for write in writes {
                if let (Some(bytes), Some(change)) = (&write.value, &write.change) {
                    expected.insert(write.key.clone(), (bytes.clone(), change.clone()));
                }
            }
        }
    }

    /// They were not carried out, or nobody knows.
    pub(crate) fn give_up<'a>(&self, writes: impl Iterator<Item = &'a Write>) {
        if let Some(expected) = &mut *self.expected() {
            for write in writes {
                expected.remove(&write.key);
            }
        }
    }

    /// What a change means that this process has written itself; each is told once.
    pub(crate) fn meaning(&self, change: &Change) -> Option<protocol::Change> {
        let mut expected = self.expected();
        let expected = expected.as_mut()?;
        let (bytes, _) = expected.get(&change.key)?;
        if change.value.as_ref() != Some(bytes) {
            return None;
        }
        let (_, meant) = expected.remove(&change.key)?;
        Some(meant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandclock_core::backend::Version;
    use sandclock_core::job::JobName;

    fn write(bytes: &[u8]) -> Write {
        Write {
            key: b"key".to_vec(),
            value: Some(bytes.to_vec()),
            lease: 0,
            change: Some(protocol::Change::Request(
                JobName::existing("job"),
                String::new(),
            )),
        }
    }

    fn shown(bytes: &[u8]) -> Change {
        Change {
            key: b"key".to_vec(),
            value: Some(bytes.to_vec()),
            version: Version(2),
            created: Version(1),
        }
    }

    #[test]
    fn only_the_bytes_that_were_written_mean_what_was_meant() {
        let echoes = Echoes::default();
        let ours = write(b"ours");
        echoes.expect([&ours].into_iter());
        assert_eq!(echoes.meaning(&shown(b"ours")), None, "nobody watches");
        echoes.watched(true);
        echoes.expect([&ours].into_iter());
        assert_eq!(echoes.meaning(&shown(b"another's")), None);
        assert_eq!(echoes.meaning(&shown(b"ours")), ours.change);
        assert_eq!(echoes.meaning(&shown(b"ours")), None, "once");
        echoes.expect([&ours].into_iter());
        echoes.give_up([&ours].into_iter());
        assert_eq!(echoes.meaning(&shown(b"ours")), None, "it was not written");
        echoes.expect([&ours].into_iter());
        echoes.watched(false);
        assert_eq!(echoes.meaning(&shown(b"ours")), None, "the watch has ended");
    }
}
