//! Recording what came of a try, for as long as it takes.
//!
//! What was tried stands in [`Unrecorded`] until the outbox has it. If the claim runs out meanwhile and this process
//! claims the alert again, it finds it there and records it under the new claim, instead of sending it again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sandclock_core::backend::{AlertId, ClaimEnd};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::claims::Held;
use super::{Delivery, Fault};

/// How long after a failure the outbox is told again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long what came of an alert is kept in mind once its claim is over: long enough for this process to learn that it
/// has claimed the alert again. If it has not, others have dealt with it.
const KEPT: Duration = Duration::from_secs(60);
/// How long a delivery that ends tries to tell an outbox that is away. If another takes its place, that knows of it.
const AT_THE_END: Duration = Duration::from_secs(5);

/// What came of alerts, and since when the claim is known to be over.
type Ends = BTreeMap<AlertId, (ClaimEnd, Option<Instant>)>;

/// What the outbox does not know yet: of this process, whichever of its deliveries tried. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tried(Arc<Mutex<Ends>>);

/// The same, as one delivery sees it.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    tried: Tried,
    closed: AtomicBool,
    closing: Notify,
}

impl Unrecorded {
    pub(super) fn new(tried: Tried) -> Self {
        Self {
            tried,
            ..Self::default()
        }
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.tried.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of an alert, if the outbox does not know it.
    pub(super) fn get(&self, id: &AlertId) -> Option<ClaimEnd> {
        let ends = self.ends();
        let (end, over) = ends.get(id)?;
        let counts = over.is_none_or(|over| over.elapsed() < KEPT);
        counts.then(|| end.clone())
    }

    fn keep(&self, id: &AlertId, end: &ClaimEnd) {
        let now = Instant::now();
        let mut ends = self.ends();
        let counts = |over: &Option<Instant>| {
            over.is_none_or(|over| now.saturating_duration_since(over) < KEPT)
        };
        ends.retain(|_, (_, over)| counts(over));
        ends.insert(id.clone(), (end.clone(), None));
    }

    fn claim_is_over(&self, id: &AlertId) {
        if let Some((_, over)) = self.ends().get_mut(id) {
            *over = Some(Instant::now());
        }
    }

    /// From now on nothing is claimed, and an outbox that is away is not waited for.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.closing.notify_one();
    }

    /// Comes back once it is closed, to the one that waits.
    pub(super) async fn closing(&self) {
        self.closing.notified().await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Delivery {
    /// Tells the outbox what came of a try, again until it answers.
    pub(super) async fn record(&self, held: &Held, end: &ClaimEnd) {
        let (id, claim) = (&held.claimed.alert.id, held.claimed.claim);
        let forgets = self.is(Fault::Forgotten);
        // What was not delivered is tried again by whoever has it: there is nothing to keep from being repeated.
        if !forgets && *end == ClaimEnd::Delivered {
            self.unrecorded.keep(id, end);
        }
        let mut warned = false;
        let mut left: Option<Instant> = None;
        loop {
            let error = match self.outbox.end(id, claim, end).await {
                Ok(true) => {
                    self.unrecorded.ends().remove(id);
                    return;
                }
                // The claim was over. Whoever has the alert now is this process, which remembers, or another.
                Ok(false) => {
                    self.unrecorded.claim_is_over(id);
                    return;
                }
                Err(error) => error,
            };
            if !std::mem::replace(&mut warned, true) {
                tracing::warn!(alert = %id, %error, "the alert outbox cannot be told what came of an alert");
            }
            if forgets {
                return;
            }
            if self.unrecorded.is_closed() {
                let until = *left.get_or_insert_with(|| Instant::now() + AT_THE_END);
                if Instant::now() >= until {
                    tracing::warn!(alert = %id, "it is not told any more; if the process ends now, the alert is sent again");
                    return;
                }
            }
            sleep(AGAIN).await;
        }
    }
}
