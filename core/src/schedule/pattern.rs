//! The local times that a cron expression names, on a calendar without zones.
//!
//! Months and times of day are the `cron` crate's work, days are [`DayRule`]'s. The crate is only
//! ever asked about a clock that runs evenly: local time is handed to it as if it were UTC, because
//! over a zone it may answer a time before the one it was asked about.
//!
//! Times are seconds since 1970-01-01T00:00 on that local clock.

use std::fmt::Write as _;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use cron::TimeUnitSpec;

use super::days::{DayRule, Month};
use super::error::ScheduleError;
use super::field::FieldSpec;

/// 1969-12-25 and 2100-01-08: nothing fires outside, whatever the zone.
pub(super) const CALENDAR: (i64, i64) = (-7 * DAY, 4_102_444_800 + 7 * DAY);

pub(super) const DAY: i64 = 86_400;

/// What a search may answer, and what it cost.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    times: cron::Schedule,
    days: DayRule,
    /// Fires on a day that fires.
    per_day: u64,
}

impl Pattern {
    /// The fields are second, minute, hour, month and year.
    pub(super) fn new(
        expr: &str,
        [second, minute, hour, month, year]: [&FieldSpec; 5],
        days: DayRule,
    ) -> Result<Self, ScheduleError> {
        let text = format!(
            "{} {} {} * {} * {}",
            runs(second),
            runs(minute),
            runs(hour),
            runs(month),
            runs(year)
        );
        let times = cron::Schedule::from_str(&text).map_err(|error| {
            ScheduleError::new(
                "schedule",
                expr,
                format!("is refused: {error}"),
                "report it",
            )
        })?;
        let per_day = [
            times.seconds().count(),
            times.minutes().count(),
            times.hours().count(),
        ];
        let per_day = per_day.into_iter().map(u64::from).product();
        Ok(Self {
            times,
            days,
            per_day,
        })
    }

