//! The chores of a fleet, which one elected server does for all.
//!
//! Every server could do them at any time; two would only ask the stores twice (A4). So the election is cheap and
//! forgiving: a server that hears nothing of the store stops its chores before its lease is over, and another begins
//! once it is. Which server leads says the gauge `sandclock_leader`.
//!
//! The seat is the one that Go masters look for. The chores beside holding it are the audit trail's (see
//! [`crate::audit`]), and forgetting sessions that have ended (see [`crate::access`]): what every worker can do it does, by rank and without a leader (see `core::fleet`): it settles what
//! others left behind, records what was missed, and prunes the run log; and every server sends alerts, by claim (see
//! [`crate::deliver`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sandclock_core::ErrorKind;
use sandclock_core::backend::{Candidate, Docs, Leadership};
use sandclock_core::time::Clock;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::access;
use crate::audit::Trail;

/// The lease: a leader that is gone is replaced within it.
const TTL: Duration = Duration::from_secs(10);
/// How often the leader renews it.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// So much before the lease may be over the chores stop.
const MARGIN: Duration = Duration::from_secs(1);
/// How often the others look whether anybody leads, and a leader repeats a renewal that failed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a server that ends may take to make room.
const RESIGN: Duration = Duration::from_secs(2);

/// Whether this server leads.
#[derive(Clone, Debug, Default)]
pub struct Leads(Arc<AtomicBool>);

impl Leads {
    /// Whether it does its chores now.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, leads: bool) {
        self.0.store(leads, Ordering::Relaxed);
    }
}

/// What a server does while it leads.
#[derive(Debug)]
pub struct Chores {
    /// The election.
    pub leadership: Arc<dyn Leadership>,
    /// This server in it.
    pub me: Candidate,
    /// Says whether it leads.
    pub leads: Leads,
    /// What waits for the run log, and what is old.
    pub trail: Arc<Trail>,
    /// Where sessions are kept.
    pub docs: Arc<dyn Docs>,
    /// Says which have ended.
    pub clock: Arc<dyn Clock>,
}

impl Chores {
    /// Leads whenever no other does, until `closing`; then makes room for another.
    pub async fn run(self, closing: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = closing => {}
            () = self.lead() => {}
            () = self.trail.tend() => {}
            () = access::sweep(&*self.docs, &*self.clock, &self.leads) => {}
        }
        if self.leads.get() {
            self.leads.set(false);
            if let Ok(Err(error)) = timeout(RESIGN, self.leadership.resign(&self.me)).await {
                tracing::debug!(%error, "could not make room for another leader");
            }
        }
    }

    async fn lead(&self) {
        let mut away = false;
        loop {
            let called = Instant::now();
            let answer = self.leadership.campaign(&self.me, TTL).await;
            if answer.is_ok() && std::mem::take(&mut away) {
                tracing::info!("the coordination store answers again");
            }
            match answer {
                Ok(Some(ttl)) if called.elapsed() + MARGIN < ttl => {
                    tracing::info!("leads: does the fleet's chores");
                    self.leads.set(true);
                    let why = self.keep(called, ttl).await;
                    tracing::warn!(why, "leads no more");
                    self.leads.set(false);
                }
                Ok(_) => {}
                // Told once: it is asked again for as long as it takes.
                Err(error) if !std::mem::replace(&mut away, true) => {
                    tracing::warn!(%error, "the coordination store does not answer; this server does no chores");
                }
                Err(error) => tracing::debug!(%error, "cannot tell whether anybody leads"),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Renews a lease of `ttl` that was asked for at `called`, until it is lost or may be; says why. The lease runs
    /// from a later moment than the call, so it is not over before this ends.
    async fn keep(&self, mut called: Instant, ttl: Duration) -> &'static str {
        let mut next = called + RENEW_EVERY;
        loop {
            let trusted_until = called + ttl.saturating_sub(MARGIN);
            sleep_until(next.min(trusted_until)).await;
            let now = Instant::now();
            match timeout_at(trusted_until, self.leadership.hold(&self.me)).await {
                Ok(Ok(())) => (called, next) = (now, now + RENEW_EVERY),
                Ok(Err(error)) if error.kind == ErrorKind::SessionLost => {
                    return "the store has ended its lease";
                }
                Ok(Err(_)) if now < trusted_until => next = now + LOOK_EVERY,
                Ok(Err(_)) | Err(_) => return "the store could not be reached in time",
            }
        }
    }
}
