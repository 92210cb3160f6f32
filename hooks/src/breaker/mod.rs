//! When a plugin that keeps failing is asked again. The instants come from the caller.
//!
//! On a *stream* the plugin is not asked for a while after each failure, and after too many by its own mistake in a short
//! time not any more, since what it cannot check is withheld ([`Breaker`]). Of the calls of a *hook*, each is about a run
//! of its own; after too many failures in a short time none is made for a while, and then a single one is a probe:
//!
//! ```text
//!           too many failures            the wait is over
//!  closed ─────────────────────► open ─────────────────────► one probe
//!    ▲                            ▲                            │    │
//!    │                            └──── it fails: twice the ───┘    │
//!    └───────── it succeeds             wait ───────────────────────┘
//! ```
//!
//! That is kept for each configuration ([`Gates`]), as long as few fail, so that a job with another one is not concerned and
//! a changed one begins anew; and by the installed version, so that a swap begins anew, too.

mod gates;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use self::gates::{Gates, GivenUp, Pass};
use crate::failure::FailureCode;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// When a plugin fails too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRule {
    /// Whether it is not called for a while then, or not asked any more about a stream; default true. The waits between the
    /// tries of a stream are there anyway.
    pub enabled: bool,
    /// So many failures; default 5.
    pub failures: usize,
    /// Within this time; default 5 minutes.
    pub within: Duration,
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self {
            enabled: true,
            failures: 5,
            within: Duration::from_secs(300),
        }
    }
}

/// When plugins fail too often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BreakerRules {
    /// Unless something else is said of it.
    pub default: BreakerRule,
    /// Of plugins by their names.
    pub by_name: BTreeMap<String, BreakerRule>,
}

impl BreakerRules {
    /// The rule for a plugin.
    pub(crate) fn of(&self, plugin: &str) -> BreakerRule {
        let own = self.by_name.get(plugin);
        own.copied().unwrap_or(self.default)
    }
}

/// The failures of late.
#[derive(Debug)]
struct Recent {
    rule: BreakerRule,
    at: VecDeque<Instant>,
}

impl Recent {
    fn new(rule: BreakerRule) -> Self {
        let at = VecDeque::new();
        Self { rule, at }
    }

    /// One more. True if that is too many.
    fn add(&mut self, now: Instant) -> bool {
        let within = self.rule.within;
        self.at.retain(|at| now.duration_since(*at) < within);
        self.at.push_back(now);
        if self.at.len() > self.rule.failures {
            self.at.pop_front();
        }
        self.rule.enabled && self.at.len() >= self.rule.failures
    }

    fn is_over(&self, now: Instant) -> bool {
        let last = self.at.back();
        last.is_none_or(|at| now.duration_since(*at) >= self.rule.within)
    }
}

/// Waits that double, to a minute.
#[derive(Debug, Default)]
struct Waits(u32);

impl Waits {
    fn next(&mut self) -> Duration {
        let wait = FIRST_WAIT.saturating_mul(1 << self.0.min(6));
        self.0 += 1;
        wait.min(LONGEST_WAIT)
    }
}

/// The record of one plugin on one stream.
#[derive(Debug)]
pub(crate) struct Breaker {
    recent: Recent,
    waits: Waits,
    open: bool,
}

impl Breaker {
    pub(crate) fn new(rule: BreakerRule) -> Self {
        Self {
            recent: Recent::new(rule),
            waits: Waits::default(),
            open: false,
        }
    }

    pub(crate) fn succeeded(&mut self) {
        self.waits = Waits::default();
    }

    /// Notes a failure and says when to ask again; `None` is never. What is not the plugin's own mistake is only waited for.
    pub(crate) fn failed(&mut self, code: FailureCode, now: Instant) -> Option<Instant> {
        self.open |= code.is_its_own() && self.recent.add(now);
        let wait = self.waits.next();
        (!self.open).then(|| now + wait)
    }
}