    /// Whether both name the same times. What the crate is given is written in one way, so that it tells.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.times.source() == other.times.source() && self.days == other.days
    }

    /// The first time after `after`. `looked` grows by the days of each month looked at.
    pub(super) fn next(&self, after: i64, looked: &mut u32) -> Option<i64> {
        let after = civil(after.max(CALENDAR.0)).filter(|_| after < CALENDAR.1)?;
        let today = after.date_naive();
        if self.fires_on(today, looked) {
            let next = self.times.after(&after).next()?;
            if next.date_naive() == today {
                return Some(next.timestamp());
            }
        }
        let day = self.next_day(today.succ_opt()?, looked)?;
        self.times
            .after(&civil(midnight(day) - 1)?)
            .next()
            .map(|next| next.timestamp())
    }

    /// The last time before `before`.
    pub(super) fn previous(&self, before: i64) -> Option<i64> {
        let before = civil(before.min(CALENDAR.1)).filter(|_| before > CALENDAR.0)?;
        let today = before.date_naive();
        if self.fires_on(today, &mut 0) {
            let previous = self.times.after(&before).next_back()?;
            if previous.date_naive() == today {
                return Some(previous.timestamp());
            }
        }
        let day = self.previous_day(today.pred_opt()?)?;
        self.times
            .after(&civil(midnight(day) + DAY)?)
            .next_back()
            .map(|at| at.timestamp())
    }

    /// How many times lie after `after` and not after `through`.
    pub(super) fn count(&self, after: i64, through: i64) -> u64 {
        let bounds = (civil(after.max(CALENDAR.0)), civil(through.min(CALENDAR.1)));
        let (Some(after), Some(through)) = bounds else {
            return 0;
        };
        if after >= through {
            return 0;
        }
        let before = |at: DateTime<Utc>| match self.fires_on(at.date_naive(), &mut 0) {
            true => self.times_of_day_through(at),
            false => 0,
        };
        let (first, last) = (after.date_naive(), through.date_naive());
        self.days_between(first, last) * self.per_day + before(through) - before(after)
    }

    /// Whether the expression ever fires.
    pub(super) fn is_possible(&self) -> bool {
        self.next(CALENDAR.0, &mut 0).is_some()
    }

    fn fires_on(&self, date: NaiveDate, looked: &mut u32) -> bool {
        *looked += 1;
        self.mask(date) >> date.day0() & 1 == 1
    }

    /// The days of the month of `date` that fire; none if the month does not.
    fn mask(&self, date: NaiveDate) -> u32 {
        let year = u32::try_from(date.year()).unwrap_or(0);
        match self.times.months().includes(date.month()) && self.times.years().includes(year) {
            true => self.days.days(Month::of(date)),
            false => 0,
        }
    }

    /// The first day from `from` on that fires.
    fn next_day(&self, from: NaiveDate, looked: &mut u32) -> Option<NaiveDate> {
        let mut from = from;
        loop {
            from = self.next_month(from)?;
            let month = Month::of(from);
            *looked += month.length - from.day0();
            let rest = self.days.days(month) >> from.day0();
            if rest != 0 {
                return from.with_day(from.day() + rest.trailing_zeros());
            }
            from = first_of_next_month(from)?;
        }
    }

    /// `from` if its month fires, else the first day of the next month that does.
    fn next_month(&self, from: NaiveDate) -> Option<NaiveDate> {
        let start = u32::try_from(from.year()).unwrap_or(0);
        let year = self.times.years().range(start..).next()?;
        let first = if year == start { from.month() } else { 1 };
        if let Some(month) = self.times.months().range(first..).next() {
            let same = year == start && month == from.month();
            return if same { Some(from) } else { date(year, month) };
        }
        let year = self.times.years().range(year + 1..).next()?;
        date(year, self.times.months().iter().next()?)
    }

    /// The last day up to `from` that fires.
    fn previous_day(&self, from: NaiveDate) -> Option<NaiveDate> {
        let mut from = from;
        while midnight(from) >= CALENDAR.0 {
            let upto = self.mask(from) << (31 - from.day0());
            if upto != 0 {
                return from.with_day(from.day() - upto.leading_zeros());
            }
            from = from.with_day(1)?.pred_opt()?;
        }
        None
    }

    /// How many days from `first` to the day before `last` fire.
    fn days_between(&self, first: NaiveDate, last: NaiveDate) -> u64 {
        let mut total = 0;
        let mut from = first;
        while from < last {
            let Some(next) = first_of_next_month(from) else {
                break;
            };
            let mut mask = self.mask(from) >> from.day0() << from.day0();
            if last < next {
                mask &= (1 << last.day0()) - 1;
            }
            total += u64::from(mask.count_ones());
            from = next;
        }
        total
    }

    /// How many times of day are not after this one.
    fn times_of_day_through(&self, at: DateTime<Utc>) -> u64 {
        let (hours, minutes, seconds) = (
            self.times.hours(),
            self.times.minutes(),
            self.times.seconds(),
        );
        let (per_hour, per_minute) = (
            u64::from(minutes.count() * seconds.count()),
            u64::from(seconds.count()),
        );
        let mut total = hours.range(..at.hour()).count() as u64 * per_hour;
        if hours.includes(at.hour()) {
            total += minutes.range(..at.minute()).count() as u64 * per_minute;
            if minutes.includes(at.minute()) {
                total += seconds.range(..=at.second()).count() as u64;
            }
        }
        total
    }
}

/// The values of a field as the engine reads them: `1-5,7`.
fn runs(spec: &FieldSpec) -> String {
    let mut text = String::new();
    for run in spec.values().chunk_by(|a, b| a + 1 == *b) {
        let separator = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = match run {
            [first, .., last] => write!(text, "{separator}{first}-{last}"),
            [single] => write!(text, "{separator}{single}"),
            [] => Ok(()),
        };
    }
    text
}

fn civil(local: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(local, 0)
}

fn midnight(date: NaiveDate) -> i64 {
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()
}

fn date(year: u32, month: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, 1)
}

fn first_of_next_month(from: NaiveDate) -> Option<NaiveDate> {
    let (year, month) = (from.year(), from.month());
    if month == 12 {
        NaiveDate::from_ymd_opt(year + 1, 1, 1)
    } else {
        NaiveDate::from_ymd_opt(year, month + 1, 1)
    }
}
