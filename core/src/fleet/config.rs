//! What a worker is told at its start, with the fleet's defaults.

use std::collections::BTreeMap;
use std::time::Duration;

/// What of a worker's configuration may change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many runs it holds at once; at least 1. Fewer than it holds now end none of them.
    pub max_concurrent_runs: u32,
    /// The time limit of runs that begin from now on, of jobs that declare none; `None` is no limit.
    pub default_limit: Option<Duration>,
    /// How long running jobs may go on after a drain began.
    pub drain_timeout: Duration,
    /// How long the run log keeps ended runs; `None` keeps them for ever.
    pub retention: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_concurrent_runs: 16,
            default_limit: None,
            drain_timeout: Duration::from_secs(60),
            retention: Some(Duration::from_secs(30 * 24 * 3600)),
        }
    }
}

/// The configuration of one worker.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Unique in the fleet while the worker lives.
    pub name: String,
    /// The host it runs on, for people.
    pub host: String,
    /// For targeting and for people.
    pub labels: BTreeMap<String, String>,
    /// The program's version, for people.
    pub version: String,
    /// The IANA zone in which it reads jobs that name none.
    pub time_zone: String,
    /// What may change while it runs.
    pub limits: Limits,
    /// The lease asked for. Below 6 s nothing would ever start, because claims stop 4 s before its end.
    pub ttl: Duration,
    /// The pause between the starts of two renewals.
    pub renew_every: Duration,
    /// How long one call to a store may take before its effect counts as unknown.
    pub call_timeout: Duration,
    /// How often the worker says what its clock shows.
    pub beat_every: Duration,
    /// How often every local view is read anew, whatever the watches said (S10).
    pub resync_every: Duration,
    /// How long a sweep over all records may be away, should an event have been missed.
    pub sweep_every: Duration,
    #[cfg(feature = "test-util")]
    /// A defect to be found by a test.
    pub mutant: Option<FleetMutant>,
}

impl WorkerConfig {
    /// A worker of this name, all else default.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            host: String::new(),
            labels: BTreeMap::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time_zone: "UTC".to_owned(),
            limits: Limits::default(),
            ttl: Duration::from_secs(12),
            renew_every: Duration::from_secs(3),
            call_timeout: Duration::from_secs(2),
            beat_every: Duration::from_secs(30),
            resync_every: Duration::from_secs(300),
            sweep_every: Duration::from_secs(10),
            #[cfg(feature = "test-util")]
            mutant: None,
        }
    }

    /// Whether the worker carries this defect; never outside tests.
    #[cfg(feature = "test-util")]
    pub(super) fn is(&self, mutant: FleetMutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Whether the worker carries this defect; never outside tests.
    #[cfg(not(feature = "test-util"))]
    #[expect(clippy::unused_self, reason = "the same call as with test-util")]
    pub(super) const fn is(&self, _mutant: FleetMutant) -> bool {
        false
    }
}

/// Defects that the fleet simulation must find: one for each rule that a worker keeps by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FleetMutant {
    /// Starts without looking at the trust window (S4).
    StartWithoutWindow,
    /// Counts the window from the answer of a renewal instead of from its call (S5).
    WindowFromAnswer,
    /// Lets processes run on without contact to the store (S5).
    NoSelfFence,
    /// Takes an unknown effect for a failure and ignores claims that it does not know (L1).
    UnknownIsFailure,
    /// Writes the run log before the store has decided (S8).
    LogBeforeEnd,
    /// Settles a run as soon as its session is gone, before `lost_after` (S5).
    SettleEarly,
    /// Does not keep its runs when it is back with a new session (L2).
    NoRebind,
    /// Trusts its own clock, however far it is from everybody else's.
    TrustOwnClock,
    /// Believes its watches for ever (S10).
    NoResync,
    /// Does not watch for kills, and does not look at those that come with a claim (K).
    DeafToKills,
    /// Forgets the ticks that a plan passes over (S7).
    PassedUnrecorded,
    /// Counts the window in monotonic time only, which stops while a machine is suspended (S4).
    MonotonicOnly,
    /// Tells claims apart by their run instead of by their nonce (S1; once a real bug).
    ClaimsByRun,
    /// Lets a late event move a mark back behind the own decision (S1; once a real bug).
    MarkFromLateEvent,
    /// Gives its places to jobs by name instead of by how long they have waited (L1; once a real bug).
    PlacesByName,
}

impl FleetMutant {
    /// Every defect.
    pub const ALL: [Self; 15] = [
        Self::StartWithoutWindow,
        Self::WindowFromAnswer,
        Self::NoSelfFence,
        Self::UnknownIsFailure,
        Self::LogBeforeEnd,
        Self::SettleEarly,
        Self::NoRebind,
        Self::TrustOwnClock,
        Self::NoResync,
        Self::DeafToKills,
        Self::PassedUnrecorded,
        Self::MonotonicOnly,
        Self::ClaimsByRun,
        Self::MarkFromLateEvent,
        Self::PlacesByName,
    ];
}
