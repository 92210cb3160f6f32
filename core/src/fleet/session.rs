//! The session and its trust window.
//!
//! A lease runs from the moment the store handles a renewal, which is after the call began: so what a
//! worker counts from the *call* always ends before the lease does. Elapsed time is the larger of
//! monotonic and wall time, because the monotonic clock may stop while a machine is suspended.
//!
//! ```text
//!  renew call            TTL − 4 s    TTL − 1 s   TTL       TTL + lost_after − 6 | − 4 | − 3 s
//!  ├─ claims and starts ─┤            │           │         SIGTERM  SIGKILL  all dead
//!  ├─ trusted ────────────────────────┤           │
//!  ├─ the lease, at least ────────────────────────┤         then others may settle ─────────►
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::clock::Now;
use super::config::FleetMutant;
use super::follow::in_time;
use super::outage::{About, Asked, came_to_nothing};
use super::state::Shared;
use crate::backend::{Session, SessionId, WorkerInfo};
use crate::error::ErrorKind;
use crate::time::Timestamp;

const CLAIM_MARGIN: Duration = Duration::from_secs(4);
const TRUST_MARGIN: Duration = Duration::from_secs(1);
/// How soon a failed call to the session store is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// What the last successful renewal allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The session that was renewed.
    pub(super) session: SessionId,
    ttl: Duration,
    mono: Instant,
    wall: Timestamp,
    monotonic_only: bool,
}

/// When the processes of a run must go, counted from the start of the last successful renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContactLimits {
    /// SIGTERM.
    pub(super) term: Duration,
    /// SIGKILL.
    pub(super) kill: Duration,
    /// Nothing may be left: the dead-man's deadline.
    pub(super) dead: Duration,
}

impl ContactLimits {
    /// For a lease of `ttl` and a job that may go on for `lost_after` beyond it.
    pub(super) fn new(ttl: Duration, lost_after: Duration) -> Self {
        let whole = ttl + lost_after;
        let before = |margin, at_least| {
            let early = whole.saturating_sub(Duration::from_secs(margin));
            early.max(ttl.saturating_sub(Duration::from_secs(at_least)))
        };
        Self {
            term: before(6, 4),
            kill: before(4, 2),
            dead: before(3, 1),
        }
    }
}

impl Window {
    /// The window of a session that was opened or renewed by a call that began at `called`.
    pub(super) fn new(session: SessionId, ttl: Duration, called: Now, mutant: bool) -> Self {
        Self {
            session,
            ttl,
            mono: called.mono,
            wall: called.wall,
            monotonic_only: mutant,
        }
    }

    fn elapsed(&self, now: Now) -> Duration {
        let mono = now.mono.saturating_duration_since(self.mono);
        if self.monotonic_only {
            return mono;
        }
        mono.max(now.wall.since(self.wall))
    }

    /// By how much wall time ran ahead of monotonic time since the renewal, if that is why `limit` has
    /// passed: the machine slept, or its clock was set. `None` if so much time went by.
    pub(super) fn ran_ahead(&self, limit: Duration, now: Now) -> Option<Duration> {
        let mono = now.mono.saturating_duration_since(self.mono);
        (mono < limit).then(|| now.wall.since(self.wall).saturating_sub(mono))
    }

    /// Whether something may be claimed or started.
    pub(super) fn may_start(&self, now: Now) -> bool {
        self.elapsed(now) < self.ttl.saturating_sub(CLAIM_MARGIN)
    }

    /// Whether the session is believed in: a process that has just been started may stay.
    pub(super) fn is_trusted(&self, now: Now) -> bool {
        self.elapsed(now) < self.trusted_for()
    }

    /// For how long the session is believed in without a renewal.
    pub(super) fn trusted_for(&self) -> Duration {
        self.ttl.saturating_sub(TRUST_MARGIN)
    }

    /// The limits of a run's processes without further contact.
    pub(super) fn contact_limits(&self, lost_after: Duration) -> ContactLimits {
        ContactLimits::new(self.ttl, lost_after)
    }

    /// What is left of `limit` after the start of the renewal; zero once it has passed.
    pub(super) fn left(&self, limit: Duration, now: Now) -> Duration {
        limit.saturating_sub(self.elapsed(now))
    }
}

