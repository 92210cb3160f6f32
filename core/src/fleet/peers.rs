//! The other workers: who lives, and since when a session has been seen to be gone.
//!
//! All workers must read a schedule that names no zone in the same one, because the zone is part of what a mark
//! stands for: two that differ would each take the other's mark for one of an older definition, for ever. So if they
//! differ, the zone in which others decide already counts, and whoever comes later stands back.
//!
//! Absence is a statement about the store, so it needs evidence: either the store said `Gone`, or a
//! list that was read after the session was first mentioned does not hold it. Session ids are never
//! reused, so what is gone stays gone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::clock::{Clocks, Now};
use super::config::WorkerConfig;
use super::follow::{self, Follow};
use super::rank;
use super::state::Shared;
use crate::backend::{Result, SessionEvent, SessionId, WorkerInfo};
use crate::job::JobName;
use crate::run::RunKey;
use crate::time::Timestamp;

/// How long a session may be mentioned by records without being in the registry before the registry
/// is read anew.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);

/// The registry as this worker knows it.
#[derive(Debug)]
pub(super) struct Peers {
    me: Me,
    live: BTreeMap<SessionId, WorkerInfo>,
    gone: BTreeMap<SessionId, Instant>,
    /// Sessions that records mention and that are neither live nor gone as far as we know.
    expected: BTreeMap<SessionId, Instant>,
    clocks: Clocks,
    /// While a new watch sends what lives.
    list: Option<(Instant, BTreeMap<SessionId, WorkerInfo>)>,
    /// Whether a whole list has been read.
    pub(super) synced: bool,
}

/// This worker among its peers.
#[derive(Debug)]
struct Me {
    name: String,
    started_at: Timestamp,
    time_zone: String,
}

/// A worker that decides already and reads jobs that name no zone in another one, so that its zone counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elder {
    /// Its name.
    pub name: String,
    /// Its zone.
    pub time_zone: String,
    /// The zone of the worker that stands back.
    pub instead_of: String,
}

impl fmt::Display for Elder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this worker reads schedules that name no zone in {}, and worker {}, which decides already, in {}: \
             set the same default_time_zone for all workers",
            self.instead_of, self.name, self.time_zone
        )
    }
}

impl Peers {
    pub(super) fn new(config: &WorkerConfig, started_at: Timestamp, origin: Instant) -> Self {
        Self {
            me: Me {
                name: config.name.clone(),
                started_at,
                time_zone: config.time_zone.clone(),
            },
            live: BTreeMap::new(),
            gone: BTreeMap::new(),
            expected: BTreeMap::new(),
            clocks: Clocks::new(origin),
            list: None,
            synced: false,
        }
    }

    /// Records mention these sessions.
    pub(super) fn expect(&mut self, sessions: impl IntoIterator<Item = SessionId>, now: Instant) {
        for session in sessions {
            if !self.live.contains_key(&session) && !self.gone.contains_key(&session) {
                self.expected.entry(session).or_insert(now);
            }
        }
    }

    /// Forgets gone sessions that no record mentions.
    pub(super) fn prune(&mut self, mentioned: &std::collections::BTreeSet<SessionId>) {
        self.gone.retain(|session, _| mentioned.contains(session));
        self.expected
            .retain(|session, _| mentioned.contains(session));
    }

    /// Since when the session has been seen to be gone.
    pub(super) fn gone_since(&self, session: &SessionId) -> Option<Instant> {
        self.gone.get(session).copied()
    }

    /// Whether the registry has to be read anew to know about sessions that records mention.
    pub(super) fn is_in_doubt(&self, now: Instant) -> bool {
        self.expected
            .values()
            .any(|since| now.saturating_duration_since(*since) > UNKNOWN_FOR)
    }

    /// Whether a live session belongs to a worker of this name.
    pub(super) fn has_worker(&self, name: &str) -> bool {
        self.live.values().any(|info| info.name == name)
    }

    /// What live workers say of themselves.
    pub(super) fn workers(&self) -> impl Iterator<Item = (&SessionId, &WorkerInfo)> {
        self.live.iter()
    }

    /// How long this worker leaves this fire to others.
    pub(super) fn grace(&self, job: &JobName, key: &RunKey) -> Duration {
        rank::grace(&self.me.name, self.live.values(), job, key)
    }

    /// The worker whose zone counts instead of this worker's: the first of those that decide. A worker that does not
    /// yet decide comes after all of them; one that does, after those that started earlier.
    pub(super) fn elder(&self, decides: bool) -> Option<Elder> {
        fn age(info: &WorkerInfo) -> (Timestamp, &str) {
            (info.started_at, &info.name)
        }
        let me = (self.me.started_at, self.me.name.as_str());
        let deciding = self.others().filter(|info| !info.takes_nothing_new());
        let elder = deciding
            .filter(|info| info.time_zone.is_some() && (!decides || age(info) < me))
            .min_by_key(|info| age(info))?;
        let time_zone = elder.time_zone.clone()?;
        (time_zone != self.me.time_zone).then(|| Elder {
            name: elder.name.clone(),
            time_zone,
            instead_of: self.me.time_zone.clone(),
        })
    }

    fn others(&self) -> impl Iterator<Item = &WorkerInfo> + Clone {
        let live = self.live.values();
        live.filter(|info| info.name != self.me.name)
    }

    /// Whether this worker should leave ticks to others because of its clock.
    pub(super) fn doubts_clock(&self, now: Now) -> bool {
        let others = self
            .others()
            .map(|info| (info.name.as_str(), info.clock_doubted));
        self.clocks.doubts(now, others)
    }

