//! The system's wall clock, which core takes as an argument, and its time zone.

use std::time::{SystemTime, UNIX_EPOCH};

use sandclock_core::Timestamp;
use sandclock_core::schedule::{ScheduleError, parse_zone};
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
    host_zone().unwrap_or_else(|| "UTC".to_owned())
}

/// The zone that the host says it is in, if that is one.
pub(crate) fn host_zone() -> Option<String> {
    one_name(&iana_time_zone::get_timezone().ok()?).ok()
}

/// What UTC is called besides.
const UTC: [&str; 7] = [
    "Etc/UTC",
    "Etc/UCT",
    "Etc/Universal",
    "Etc/Zulu",
    "UCT",
    "Universal",
    "Zulu",
];

/// The one name of a zone that may be written in upper or lower case, and UTC in several ways.
///
/// # Errors
/// As [`parse_zone`].
pub(crate) fn one_name(zone: &str) -> Result<String, ScheduleError> {
    let zone = parse_zone(zone)?;
    let name = match UTC.contains(&zone.name()) {
        true => "UTC",
        false => zone.name(),
    };
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::one_name;

    #[test]
    fn a_zone_has_one_name() {
        for (written, name) in [
            ("europe/BERLIN", "Europe/Berlin"),
            ("Etc/UTC", "UTC"),
            ("utc", "UTC"),
            ("zulu", "UTC"),
        ] {
            assert_eq!(one_name(written).expect(written), name);
        }
        assert!(one_name("Mars/Base").is_err());
    }
}