/// Keeps a session open until it is dropped. Never waits for anything but the session store.
pub(super) async fn keep(shared: &Arc<Shared>) {
    let mut session: Option<Session> = None;
    let mut told: Option<(WorkerInfo, Instant)> = None;
    let asked = shared.outages.ask(About::Session);
    loop {
        let called = shared.now();
        let info = shared.worker_info();
        let next = match &session {
            None => {
                session = open(shared, &asked, &info, called).await;
                told = session.is_some().then_some((info, called.mono));
                match &session {
                    Some(_) => called.mono + shared.config.renew_every,
                    None => Instant::now() + AGAIN,
                }
            }
            Some(held) => {
                let news = is_news(shared, told.as_ref(), &info);
                match renew(shared, &asked, held, news.then_some(&info), called).await {
                    Renewed::Kept => {
                        if news {
                            told = Some((info, called.mono));
                        }
                        called.mono + shared.config.renew_every
                    }
                    Renewed::Failed => Instant::now() + AGAIN,
                    Renewed::Lost => {
                        shared.session_lost(&held.id);
                        session = None;
                        continue;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = shared.info_changed.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}

/// Whether the store should learn how the worker is now: at once if ranking depends on it, else with
/// the next beat.
fn is_news(shared: &Shared, told: Option<&(WorkerInfo, Instant)>, new: &WorkerInfo) -> bool {
    told.is_none_or(|(old, at)| {
        old.passes_its_turn() != new.passes_its_turn()
            // Of one that is full, too: others stand back for it, or no longer do.
            || old.zone_differs != new.zone_differs
            || old.draining != new.draining
            || old.max_concurrent_runs != new.max_concurrent_runs
            // Somebody waits for the last of them.
            || (new.draining && old.running != new.running)
            || at.elapsed() >= shared.config.beat_every
    })
}

async fn open(
    shared: &Arc<Shared>,
    asked: &Asked<'_>,
    info: &WorkerInfo,
    called: Now,
) -> Option<Session> {
    let call = shared.coordination.sessions.open(info, shared.config.ttl);
    match in_time(shared, "sessions.open", call).await {
        Ok(session) => {
            asked.answered();
            tracing::info!(session = %session.id, ttl = ?session.ttl, "session opened");
            shared.session_opened(window(shared, &session, called));
            Some(session)
        }
        Err(error) => {
            asked.failed(&error, shared.now());
            came_to_nothing(&error, "cannot open a session", &info.name);
            None
        }
    }
}

enum Renewed {
    Kept,
    Failed,
    Lost,
}

async fn renew(
    shared: &Arc<Shared>,
    asked: &Asked<'_>,
    session: &Session,
    info: Option<&WorkerInfo>,
    called: Now,
) -> Renewed {
    let call = shared.coordination.sessions.renew(&session.id, info);
    match in_time(shared, "sessions.renew", call).await {
        Ok(()) => {
            asked.answered();
            shared.session_renewed(window(shared, session, called));
            Renewed::Kept
        }
        Err(error) if error.kind == ErrorKind::SessionLost => {
            asked.answered();
            tracing::warn!(session = %session.id, "the session is gone");
            Renewed::Lost
        }
        Err(error) => {
            asked.failed(&error, shared.now());
            came_to_nothing(&error, "cannot renew the session", &session.id);
            Renewed::Failed
        }
    }
}

fn window(shared: &Shared, session: &Session, called: Now) -> Window {
    let called = match shared.config.is(FleetMutant::WindowFromAnswer) {
        true => shared.now(),
        false => called,
    };
    let monotonic_only = shared.config.is(FleetMutant::MonotonicOnly);
    Window::new(session.id.clone(), session.ttl, called, monotonic_only)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(12);

    fn window(monotonic_only: bool) -> (Window, Now) {
        let called = Now {
            mono: Instant::now(),
            wall: Timestamp::from_millis(1_800_000_000_000),
        };
        let session = SessionId("s".to_owned());
        (Window::new(session, TTL, called, monotonic_only), called)
    }

    fn after(called: Now, mono_ms: u64, wall_ms: u64) -> Now {
        Now {
            mono: called.mono + Duration::from_millis(mono_ms),
            wall: called.wall.plus(Duration::from_millis(wall_ms)),
        }
    }

    #[test]
    fn the_larger_of_two_clocks_counts() {
        let (window, called) = window(false);
        let may = |mono, wall| window.may_start(after(called, mono, wall));
        assert!(may(7999, 7999));
        assert!(!may(8000, 8000));
        assert!(!may(0, 8000), "suspended: only wall time went on");
        assert!(!may(8000, 0), "the wall clock was set back");
        assert!(window.is_trusted(after(called, 10_999, 0)));
        assert!(!window.is_trusted(after(called, 11_000, 0)));
    }

    #[test]
    fn a_step_of_the_wall_clock_is_told_from_time_that_went_by() {
        let (window, called) = window(false);
        let limit = Duration::from_secs(8);
        let ahead = |mono, wall| window.ran_ahead(limit, after(called, mono, wall));
        assert_eq!(ahead(8000, 8000), None);
        assert_eq!(
            ahead(9000, 3_609_000),
            None,
            "it has been silent for long enough besides"
        );
        assert_eq!(ahead(2000, 62_000), Some(Duration::from_secs(60)));
    }

    #[test]
    fn processes_are_gone_before_anybody_may_settle() {
        for lost_after in [0, 1, 2, 3, 5, 30, 3600] {
            let lost_after = Duration::from_secs(lost_after);
            let limits = ContactLimits::new(TTL, lost_after);
            assert!(limits.term < limits.kill && limits.kill < limits.dead);
            let margin = Duration::from_secs(1);
            assert!(limits.dead + margin <= TTL + lost_after, "{lost_after:?}");
        }
        let limits = ContactLimits::new(TTL, Duration::from_secs(30));
        assert_eq!(limits.term, Duration::from_secs(36));
        // Without any time beyond the lease, runs end when claims do.
        let limits = ContactLimits::new(TTL, Duration::ZERO);
        assert_eq!(limits.term, Duration::from_secs(8));
    }

    #[test]
    fn what_is_left_never_runs_backwards() {
        let (window, called) = window(false);
        let left = |ms| window.left(TTL, after(called, ms, ms));
        assert_eq!(left(2000), Duration::from_secs(10));
        assert_eq!(left(13_000), Duration::ZERO);
    }
}
