//! Delivery of alerts from the outbox to their targets.
//!
//! Every server does it, and a claim in the outbox decides who sends which alert, so that it needs no leader (A4):
//!
//! ```text
//!  claim ──► what is to be done with it? ──► close its message ──► send ──► record what came of it
//!               │ waits, goes elsewhere, or nobody wants it                  (again until the outbox answers)
//! ```
//! An alert is sent first and recorded afterwards, so it arrives at least once. Who dies in between leaves a claim that
//! runs out, and whoever takes it over sends again, under the same `Idempotency-Key`: that, and a target that takes an
//! alert and does not say so, is how one is sent again that has arrived. An outbox that is away is none: what was sent is kept in mind and recorded
//! when it is back ([`record`]), and before anybody claims again then, there is time for that ([`claims`]).
//!
//! What the policy of a target makes of an alert is `core::alerting`'s to say; what goes over the wire is in
//! [`message`] and [`outlet`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use sandclock_core::backend::AlertOutbox;
use sandclock_core::random::Random;
use sandclock_core::time::Clock;

use crate::clock::SystemClock;
use crate::config::AlertSection;
use crate::random::SystemRandom;
use crate::telemetry::Telemetry;

mod attempt;
mod claims;
mod escalate;
mod figures;
mod message;
mod mutant;
mod outlet;
mod record;
mod sign;

pub use figures::{Deliveries, Figures};
use mutant::Mutant as Fault;
#[cfg(debug_assertions)]
pub use mutant::Mutant;
use outlet::Outlet;
pub use record::Tried;
use record::Unrecorded;

/// How many alerts are dealt with at once. To one target go fewer, so that one that hangs does not hold up the others.
const AT_ONCE: usize = 32;

/// Sends what is in the outbox.
#[derive(Debug)]
pub struct Delivery {
    outbox: Arc<dyn AlertOutbox>,
    outlets: BTreeMap<String, Outlet>,
    /// How long a claim holds.
    lease: Duration,
    clock: Arc<dyn Clock>,
    random: Box<dyn Random>,
    figures: Figures,
    /// How many alerts are being dealt with.
    in_hand: AtomicUsize,
    /// Targets for which an alert is dealt with that leads others.
    leading: Mutex<BTreeSet<String>>,
    unrecorded: Unrecorded,
    telemetry: Option<Telemetry>,
    #[cfg(debug_assertions)]
    mutant: Option<Fault>,
}

/// What keeps targets from being used that can be said without asking them, such as a file that is not there.
pub fn check_targets(section: &AlertSection) -> Vec<anyhow::Error> {
    let http = match outlet::http() {
        Ok(http) => http,
        Err(error) => return vec![error],
    };
    let targets = section.targets.iter();
    targets
        .filter_map(|(name, target)| Outlet::new(name, target, &http).err())
        .collect()
}

impl Delivery {
    /// To the targets of this configuration. Deliveries of one process, one in the place of another, have the same `figures`
    /// and `tried`.
    ///
    /// # Errors
    /// If a secret or certificate cannot be read, or a client cannot be made; names the target.
    pub fn new(
        outbox: Arc<dyn AlertOutbox>,
        section: &AlertSection,
        (figures, tried): (Figures, Tried),
    ) -> anyhow::Result<Self> {
        let http = outlet::http()?;
        let mut outlets = BTreeMap::new();
        for (name, target) in &section.targets {
            outlets.insert(name.clone(), Outlet::new(name, target, &http)?);
        }
        Ok(Self {
            outbox,
            outlets,
            lease: Duration::from_secs(section.take_over_s),
            clock: Arc::new(SystemClock),
            random: Box::new(SystemRandom),
            figures,
            in_hand: AtomicUsize::new(0),
            leading: Mutex::default(),
            unrecorded: Unrecorded::new(tried),
            telemetry: None,
            #[cfg(debug_assertions)]
            mutant: None,
        })
    }

    /// The same where tries are told of.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Option<Telemetry>) -> Self {
        Self { telemetry, ..self }
    }

    /// With a promise that is not kept.
    #[cfg(debug_assertions)]
    #[must_use]
    pub fn with_mutant(self, mutant: Mutant) -> Self {
        Self {
            mutant: Some(mutant),
            ..self
        }
    }

    #[cfg(debug_assertions)]
    fn is(&self, mutant: Fault) -> bool {
        self.mutant == Some(mutant)
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, reason = "as above")]
    const fn is(&self, _mutant: Fault) -> bool {
        false
    }

    /// Delivers until `closing`. Then it claims nothing more, and ends when what is on its way has come to an end, which
    /// takes as long as a try may. Dropped, it leaves what it had claimed to whoever takes it over.
    pub async fn run(&self, closing: impl Future<Output = ()>) {
        let mut tries = FuturesUnordered::new();
        let mut closing = Box::pin(closing);
        let mut looking = Box::pin(self.escalate_waiting());
        let mut open = true;
        let mut claiming = Some(Box::pin(self.next(claims::Pause::default())));
        while open || claiming.is_some() || !tries.is_empty() {
            tokio::select! {
                biased;
                () = &mut closing, if open => {
                    open = false;
                    self.unrecorded.close();
                }
                () = &mut looking, if open => {}
                Some(()) = tries.next(), if !tries.is_empty() => {
                    self.in_hand.store(tries.len(), Ordering::Relaxed);
                }
                (pause, claimed) = answer(claiming.as_mut()), if claiming.is_some() => {
                    tries.extend(claimed.into_iter().map(|held| Box::pin(self.attempt(held))));
                    self.in_hand.store(tries.len(), Ordering::Relaxed);
                    claiming = open.then(|| Box::pin(self.next(pause)));
                }
            }
        }
    }
}

/// The answer, if there was a question.
async fn answer<F: Future + Unpin>(question: Option<F>) -> F::Output {
    match question {
        Some(question) => question.await,
        None => std::future::pending().await,
    }
}
