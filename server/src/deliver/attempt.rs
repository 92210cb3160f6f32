//! One claimed alert: what its target's policy makes of it, and its try.

use std::time::Duration;

use sandclock_core::alerting::{Step, copy};
use sandclock_core::backend::{Alert, AlertKind, ClaimEnd, ClaimedAlert, Later};
use sandclock_core::random::unit;
use sandclock_core::{BackendError, Timestamp};
use tokio::time::{Instant, timeout};

use super::claims::Held;
use super::message::Message;
use super::outlet::{Outlet, Refusal};
use super::{Delivery, Fault};

/// In which a target's pace is counted.
const MINUTE: Duration = Duration::from_secs(60);
/// How many alerts one message holds beside the first.
const MOST_PARTS: u32 = 100;
/// How long an alert waits for others on their way to its target before it is put off, and for how long it is then. A
/// target that hangs may have many alerts: put off for less, those would be due again before those of other targets,
/// which came after them, have had their turn.
const PATIENCE: Duration = Duration::from_secs(1);
const BUSY: Duration = Duration::from_secs(30);
/// So much of a claim is left for recording when a try must be over.
const MARGIN: Duration = Duration::from_secs(2);
/// A target that asks for patience gets no more than this.
const LONGEST_PATIENCE: Duration = Duration::from_secs(3_600);

impl Delivery {
    /// Deals with a claimed alert.
    pub(super) async fn attempt(&self, held: Held) {
        self.deal(&held).await;
        if held.leads {
            self.leading().remove(&held.claimed.alert.draft.target);
        }
    }

    async fn deal(&self, held: &Held) {
        let alert = &held.claimed.alert;
        if let Some(end) = self.unrecorded.get(&alert.id) {
            // It was sent before, and only the outbox does not know yet.
            return self.record(held, &end).await;
        }
        let target = &alert.draft.target;
        let done = match self.outlets.get(target) {
            Some(outlet) => self.to(outlet, held).await,
            None => {
                let known: Vec<_> = self.outlets.keys().map(String::as_str).collect();
                let known = known.join(", ");
                let why = format!("there is no target {target:?}; there are {known}");
                self.failed(held, None, &why.into()).await;
                Ok(())
            }
        };
        if let Err(error) = done {
            tracing::warn!(alert = %alert.id, %error, "the alert outbox does not answer; the alert is left for later");
        }
    }

    async fn to(&self, outlet: &Outlet, held: &Held) -> Result<(), BackendError> {
        let (alert, now) = (&held.claimed.alert, self.clock.now());
        self.escalate(outlet, std::slice::from_ref(alert)).await?;
        match outlet.policy.step(alert, now) {
            Step::Drop => self.end(held, &ClaimEnd::Unwanted).await,
            Step::Wait { why, until } => self.wait(held, why, until.since(now)).await,
            Step::Divert { to, why, until } if !self.wants(&to, alert) => {
                let why = format!("{why}: {to} is not told of recoveries");
                self.wait(held, why, until.since(now)).await
            }
            Step::Divert { to, why, .. } => {
                let copy = copy(alert, AlertKind::Diversion, &to, now);
                let into = copy.id.clone();
                self.outbox.put(&[copy]).await?;
                let why = format!("{why}: {to} is told instead");
                self.end(held, &ClaimEnd::Moved { into, why }).await
            }
            Step::Send => {
                let Ok(Ok(_place)) = timeout(PATIENCE, outlet.places.acquire()).await else {
                    let why = "others are on their way to its target".to_owned();
                    return self.wait(held, why, BUSY).await;
                };
                self.send(outlet, held).await
            }
        }
    }

    /// Whether this target is told of such alerts: what it would drop is not lost to the one that it was meant for.
    fn wants(&self, target: &str, alert: &Alert) -> bool {
        let recovery = |outlet: &Outlet| outlet.policy.recovery;
        alert.kind != AlertKind::Recovery || self.outlets.get(target).is_some_and(recovery)
    }

    async fn end(&self, held: &Held, end: &ClaimEnd) -> Result<(), BackendError> {
        let (id, claim) = (&held.claimed.alert.id, held.claimed.claim);
        self.outbox.end(id, claim, end).await.map(drop)
    }

    pub(super) async fn wait(
        &self,
        held: &Held,
        why: String,
        wait: Duration,
    ) -> Result<(), BackendError> {
        let until = self.later(wait);
        self.end(held, &ClaimEnd::Waits { why, until }).await
    }