    /// A new list begins.
    fn begin(&mut self, now: Instant) {
        self.list = Some((now, BTreeMap::new()));
    }

    /// Applies an event; returns the sessions that turned out to be gone.
    fn apply(&mut self, event: SessionEvent, now: Instant) -> Vec<SessionId> {
        match event {
            SessionEvent::Live(session, info) => {
                match &mut self.list {
                    // Of unknown age: it is no opinion about the time.
                    Some((_, list)) => {
                        list.insert(session, info);
                    }
                    None => {
                        self.clocks.heard(&info.name, info.wall_time, now);
                        self.expected.remove(&session);
                        // To take the dead for living costs time; the opposite could end a live run.
                        self.gone.remove(&session);
                        self.live.insert(session, info);
                    }
                }
                Vec::new()
            }
            SessionEvent::Gone(session) => {
                if let Some((_, list)) = &mut self.list {
                    list.remove(&session);
                }
                self.bury(session, now).into_iter().collect()
            }
            SessionEvent::DrainAsked(_) => Vec::new(),
            SessionEvent::Synced => self.adopt_list(now),
        }
    }

    fn adopt_list(&mut self, now: Instant) -> Vec<SessionId> {
        let Some((began, list)) = self.list.take() else {
            return Vec::new();
        };
        self.synced = true;
        let vanished = self
            .live
            .keys()
            .chain(
                self.expected
                    .iter()
                    .filter(|(_, mentioned)| **mentioned < began)
                    .map(|(session, _)| session),
            )
            .filter(|session| !list.contains_key(*session))
            .cloned();
        let vanished: Vec<SessionId> = vanished.collect();
        for (session, info) in list {
            self.expected.remove(&session);
            self.gone.remove(&session);
            self.live.insert(session, info);
        }
        vanished
            .into_iter()
            .filter_map(|session| self.bury(session, now))
            .collect()
    }

    fn bury(&mut self, session: SessionId, now: Instant) -> Option<SessionId> {
        self.expected.remove(&session);
        if let Some(info) = self.live.remove(&session)
            && !self.has_worker(&info.name)
        {
            self.clocks.forget(&info.name);
        }
        if self.gone.contains_key(&session) {
            return None;
        }
        self.gone.insert(session.clone(), now);
        Some(session)
    }
}

/// Follows the registry.
#[derive(Debug)]
pub(super) struct FollowSessions;

impl Follow for FollowSessions {
    const WHAT: &'static str = "sessions";

    async fn once(shared: &Arc<Shared>) -> Result<()> {
        let sessions = &shared.coordination.sessions;
        let began = Instant::now();
        let mut events = follow::in_time(shared, "sessions.live", sessions.live()).await?;
        shared.update(|state| state.peers.begin(began));
        while let Some(event) = events.next().await {
            let event = event?;
            let now = shared.now();
            if let SessionEvent::DrainAsked(session) = &event
                && shared.state().is_mine(session)
            {
                shared.drain_asked.set(true);
            }
            shared.update(|state| {
                let synced = event == SessionEvent::Synced;
                for session in state.peers.apply(event, now.mono) {
                    let jobs: Vec<JobName> = state.view.owned_by(&session).cloned().collect();
                    state.touch_all(jobs);
                    state.touch_done();
                }
                if synced {
                    let mentioned = state.view.owners();
                    state.peers.prune(&mentioned);
                }
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::rank::tests::worker;
    use super::*;

    fn info(name: &str, started_ms: i64, zone: Option<&str>) -> WorkerInfo {
        WorkerInfo {
            started_at: Timestamp::from_millis(started_ms),
            time_zone: zone.map(str::to_owned),
            ..worker(name)
        }
    }

    /// The elder of a worker that started at 10 and reads schedules in UTC.
    fn elder(decides: bool, others: &[WorkerInfo]) -> Option<String> {
        let config = WorkerConfig::new("me");
        let now = Instant::now();
        let mut peers = Peers::new(&config, Timestamp::from_millis(10), now);
        for (n, info) in others.iter().enumerate() {
            let live = SessionEvent::Live(SessionId(n.to_string()), info.clone());
            peers.apply(live, now);
        }
        Some(peers.elder(decides)?.name)
    }

    #[tokio::test]
    async fn the_zone_in_which_others_decide_already_counts() {
        let mine = info("mine", 4, Some("UTC"));
        let early = info("early", 5, Some("Asia/Tokyo"));
        let late = info("late", 11, Some("Asia/Tokyo"));
        let silent = info("silent", 3, None);
        for (decides, others, want) in [
            (true, vec![&early], Some("early")),
            (true, vec![&late], None),
            (true, vec![&early, &mine], None),
            (true, vec![&silent, &early], Some("early")),
            (false, vec![&late], Some("late")),
            (false, vec![&late, &mine], None),
            (false, vec![&silent], None),
            (false, vec![], None),
        ] {
            let others: Vec<_> = others.into_iter().cloned().collect();
            assert_eq!(
                elder(decides, &others).as_deref(),
                want,
                "{decides} {others:?}"
            );
        }
        for change in [
            (|info| info.draining = true) as fn(&mut WorkerInfo),
            |info| info.clock_doubted = true,
            |info| info.zone_differs = true,
        ] {
            let mut early = early.clone();
            change(&mut early);
            assert_eq!(elder(false, &[early.clone()]), None, "{early:?}");
        }
    }
}
