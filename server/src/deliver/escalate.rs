//! Copies for others where the jobs of alerts have failed so often.
//!
//! Each alert is looked at when it is claimed. One that waits, for the end of quiet hours or of the pause after a failed
//! try, is not claimed, and further failures may be folded into it meanwhile; so those that wait are looked through now
//! and then. Every server does that: a copy is put once, by its id. The outbox need not know of marks (A2).

use std::collections::BTreeSet;
use std::future::pending;
use std::time::Duration;

use sandclock_core::BackendError;
use sandclock_core::backend::{Alert, AlertId, AlertState};
use tokio::time::sleep;

use super::Delivery;
use super::outlet::Outlet;

/// How long after the end of one look the next begins, and after how long it goes on to its next page.
const LOOK: Duration = Duration::from_secs(5);
const TURN: Duration = Duration::from_secs(1);

/// How many alerts are looked at at once.
const PAGE: u32 = 200;

impl Delivery {
    /// Puts copies for others where the alerts' jobs have failed so often. They are put once, by their ids.
    pub(super) async fn escalate(
        &self,
        outlet: &Outlet,
        alerts: &[Alert],
    ) -> Result<(), BackendError> {
        let now = self.clock.now();
        let alerts = alerts.iter();
        let copies = alerts.flat_map(|alert| outlet.policy.escalations(alert, now));
        let copies: Vec<_> = copies.collect();
        match copies.is_empty() {
            true => Ok(()),
            false => self.outbox.put(&copies).await,
        }
    }

    /// Looks through the alerts that wait, for ever.
    pub(super) async fn escalate_waiting(&self) {
        let mut outlets = self.outlets.values();
        if outlets.all(|outlet| outlet.policy.escalate.is_empty()) {
            return pending().await;
        }
        let mut known = BTreeSet::new();
        loop {
            sleep(LOOK).await;
            if let Err(error) = self.look(&mut known).await {
                tracing::debug!(%error, "the alerts that wait are looked at later");
            }
        }
    }

    /// Looks through them once. Copies that are `known` are in the outbox already.
    async fn look(&self, known: &mut BTreeSet<AlertId>) -> Result<(), BackendError> {
        let (mut page, mut due) = (None, BTreeSet::new());
        loop {
            let waiting = Some(AlertState::Pending);
            let found = self.outbox.list(waiting, page.as_ref(), PAGE).await?;
            let now = self.clock.now();
            let joined = found.items.iter().filter(|alert| alert.folded > 0);
            let copies = joined.flat_map(|alert| {
                let outlet = self.outlets.get(&alert.draft.target);
                outlet.map_or_else(Vec::new, |outlet| outlet.policy.escalations(alert, now))
            });
            let copies: Vec<_> = copies.collect();
            due.extend(copies.iter().map(|copy| copy.id.clone()));
            let is_new = |copy: &Alert| !known.contains(&copy.id);
            let new: Vec<_> = copies.into_iter().filter(is_new).collect();
            if !new.is_empty() {
                self.outbox.put(&new).await?;
            }
            page = found.next;
            if page.is_none() {
                *known = due;
                return Ok(());
            }
            sleep(TURN).await;
        }
    }
}
