//! The alert outbox of the model.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryStore;
use super::runs::place_of;
use crate::backend::{
    Alert, AlertId, AlertOutbox, AlertState, ClaimEnd, ClaimedAlert, Later, Page, PageToken, Result,
};
use crate::error::{BackendError, ErrorKind};
use crate::job::JobName;
use crate::run::RunId;
use crate::time::Timestamp;

/// Alerts in the order in which they were put.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Counts alerts and claims that were ever made.
    counter: u64,
    alerts: BTreeMap<u64, Stored>,
    /// Every alert that was put, folded ones too.
    seen: BTreeSet<AlertId>,
    /// The last sends to each target.
    sends: BTreeMap<String, VecDeque<Instant>>,
}

#[derive(Debug)]
struct Stored {
    alert: Alert,
    due: Instant,
    /// The claim, and when it runs out.
    claim: Option<(u64, Instant)>,
    /// Whether what its message holds is closed.
    closed: bool,
}

impl Stored {
    fn is_held(&self, now: Instant) -> bool {
        self.claim.is_some_and(|(_, until)| until > now)
    }

    fn put_off(&mut self, until: Later, now: Instant) {
        self.due = now + until.wait;
        self.alert.next_try = Some(until.at);
    }

    /// What the end of its claim makes of it.
    fn end(&mut self, end: &ClaimEnd, now: Instant) {
        let alert = &mut self.alert;
        (alert.waits, alert.next_try) = (None, None);
        match end {
            ClaimEnd::Delivered | ClaimEnd::Unwanted => {
                alert.tries += 1;
                alert.state = AlertState::Delivered;
            }
            ClaimEnd::Failed { error, again } => {
                alert.tries += 1;
                alert.last_error = Some(error.clone());
                match again {
                    Some(until) => self.put_off(*until, now),
                    None => alert.state = AlertState::Failed,
                }
            }
            ClaimEnd::Waits { why, until } => {
                alert.waits = Some(why.clone());
                self.put_off(*until, now);
            }
            ClaimEnd::Moved { into, why } => {
                alert.state = AlertState::Moved;
                alert.waits = Some(why.clone());
                alert.part_of = Some(into.clone());
            }
        }
    }
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
            twin.alert.failures = twin.alert.failures.max(alert.failures);
            return;
        }
        self.counter += 1;
        let stored = Stored {
            alert: alert.clone(),
            due: now,
            claim: None,
            closed: false,
        };
        self.alerts.insert(self.counter, stored);
    }

    fn claim(&mut self, max: usize, lease: Duration, now: Instant) -> Vec<ClaimedAlert> {
        let due = self.alerts.values_mut().filter(|stored| {
            stored.alert.state == AlertState::Pending && stored.due <= now && !stored.is_held(now)
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

    /// The place of the alert, if the claim is its present one and nobody has dealt with it meanwhile.
    fn claimed(&self, id: &AlertId, claim: u64) -> Option<u64> {
        let mine = |stored: &Stored| {
            stored.alert.id == *id
                && stored.claim.is_some_and(|(present, _)| present == claim)
                && stored.alert.state == AlertState::Pending
        };
        let mut alerts = self.alerts.iter();
        alerts.find_map(|(place, stored)| mine(stored).then_some(*place))
    }

    fn end(&mut self, id: &AlertId, claim: u64, end: &ClaimEnd, now: Instant) -> bool {
        let Some(place) = self.claimed(id, claim) else {
            return false;
        };
        if *end == ClaimEnd::Unwanted {
            self.alerts.remove(&place);
            self.seen.remove(id);
        }
        if let Some(stored) = self.alerts.get_mut(&place) {
            stored.claim = None;
            stored.end(end, now);
        }
        true
    }

    fn gather(
        &mut self,
        id: &AlertId,
        claim: u64,
        most: usize,
        now: Instant,
    ) -> Option<Vec<Alert>> {
        let place = self.claimed(id, claim)?;
        let stored = self.alerts.get_mut(&place)?;
        let target = stored.alert.draft.target.clone();
        if !std::mem::replace(&mut stored.closed, true) {
            let free = self.alerts.iter_mut().filter(|(other, stored)| {
                **other != place
                    && stored.alert.state == AlertState::Pending
                    && stored.alert.draft.target == target
                    && stored.alert.tries == 0
                    && !stored.closed
                    && !stored.is_held(now)
            });
            let mut parts = 0;
            for (_, stored) in free.take(most) {
                parts += 1;
                let alert = &mut stored.alert;
                alert.state = AlertState::Grouped;
                alert.part_of = Some(id.clone());
                (alert.waits, alert.next_try) = (None, None);
            }
            self.alerts.get_mut(&place)?.alert.parts = parts;
        }
        let part = |stored: &&Stored| {
            stored.alert.state == AlertState::Grouped && stored.alert.part_of.as_ref() == Some(id)
        };
        let parts = self.alerts.values().filter(part);
        Some(parts.map(|stored| stored.alert.clone()).collect())
    }

    fn pace(
        &mut self,
        target: &str,
        most: usize,
        window: Duration,
        now: Instant,
    ) -> Option<Duration> {
        let sends = self.sends.entry(target.to_owned()).or_default();
        sends.retain(|sent| now < *sent + window);
        if sends.len() < most {
            sends.push_back(now);
            return None;
        }
        // More than `most` were allowed before: enough of them have to be past.
        let free = sends.get(sends.len().saturating_sub(most.max(1)));
        free.map(|sent| (*sent + window) - now)
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

    async fn end(&self, id: &AlertId, claim: u64, end: &ClaimEnd) -> Result<bool> {
        Ok((self.shared).change(|state| state.outbox.end(id, claim, end, Instant::now())))
    }

    async fn gather(&self, id: &AlertId, claim: u64, most: u32) -> Result<Option<Vec<Alert>>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Ok((self.shared).change(|state| state.outbox.gather(id, claim, most, Instant::now())))
    }

    async fn pace(&self, target: &str, most: u32, window: Duration) -> Result<Option<Duration>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Ok((self.shared).change(|state| state.outbox.pace(target, most, window, Instant::now())))
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
            if let Some(other) = &stored.alert.part_of {
                let refused = BackendError::new("outbox.set", ErrorKind::Conflict);
                return Err(refused.context(other));
            }
            let alert = &mut stored.alert;
            alert.state = state;
            (alert.waits, alert.next_try) = (None, None);
            stored.due = Instant::now();
            stored.claim = None;
            Ok(())
        })
    }

    async fn get(&self, id: &AlertId) -> Result<Option<Alert>> {
        Ok((self.shared).change(|state| Some(state.outbox.find(id)?.alert.clone())))
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

    async fn of_run(&self, run: &RunId) -> Result<Vec<Alert>> {
        Ok(self.shared.change(|state| {
            let alerts = state.outbox.alerts.values();
            let found = alerts.map(|stored| &stored.alert);
            found.filter(|alert| alert.run == *run).cloned().collect()
        }))
    }

    async fn of_job(&self, job: &JobName, after: Timestamp, limit: u32) -> Result<Vec<Alert>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let of_job = |alert: &&Alert| alert.job == *job && alert.created_at > after;
        Ok(self.shared.change(|state| {
            let alerts = state.outbox.alerts.values().rev();
            let found = alerts.map(|stored| &stored.alert).filter(of_job);
            found.take(limit).cloned().collect()
        }))
    }
}
