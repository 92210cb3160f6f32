//! What a later program may put into records without raising the form's number, for tests of fleets in the middle of
//! an upgrade: one member more in every record, one word more in every mark. Builds without debug assertions never
//! write it; all of them keep it (S13).

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this process writes as a later program does.
static LATER: AtomicBool = AtomicBool::new(false);

/// The member's value, and the word.
const WORD: &str = "unheard-of";

/// From now on this process writes records as a later program may.
#[cfg(debug_assertions)]
pub fn write_later_form() {
    LATER.store(true, Ordering::Relaxed);
}

/// What a later program adds, in such a process.
pub(super) fn addition() -> Option<&'static str> {
    (cfg!(debug_assertions) && LATER.load(Ordering::Relaxed)).then_some(WORD)
}
