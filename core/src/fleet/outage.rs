//! Whether the store carries out what this worker asks of it: for readiness, and told once per change.
//!
//! Requests are repeated until they are answered (S6), which looks like nothing from outside. So each
//! request says here that it failed, and that it was answered in the end. A store that reads and renews
//! leases, but cannot write, is away as well: an outage ends when nothing that failed is still unanswered.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::Now;
use crate::error::{BackendError, Effect, ErrorKind, WithSources};
use crate::time::Timestamp;

/// How long requests may fail before anybody is told.
const PATIENCE: Duration = Duration::from_secs(2);

/// The store has not carried out requests for more than 2 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When the first of them failed.
    pub since: Timestamp,
    /// What the last of them was told, with what the driver said.
    pub error: String,
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The session: its answers say nothing about claims.
    Session,
    /// Ticks and runs.
    Claims,
}

/// All requests that failed and were not answered yet.
#[derive(Debug, Default)]
pub(super) struct Outages(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    asked: u64,
    failing: BTreeSet<u64>,
    /// A request about claims failed for good; the planner will ask anew.
    given_up: bool,
    now: Option<Current>,
}

#[derive(Debug)]
struct Current {
    outage: Outage,
    began: Instant,
    told: bool,
}

/// A request, until it is answered; asked again, it is the same. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    outages: &'a Outages,
    about: About,
    id: u64,
}

/// Whether the error says that the store is away, rather than answers.
fn is_away(error: &BackendError) -> bool {
    error.is_transient() || error.effect == Effect::Unknown || error.kind == ErrorKind::Denied
}

/// A request came to nothing for now. That the store is away is told once, by [`Outages`].
pub(super) fn came_to_nothing(error: &BackendError, what: &str, about: &dyn fmt::Display) {
    let away = is_away(error);
    let error = WithSources(error);
    match away {
        true => tracing::debug!(%error, %about, "{what}"),
        false => tracing::warn!(%error, %about, "{what}"),
    }
}

impl Outages {
    /// A request is about to be sent.
    pub(super) fn ask(&self, about: About) -> Asked<'_> {
        let mut inner = self.lock();
        inner.asked += 1;
        Asked {
            outages: self,
            about,
            id: inner.asked,
        }
    }

    /// The outage, if there is one.
    pub(super) fn now(&self) -> Option<Outage> {
        let inner = self.lock();
        let current = inner.now.as_ref().filter(|current| current.told);
        current.map(|current| current.outage.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked<'_> {
    /// A try has failed.
    pub(super) fn failed(&self, error: &BackendError, now: Now) {
        if !is_away(error) {
            return;
        }
        let mut inner = self.outages.lock();
        inner.failing.insert(self.id);
        let current = inner.now.get_or_insert_with(|| Current {
            outage: Outage {
                since: now.wall,
                error: String::new(),
            },
            began: now.mono,
            told: false,
        });
        current.outage.error = WithSources(error).to_string();
        let lasted = now.mono.saturating_duration_since(current.began);
        if !current.told && lasted >= PATIENCE {
            current.told = true;
            let Outage { since, error } = &current.outage;
            tracing::error!(%since, %error, "the store does not carry out requests");
        }
    }

    /// It was answered.
    pub(super) fn answered(&self) {
        let mut inner = self.outages.lock();
        inner.failing.remove(&self.id);
        if self.about == About::Claims {
            inner.given_up = false;
        }
        if inner.failing.is_empty()
            && !inner.given_up
            && let Some(over) = inner.now.take()
            && over.told
        {
            tracing::info!(after = ?over.began.elapsed(), "the store carries out requests again");
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut inner = self.outages.lock();
        if inner.failing.remove(&self.id) {
            inner.given_up |= self.about == About::Claims;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> BackendError {
        BackendError::new("fires.decide", ErrorKind::Unavailable).source("the disk is full")
    }

    /// Fails at once and once more, when patience is over.
    fn fail_for_long(asked: &Asked<'_>, error: &BackendError) {
        let mono = Instant::now();
        let wall = Timestamp::from_millis(5);
        asked.failed(error, Now { mono, wall });
        assert_eq!(asked.outages.now(), None, "a moment is no outage");
        let (mono, wall) = (mono + PATIENCE, wall.plus(PATIENCE));
        asked.failed(error, Now { mono, wall });
    }

    #[test]
    fn an_outage_lasts_until_all_that_failed_is_answered() {
        let outages = Outages::default();
        let (one, other) = (outages.ask(About::Claims), outages.ask(About::Claims));
        fail_for_long(&one, &full());
        let now = Now {
            mono: Instant::now(),
            wall: Timestamp::from_millis(9),
        };
        other.failed(&full(), now);
        let outage = outages.now().unwrap();
        assert_eq!(outage.since, Timestamp::from_millis(5));
        assert!(
            outage.error.ends_with("the disk is full"),
            "{}",
            outage.error
        );
        outages.ask(About::Claims).answered();
        one.answered();
        assert!(outages.now().is_some());
        other.answered();
        assert_eq!(outages.now(), None);
    }

    #[test]
    fn a_renewed_session_does_not_end_an_outage_of_claims() {
        let outages = Outages::default();
        let request = outages.ask(About::Claims);
        fail_for_long(&request, &full());
        drop(request);
        outages.ask(About::Session).answered();
        assert!(outages.now().is_some());
        outages.ask(About::Claims).answered();
        assert_eq!(outages.now(), None);
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let outages = Outages::default();
        let request = outages.ask(About::Claims);
        let refused = BackendError::new("fires.decide", ErrorKind::SessionLost);
        fail_for_long(&request, &refused);
        assert_eq!(outages.now(), None);
    }
}