    fn later(&self, wait: Duration) -> Later {
        let at = self.clock.now().plus(wait);
        Later { wait, at }
    }

    async fn send(&self, outlet: &Outlet, held: &Held) -> Result<(), BackendError> {
        let alert = &held.claimed.alert;
        if let Some(most) = outlet.policy.per_minute
            && let Some(wait) = self.outbox.pace(&alert.draft.target, most, MINUTE).await?
        {
            let why = format!("its target gets at most {most} messages a minute");
            return self.wait(held, why, wait).await;
        }
        let Some(parts) = self.parts(outlet, held).await? else {
            return Ok(());
        };
        let in_time = Instant::now() + outlet.timeout + MARGIN <= held.until;
        if !in_time && !self.is(Fault::LateSend) {
            // Somebody else could claim it while it is on its way.
            tracing::warn!(alert = %alert.id, "the alert outbox was slow; the alert is left for later");
            return Ok(());
        }
        if self.is(Fault::MarkedFirst) {
            self.end(held, &ClaimEnd::Delivered).await?;
        }
        match self.try_once(outlet, alert, &parts).await {
            Ok(()) => {
                self.figures.count(&alert.draft.target, "delivered");
                self.record(held, &ClaimEnd::Delivered).await;
            }
            Err(refusal) => self.failed(held, Some(outlet), &refusal).await,
        }
        Ok(())
    }

    /// The others in the alert's message, which is closed by then; `None` if the claim is over.
    async fn parts(
        &self,
        outlet: &Outlet,
        held: &Held,
    ) -> Result<Option<Vec<Alert>>, BackendError> {
        let ClaimedAlert { alert, claim } = &held.claimed;
        // A message may have been closed when the target still had a window.
        if outlet.policy.group.is_zero() && alert.parts == 0 {
            return Ok(Some(Vec::new()));
        }
        let Some(mut parts) = self.outbox.gather(&alert.id, *claim, MOST_PARTS).await? else {
            return Ok(None);
        };
        // Some may have been put just now, so that nobody has looked at them alone.
        self.escalate(outlet, &parts).await?;
        parts.retain(|part| outlet.policy.step(part, part.created_at) != Step::Drop);
        Ok(Some(parts))
    }

    async fn try_once(
        &self,
        outlet: &Outlet,
        alert: &Alert,
        parts: &[Alert],
    ) -> Result<(), Refusal> {
        let mut message = Message::new(alert, parts);
        if self.is(Fault::NewKey) {
            message.key = format!("{}-{}", message.key, self.random.next_u64());
        }
        let telemetry = self.telemetry.as_ref();
        let begun = telemetry.map(|telemetry| telemetry.begin_delivery(&alert.run));
        let sent = timeout(outlet.timeout, outlet.send(&message, self.clock.now()));
        let sent = sent.await.unwrap_or_else(|_| {
            let seconds = outlet.timeout.as_secs();
            Err(format!("the target did not answer within {seconds} s").into())
        });
        if let (Some(telemetry), Some(begun)) = (telemetry, begun) {
            telemetry.end_delivery(begun, alert, sent.is_ok());
        }
        sent
    }

    /// A try came to nothing; without an outlet there was nowhere to try.
    async fn failed(&self, held: &Held, outlet: Option<&Outlet>, refusal: &Refusal) {
        let alert = &held.claimed.alert;
        let retry = outlet.map(|outlet| outlet.policy.retry).unwrap_or_default();
        let pause = retry.pause(alert.tries.saturating_add(1), unit(&*self.random));
        let asked = refusal.patience.unwrap_or_default().min(LONGEST_PATIENCE);
        let again = pause.map(|pause| self.later(pause.max(asked)));
        let (id, target, why) = (&alert.id, &alert.draft.target, refusal.why.as_str());
        tracing::warn!(alert = %id, target, why, given_up = again.is_none(), "alert not delivered");
        let known = if outlet.is_some() {
            target.as_str()
        } else {
            ""
        };
        let outcome = if again.is_some() {
            "failed"
        } else {
            "given_up"
        };
        self.figures.count(known, outcome);
        let error = why.to_owned();
        self.record(held, &ClaimEnd::Failed { error, again }).await;
    }
}

/// When a message is sent, for its signature and its date.
pub(super) type Now = Timestamp;
