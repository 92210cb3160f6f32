//! Claiming what is due, at a pace that leaves others their share.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use sandclock_core::alerting::Step;
use sandclock_core::backend::{Alert, ClaimedAlert};
use tokio::time::{Instant, sleep};

use super::Delivery;

/// How often the outbox is asked while nothing is due.
const POLL: Duration = Duration::from_secs(1);
/// How many are claimed at once.
const BATCH: u32 = 8;
/// After an outbox was away nobody claims for so long: whoever has sent something meanwhile records it first. Their
/// tries to do so are a second apart.
const GRACE: Duration = Duration::from_secs(4);

/// How long an alert that goes out with others is left to the one that leads them.
const COMPANY: Duration = Duration::from_secs(5);

/// What is waited for before the next claim.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    time: Duration,
    /// The outbox did not answer the last time.
    away: bool,
}

/// A claimed alert.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) claimed: ClaimedAlert,
    /// The claim certainly holds until then.
    pub(super) until: Instant,
    /// It is the first of those that go out as one message; no other of its target is dealt with meanwhile.
    pub(super) leads: bool,
}

impl Delivery {
    /// The next alerts, after the pause.
    pub(super) async fn next(&self, pause: Pause) -> (Pause, Vec<Held>) {
        tokio::select! {
            () = sleep(pause.time) => {}
            () = self.unrecorded.closing() => {}
        }
        let room = self.room();
        let poll = |away| Pause { time: POLL, away };
        if room == 0 || self.unrecorded.is_closed() {
            return (poll(pause.away), Vec::new());
        }
        if pause.away && self.outbox.list(None, None, 1).await.is_err() {
            return (poll(true), Vec::new());
        }
        if pause.away {
            tracing::info!("the alert outbox answers again");
            let time = GRACE;
            return (Pause { time, away: false }, Vec::new());
        }
        let until = Instant::now() + self.lease;
        match self.outbox.claim(room, self.lease).await {
            Ok(claimed) => {
                let time = if claimed.is_empty() {
                    POLL
                } else {
                    Duration::ZERO
                };
                let held = self.with_their_leaders(claimed, until).await;
                (Pause { time, away: false }, held)
            }
            Err(error) => {
                tracing::warn!(%error, "the alert outbox does not answer");
                (poll(true), Vec::new())
            }
        }
    }

    /// Those that are dealt with alone or lead others. The others go back, unclaimed, so that a leader can take them
    /// into its message.
    async fn with_their_leaders(&self, claimed: Vec<ClaimedAlert>, until: Instant) -> Vec<Held> {
        let mut held = Vec::with_capacity(claimed.len());
        for claimed in claimed {
            let joins = self.joins(&claimed.alert);
            let leads = joins && self.leading().insert(claimed.alert.draft.target.clone());
            let one = Held {
                claimed,
                until,
                leads,
            };
            if leads || !joins {
                held.push(one);
                continue;
            }
            let why = "it goes out with others to its target".to_owned();
            if let Err(error) = self.wait(&one, why, COMPANY).await {
                tracing::debug!(alert = %one.claimed.alert.id, %error, "the alert is left for later");
            }
        }
        held
    }

    /// Whether the alert would be sent now, perhaps with others.
    fn joins(&self, alert: &Alert) -> bool {
        let outlet = self.outlets.get(&alert.draft.target);
        outlet.is_some_and(|outlet| {
            let alone = outlet.policy.group.is_zero() || alert.tries > 0 || alert.parts > 0;
            !alone && outlet.policy.step(alert, self.clock.now()) == Step::Send
        })
    }

    /// The targets for which an alert leads others.
    pub(super) fn leading(&self) -> MutexGuard<'_, BTreeSet<String>> {
        let leading = self.leading.lock();
        leading.unwrap_or_else(PoisonError::into_inner)
    }

    /// How many alerts there is room for.
    fn room(&self) -> u32 {
        let free = super::AT_ONCE.saturating_sub(self.in_hand.load(Ordering::Relaxed));
        u32::try_from(free).unwrap_or(u32::MAX).min(BATCH)
    }
}
