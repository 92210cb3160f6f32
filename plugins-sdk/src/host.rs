//! Attributes of the run that later hosts add without a new record.

/// None for a name that this host does not know or that has no value for this run.
#[must_use]
pub fn attr(name: &str) -> Option<String> {
    raw(name)
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::timeout::sandclock::plugin::host::attr as raw;

#[cfg(not(target_arch = "wasm32"))]
use crate::mock::host::attr as raw;
