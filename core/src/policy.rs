//! What a job wants to happen when things do not go to plan: as values, and as pure decisions.
//!
//! Nothing here knows a store or a clock. The planner and the dispatcher ask; the answers are
//! functions of their arguments, so that a table can test them.

use std::time::Duration;

use crate::run::RunState;

/// What happens when a tick is due while a run of the job is open (Kubernetes' terms, and `queue`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConcurrencyPolicy {
    /// The tick is skipped.
    #[default]
    Forbid,
    /// Both run.
    Allow,
    /// The open run is killed and the newest tick runs after it.
    Replace,
    /// One tick waits; further ones are skipped.
    Queue,
}

impl ConcurrencyPolicy {
    /// Whether at most one run of the job may be open at a time (S5).
    pub fn is_exclusive(self) -> bool {
        self != Self::Allow
    }
}

/// What happens to ticks that nobody decided in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MisfirePolicy {
    /// All late ticks are missed.
    Skip,
    /// The newest late tick runs, the older ones are missed.
    Once,
    /// The newest `max` late ticks run one by one, the older ones are missed.
    All {
        /// How many run at most; at least 1.
        max: u32,
    },
}

/// [`MisfirePolicy`] with the age at which a late tick counts as missed whatever the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Misfire {
    /// What happens to late ticks.
    pub policy: MisfirePolicy,
    /// How late a tick may start at all.
    pub deadline: Duration,
}

impl Default for Misfire {
    fn default() -> Self {
        Self {
            policy: MisfirePolicy::Once,
            deadline: Duration::from_secs(3600),
        }
    }
}

/// A tick up to this late is on time: it runs, in order, whatever the misfire policy.
pub const ON_TIME: Duration = Duration::from_secs(30);

/// What happens to a run whose worker is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LostRunPolicy {
    /// It is recorded as lost and never started again: at most once.
    #[default]
    Record,
    /// It is started again as the next attempt, at most `max` times: at least once.
    Rerun {
        /// How many reruns; at least 1.
        max: u32,
    },
}

/// The wait between attempts: `initial * factor^(n-1)`, at most `max`, less up to `jitter` of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The wait before the second attempt.
    pub initial: Duration,
    /// At least 1.
    pub factor: f64,
    /// The longest wait.
    pub max: Duration,
    /// Between 0 and 1: the share of the wait that is random.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(10),
            factor: 2.0,
            max: Duration::from_secs(600),
            jitter: 0.1,
        }
    }
}

impl Backoff {
    /// The wait after attempt `attempt` (from 1); `dice` in `[0, 1)` is the caller's randomness.
    pub fn wait_after(&self, attempt: u32, dice: f64) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let full = self.initial.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        let capped = full.min(self.max.as_secs_f64());
        Duration::from_secs_f64(capped * (1.0 - self.jitter.clamp(0.0, 1.0) * dice.clamp(0.0, 1.0)))
    }
}

/// Which ends of a run are tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// These exit codes; with no code and no signal named, every failure.
    pub exit_codes: Vec<i32>,
    /// These signals, by number.
    pub signals: Vec<i32>,
    /// A run ended by its time limit.
    pub timeout: bool,
    /// A run whose worker was gone (beside `on_lost`).
    pub lost: bool,
}

/// How often, when and where a failed run is tried again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetryPolicy {
    /// Retries after the first attempt; 0 is none.
    pub max: u32,
    /// The wait between attempts.
    pub backoff: Backoff,
    /// Which ends count.
    pub on: RetryOn,
    /// Whether another worker than the last one should take the next attempt.
    pub other_worker: bool,
}

impl RetryPolicy {
    /// Whether a run that ended so in attempt `attempt` (from 1) is tried again. A kill never is.
    pub fn wants(
        &self,
        attempt: u32,
        state: RunState,
        exit_code: Option<i32>,
        signal: Option<i32>,
    ) -> bool {
        if attempt > self.max {
            return false;
        }
        match state {
            RunState::TimedOut => self.on.timeout,
            RunState::Lost => self.on.lost,
            RunState::Failed => {
                let any = self.on.exit_codes.is_empty() && self.on.signals.is_empty();
                any || exit_code.is_some_and(|code| self.on.exit_codes.contains(&code))
                    || signal.is_some_and(|signal| self.on.signals.contains(&signal))
            }
            _ => false,
        }
    }
}

/// How a job has been doing: what first-failure, nth-failure and recovery alerts need. It lives in
/// the job's mark, so that an alert never depends on the run log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streak {
    /// The state of the last run that succeeded or failed in any way.
    pub last: Option<RunState>,
    /// How many runs in a row have not succeeded.
    pub failures: u32,
}

impl Streak {
    /// The streak once a run has ended in `state`. Skipped ticks and kills by people change nothing.
    #[must_use]
    pub fn after(self, state: RunState) -> Self {
        match state {
            RunState::Succeeded => Self {
                last: Some(state),
                failures: 0,
            },
            RunState::Failed | RunState::TimedOut | RunState::Lost | RunState::Missed => Self {
                last: Some(state),
                failures: self.failures.saturating_add(1),
            },
            RunState::Killed | RunState::Skipped | RunState::Queued | RunState::Running => self,
        }
    }
}
