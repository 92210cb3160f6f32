//! The bindings, as far as they can be read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sandclock_core::backend::{Docs, Result, Version};
use sandclock_core::binding::{self, Binding, StoredBinding};
use sandclock_hooks::PluginHost;

/// Keeps this process's bindings as the store has them.
#[derive(Debug)]
pub(super) struct Bindings {
    docs: Arc<dyn Docs>,
    host: Arc<PluginHost>,
    /// What was last seen of each, by name.
    seen: Mutex<BTreeMap<String, Seen>>,
}

/// A binding at some version.
#[derive(Debug)]
struct Seen {
    version: Version,
    /// The last form of it that could be read.
    readable: Option<Binding>,
}

impl Bindings {
    /// Without any yet.
    pub(super) fn new(docs: Arc<dyn Docs>, host: Arc<PluginHost>) -> Self {
        Self {
            docs,
            host,
            seen: Mutex::default(),
        }
    }

    /// Does now what the store asks for. A binding that cannot be read holds as it was last read here: it may be one that
    /// hides something.
    ///
    /// # Errors
    /// If the store does not answer; everything stays as it is.
    pub(super) async fn follow(&self) -> Result<()> {
        let stored = binding::list(&*self.docs).await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *seen);
        for stored in stored {
            let old = before.remove(&stored.name);
            seen.insert(stored.name.clone(), now(stored, old));
        }
        let readable = seen.values().filter_map(|seen| seen.readable.clone());
        let mut bindings: Vec<_> = readable.collect();
        // They are by name, which a stable sort keeps.
        bindings.sort_by_key(|binding| binding.order);
        self.host.bind(bindings);
        Ok(())
    }
}

/// What is known of a binding now.
fn now(stored: StoredBinding, old: Option<Seen>) -> Seen {
    let readable = match stored.binding {
        Ok(binding) => Some(binding),
        Err(error) => {
            let (name, why) = (&stored.name, error.reason());
            let kept = old.as_ref().is_some_and(|old| old.readable.is_some());
            if old.as_ref().is_none_or(|old| old.version != stored.version) {
                tracing::error!(
                    binding = name,
                    why,
                    kept,
                    "the binding cannot be read; it holds as it was, if it was"
                );
            }
            old.and_then(|old| old.readable)
        }
    };
    Seen {
        version: stored.version,
        readable,
    }
}
