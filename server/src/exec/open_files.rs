//! The limit of open descriptors (`RLIMIT_NOFILE`): raised for this process and its helpers, given
//! back to the commands they start.
//!
//! A shell or a service manager hands out a soft limit of 1024 for the sake of programs that use
//! `select`; what a run, a client and a store need together is more. A command gets the limit that
//! this process was given, as cron would give it.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The soft limit that this process was started with.
static INHERITED: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit to the hard one, and returns what may be open now. The first thing that a
/// process does which serves or runs; later calls change nothing.
///
/// Where the limit cannot be read or raised it stays, and serving is bounded by it.
pub fn raise() -> u64 {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        INHERITED.get_or_init(|| soft);
        // Refused only where the kernel's own ceiling has been lowered since.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    current()
}

/// How many descriptors this process may have open now.
pub fn current() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft)
}

/// The soft limit that commands get; `None` leaves it as it is.
pub(super) fn inherited() -> Option<u64> {
    INHERITED.get().copied()
}
