//! The alert outbox of the model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryStore;
use super::runs::place_of;
use crate::backend::{
    Alert, AlertId, AlertOutbox, AlertState, ClaimedAlert, Page, PageToken, Result,
};
use crate::error::{BackendError, ErrorKind};

/// Alerts in the order in which they were put.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Counts alerts and claims that were ever made.
    counter: u64,
    alerts: BTreeMap<u64, Stored>,
    /// Every alert that was put, folded ones too.
    seen: BTreeSet<AlertId>,
}

#[derive(Debug)]
struct Stored {
    alert: Alert,
    due: Instant,
    /// The claim, and when it runs out.
    claim: Option<(u64, Instant)>,
}

impl Outbox {
    fn put(&mut self, alert: &Alert, now: Instant) {
        if !self.seen.insert(alert.id.clone()) {
            return;
        }
        let twin = self
            .alerts
            .values_mut()
            .find(|old| folds_into(alert, &old.alert));
        if let Some(twin) = twin {
            twin.alert.folded += 1;
            return;
        }
        self.counter += 1;
        let stored = Stored {
            alert: alert.clone(),
            due: now,
            claim: None,
        };
        self.alerts.insert(self.counter, stored);
    }

    fn claim(&mut self, max: usize, lease: Duration, now: Instant) -> Vec<ClaimedAlert> {
        let due = self.alerts.values_mut().filter(|stored| {
            stored.alert.state == AlertState::Pending
                && stored.due <= now
                && stored.claim.is_none_or(|(_, until)| until <= now)
        });
        let mut claimed = Vec::new();
        for stored in due.take(max) {
            self.counter += 1;
            stored.claim = Some((self.counter, now + lease));
            claimed.push(ClaimedAlert {
                alert: stored.alert.clone(),
                claim: self.counter,
            });
        }
        claimed
    }

    /// The alert, if the claim is its present one and nobody has dealt with it meanwhile. The claim ends.
    fn claimed(&mut self, id: &AlertId, claim: u64) -> Option<&mut Stored> {
        let stored = self.find(id)?;
        let mine = stored.claim.is_some_and(|(present, _)| present == claim);
        (mine && stored.alert.state == AlertState::Pending).then(|| {
            stored.claim = None;
            stored.alert.tries += 1;
            stored
        })
    }

    fn find(&mut self, id: &AlertId) -> Option<&mut Stored> {
        self.alerts
            .values_mut()
            .find(|stored| stored.alert.id == *id)
    }

    fn list(&self, state: Option<AlertState>, before: u64, limit: usize) -> Page<Alert> {
        let mut found = (self.alerts.range(..before).rev())
            .filter(|(_, stored)| state.is_none_or(|state| stored.alert.state == state))
            .peekable();
        let mut items = Vec::new();
        let mut next = None;
        while items.len() < limit
            && let Some((place, stored)) = found.next()
        {
            items.push(stored.alert.clone());
            next = Some(PageToken(place.to_string()));
        }
        if found.peek().is_none() {
            next = None;
        }
        Page { items, next }
    }
}

/// Whether a new alert is one with an alert that is on its way.
fn folds_into(new: &Alert, old: &Alert) -> bool {
    old.state == AlertState::Pending
        && new.draft.dedupe_key.is_some()
        && new.draft.dedupe_key == old.draft.dedupe_key
        && new.draft.target == old.draft.target
}

#[async_trait]
impl AlertOutbox for MemoryStore {
    async fn put(&self, alerts: &[Alert]) -> Result<()> {
        self.shared.change(|state| {
            let now = Instant::now();
            alerts.iter().for_each(|alert| state.outbox.put(alert, now));
        });
        Ok(())
    }

    async fn claim(&self, max: u32, lease: Duration) -> Result<Vec<ClaimedAlert>> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Ok(self
            .shared
            .change(|state| state.outbox.claim(max, lease, Instant::now())))
    }

    async fn delivered(&self, id: &AlertId, claim: u64) -> Result<()> {
        self.shared.change(|state| {
            if let Some(stored) = state.outbox.claimed(id, claim) {
                stored.alert.state = AlertState::Delivered;
            }
        });
        Ok(())
    }

    async fn failed(
        &self,
        id: &AlertId,
        claim: u64,
        error: &str,
        again: Option<Duration>,
    ) -> Result<()> {
        self.shared.change(|state| {
            let Some(stored) = state.outbox.claimed(id, claim) else {
                return;
            };
            stored.alert.last_error = Some(error.to_owned());
            match again {
                Some(wait) => stored.due = Instant::now() + wait,
                None => stored.alert.state = AlertState::Failed,
            }
        });
        Ok(())
    }

    async fn set(&self, id: &AlertId, state: AlertState) -> Result<()> {
        if !matches!(state, AlertState::Pending | AlertState::Acknowledged) {
            let refused = BackendError::new("outbox.set", ErrorKind::InvalidConfig);
            return Err(refused.context(format!("state {} cannot be set", state.as_str())));
        }
        self.shared.change(|store| {
            let Some(stored) = store.outbox.find(id) else {
                return Err(BackendError::new("outbox.set", ErrorKind::NotFound).context(id));
            };
            stored.alert.state = state;
            stored.due = Instant::now();
            stored.claim = None;
            Ok(())
        })
    }

    async fn list(
        &self,
        state: Option<AlertState>,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<Alert>> {
        let before = place_of(page, "outbox.list")?;
        let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
        Ok((self.shared).change(|store| store.outbox.list(state, before, limit)))
    }
}
