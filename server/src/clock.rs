//! The system's wall clock, which core takes as an argument, and its time zone.

use std::time::{SystemTime, UNIX_EPOCH};

use sandclock_core::Timestamp;
use sandclock_core::time::Clock;

/// The system's wall clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn now(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Timestamp::from_millis(millis)
    }
}

/// The host's own zone; UTC if it does not say.
pub fn local_zone() -> String {
    let zone = iana_time_zone::get_timezone().ok();
    zone.filter(|zone| sandclock_core::schedule::parse_zone(zone).is_ok())
        .unwrap_or_else(|| "UTC".to_owned())
}
