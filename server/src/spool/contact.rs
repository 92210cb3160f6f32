//! Whether the run log answers, and what is said about it: one line when it does not, one when it does again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sandclock_core::backend::Result;
use sandclock_core::error::WithSources;
use sandclock_core::time::{Clock, Timestamp};
use sandclock_core::{BackendError, Effect, ErrorKind};
use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// How long the log may be away before anybody is told.
const UNTOLD: Duration = Duration::from_secs(2);

/// The run log has not answered for more than 2 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Since then.
    pub since: Timestamp,
    /// What the last call was told.
    pub error: String,
}

/// What is known of the run log.
#[derive(Debug)]
pub(super) struct Contact {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    away: Option<Away>,
    full: bool,
}

#[derive(Debug)]
struct Away {
    outage: Outage,
    began: Instant,
    told: bool,
    /// Nothing waits that would ask the log, so that the next write does.
    untried: bool,
}

/// Whether the error says that the log is away, rather than answers.
pub(crate) fn is_away(error: &BackendError) -> bool {
    error.is_transient() || error.effect == Effect::Unknown || error.kind == ErrorKind::Denied
}

impl Contact {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            inner: Mutex::default(),
        }
    }

    /// Whether the last call came to nothing, and no other is to be tried yet.
    pub(super) fn is_away(&self) -> bool {
        let inner = self.lock();
        inner.away.as_ref().is_some_and(|away| !away.untried)
    }

    /// The next write may try.
    pub(super) fn try_again(&self) {
        if let Some(away) = &mut self.lock().away {
            away.untried = true;
        }
    }

    /// The outage, if it is worth telling.
    pub(super) fn outage(&self) -> Option<Outage> {
        let inner = self.lock();
        let away = inner.away.as_ref().filter(|away| away.told);
        away.map(|away| away.outage.clone())
    }

    /// Learns from how a call went, and hands its outcome on.
    pub(super) fn heed(&self, called: std::result::Result<Result<()>, Elapsed>) -> Result<()> {
        let outcome = called.unwrap_or_else(|_| {
            Err(BackendError::new("sink", ErrorKind::Timeout).effect_unknown())
        });
        match &outcome {
            Err(error) if is_away(error) => self.failed(error),
            _ => self.answered(),
        }
        outcome
    }

    fn failed(&self, error: &BackendError) {
        let since = self.clock.now();
        let mut inner = self.lock();
        let away = inner.away.get_or_insert_with(|| Away {
            outage: Outage {
                since,
                error: String::new(),
            },
            began: Instant::now(),
            told: false,
            untried: false,
        });
        away.untried = false;
        away.outage.error = WithSources(error).to_string();
        if !away.told && away.began.elapsed() >= UNTOLD {
            away.told = true;
            let Outage { since, error } = &away.outage;
            tracing::error!(%since, %error, "the run log does not answer; output waits on disk");
        }
    }

    fn answered(&self) {
        if let Some(over) = self.lock().away.take()
            && over.told
        {
            tracing::info!(after = ?over.began.elapsed(), "the run log answers again; what waits follows");
        }
    }

    /// All that waited has followed, and the log answers.
    pub(super) fn has_room(&self) {
        self.lock().full = false;
    }

    /// The file did not take something. Whether that is news since it had room.
    pub(super) fn no_room(&self) -> bool {
        !std::mem::replace(&mut self.lock().full, true)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
