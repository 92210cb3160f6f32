//! Wall time as data.
//!
//! A [`Timestamp`] is an instant that somebody can write down: a fire time, an end, a line in a
//! record. How long something may take is a `Duration` on tokio's monotonic clock and never the
//! difference of two timestamps, because a wall clock may jump.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// Milliseconds since the Unix epoch, without leap seconds (POSIX time).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From Unix milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// As Unix milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This instant moved on by `by`, saturating at the end of the range.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// This instant moved back by `by`, saturating at the start of the range.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Reads RFC 3339, such as `2027-01-01T00:00:00Z` or with an offset. `None` if it is not.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|at| Self(at.timestamp_millis()))
    }
}

/// RFC 3339 in UTC with the milliseconds that are there; the plain number outside years ±262,000.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_millis(self.0) {
            Some(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// A wall clock. The program passes the system's in; a simulation passes one that is skewed.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall time now. It may jump in either direction.
    fn now(&self) -> Timestamp;
}

#[cfg(feature = "test-util")]
pub use sim::SimClock;

#[cfg(feature = "test-util")]
mod sim {
    use super::{Clock, Timestamp};
    use std::sync::atomic::{AtomicI64, Ordering};
    use tokio::time::Instant;

    /// A wall clock on tokio's (paused) monotonic time, with a skew and a drift of its own.
    #[derive(Debug)]
    pub struct SimClock {
        epoch: Timestamp,
        origin: Instant,
        skew_ms: AtomicI64,
        drift_ppm: i64,
    }

    impl SimClock {
        /// A clock that shows `epoch + skew` now and then gains `drift_ppm` microseconds a second.
        pub fn new(epoch: Timestamp, origin: Instant, skew_ms: i64, drift_ppm: i64) -> Self {
            Self {
                epoch,
                origin,
                skew_ms: AtomicI64::new(skew_ms),
                drift_ppm,
            }
        }

        /// Makes the clock jump by `by_ms`.
        pub fn jump(&self, by_ms: i64) {
            self.skew_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }

    impl Clock for SimClock {
        fn now(&self) -> Timestamp {
            let elapsed = i64::try_from(self.origin.elapsed().as_millis()).unwrap_or(i64::MAX);
            let drift = elapsed.saturating_mul(self.drift_ppm) / 1_000_000;
            let skew = self.skew_ms.load(Ordering::Relaxed);
            Timestamp::from_millis(self.epoch.as_millis() + elapsed + drift + skew)
        }
    }
}
