//! The two schedules that are not cron: `@every 90s` and `@at 2027-01-01T00:00:00Z`.
//!
//! Neither knows local time, so neither meets daylight saving.

use crate::time::Timestamp;

use super::error::ScheduleError;

/// A period between fires. Fires lie at whole multiples of it since an origin, so that every
/// worker computes the same times whenever it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Every {
    /// At least a second.
    pub(super) period_ms: i64,
}

/// Bounds of what can fire at all: the years 1970 to 2099 in UTC.
pub(super) const ERA_MS: (i64, i64) = (0, 4_102_444_799_999);

const UNITS: [(char, i64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
const LONGEST_S: i64 = 36_500 * 86_400;
const PERIODS: &str = "use whole days, hours, minutes and seconds from 1s to 36500d, largest \
                       first, such as 90s, 15m or 1h30m";

impl Every {
    /// Reads what stands behind `@every`.
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let wrong = |reason| Err(ScheduleError::new("schedule", text, reason, PERIODS));
        let (mut rest, mut units, mut seconds) = (text, UNITS.as_slice(), 0_i64);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let Some(unit) = tail.chars().next() else {
                return wrong("has a number without unit");
            };
            let Some(at) = units.iter().position(|&(name, _)| name == unit) else {
                return wrong("is not a period");
            };
            let Ok(number) = number.parse::<i64>() else {
                return wrong("is not a period");
            };
            let (known, smaller) = units.split_at(at + 1);
            let length = known.last().map_or(1, |&(_, length)| length);
            seconds = seconds.saturating_add(number.saturating_mul(length));
            units = smaller;
            rest = tail.get(unit.len_utf8()..).unwrap_or_default();
        }
        match seconds {
            1..=LONGEST_S => Ok(Self {
                period_ms: seconds * 1000,
            }),
            ..1 => wrong("is shorter than a second"),
            _ => wrong("is longer than a century"),
        }
    }

    /// The first multiple after `t` since `origin`, which is itself one.
    pub(super) fn next(self, origin: i64, t: i64) -> Option<i64> {
        if t < origin {
            return Some(origin);
        }
        let passed = t.checked_sub(origin)? / self.period_ms;
        origin.checked_add((passed + 1).checked_mul(self.period_ms)?)
    }

    /// The last multiple up to `t`.
    pub(super) fn last(self, origin: i64, t: i64) -> Option<i64> {
        let passed = t.checked_sub(origin).filter(|passed| *passed >= 0)? / self.period_ms;
        Some(origin + passed * self.period_ms)
    }

    /// How many multiples are after `after` and not after `through`.
    pub(super) fn count(self, origin: i64, after: i64, through: i64) -> u64 {
        let upto = |t: i64| match t < origin {
            true => 0,
            false => (t - origin) / self.period_ms + 1,
        };
        u64::try_from(upto(through) - upto(after)).unwrap_or(0)
    }
}

/// Reads what stands behind `@at`.
pub(super) fn parse_at(text: &str) -> Result<Timestamp, ScheduleError> {
    let wrong = |reason| {
        let remedy = "use RFC 3339 with an offset, such as 2027-01-01T00:00:00Z";
        ScheduleError::new("schedule", text, reason, remedy)
    };
    let at = Timestamp::parse(text).ok_or_else(|| wrong("is not an instant"))?;
    match (ERA_MS.0..=ERA_MS.1).contains(&at.as_millis()) {
        true => Ok(at),
        false => Err(wrong("is outside the years 1970 to 2099")),
    }
}
