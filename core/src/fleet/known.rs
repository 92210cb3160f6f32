//! What a worker knows when it judges the records of a job: the answers to the rules in `rescue`.

use std::time::Duration;

use super::clock::Now;
use super::config::FleetMutant;
use super::rescue::Knowledge;
use super::state::{Shared, State};
use crate::backend::{Kill, OpenRecord, OpenState, SessionId};
use crate::job::JobName;
use crate::random;
use crate::run::{RunId, RunKey};

/// What the rules about records may ask.
pub(super) struct Known<'a> {
    /// The local views.
    pub(super) state: &'a State,
    /// The worker.
    pub(super) shared: &'a Shared,
    /// The moment that is asked about.
    pub(super) now: Now,
    /// The job whose records are looked at.
    pub(super) job: &'a JobName,
}

impl Knowledge for Known<'_> {
    fn gone_for(&self, session: &SessionId) -> Option<Duration> {
        let since = self.state.peers.gone_since(session)?;
        if self.shared.config.is(FleetMutant::SettleEarly) {
            return Some(Duration::MAX);
        }
        Some(self.now.mono.saturating_duration_since(since))
    }

    fn is_orphan(&self, open: &OpenRecord) -> bool {
        let OpenState::Claimed { session, nonce, .. } = &open.state else {
            return false;
        };
        let ignored = self.shared.config.is(FleetMutant::UnknownIsFailure);
        !ignored
            && self.state.is_mine(session)
            && !self.state.claims.knows(&open.job, &open.key, *nonce)
    }

    fn kill(&self, run: &RunId) -> Option<&Kill> {
        self.state.kills.get(run)
    }

    fn is_pending(&self, key: &RunKey) -> bool {
        let id = (self.job.clone(), key.clone());
        self.state.pending.contains(&id) || self.state.claims.held.contains_key(&id)
    }

    fn me(&self) -> &str {
        &self.shared.config.name
    }

    fn dice(&self) -> f64 {
        random::unit(&*self.shared.random)
    }
}
