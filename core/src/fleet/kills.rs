//! Kills as this worker knows them: what the watch said, and what came with a claim.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures_util::StreamExt;

use super::config::FleetMutant;
use super::follow::{self, Follow};
use super::state::Shared;
use crate::backend::{Kill, Result};
use crate::run::RunId;

/// How many kills are remembered; the oldest are forgotten first. A store retains them for minutes.
const REMEMBERED: usize = 4096;

/// Kills by run.
#[derive(Debug, Default)]
pub(super) struct KillBook {
    kills: BTreeMap<RunId, Kill>,
    order: VecDeque<RunId>,
    /// Whether the watch has been set up: before that, nothing may be claimed.
    pub(super) watching: bool,
}

impl KillBook {
    pub(super) fn get(&self, run: &RunId) -> Option<&Kill> {
        self.kills.get(run)
    }

    /// Notes a kill; false if it is known.
    pub(super) fn note(&mut self, kill: Kill) -> bool {
        if self.kills.contains_key(&kill.run) {
            return false;
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.kills.remove(&oldest);
        }
        self.order.push_back(kill.run.clone());
        self.kills.insert(kill.run.clone(), kill);
        true
    }
}

/// Follows the kills.
#[derive(Debug)]
pub(super) struct FollowKills;

impl Follow for FollowKills {
    const WHAT: &'static str = "kills";

    async fn once(shared: &Arc<Shared>) -> Result<()> {
        let kills = &shared.coordination.kills;
        let mut events = follow::in_time(shared, "kills.watch", kills.watch()).await?;
        shared.update(|state| state.kills.watching = true);
        while let Some(kill) = events.next().await {
            let kill = kill?;
            if !shared.config.is(FleetMutant::DeafToKills) {
                shared.update(|state| state.note_kill(kill));
            }
        }
        Ok(())
    }
}
