//! Which days of a month an expression names.
//!
//! A month has 28 shapes: the weekday of its first day and its length. A rule about days depends
//! on nothing else, so it is evaluated once for each shape when it is read, and a search only scans
//! bits. The `cron` crate has no part in this: its weekdays count from 1 = Sunday, it joins the two
//! day fields with AND, and it knows neither `L` nor `W` nor `#`.

use chrono::{Datelike, NaiveDate};

use super::field::{FieldSpec, Item};

/// How the two day fields are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    Or,
    And,
}

/// The days of each shape of a month, as bits; bit 0 is day 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DayRule {
    shapes: [[u32; 4]; 7],
}

/// One month of the calendar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Month {
    /// Weekday of the first day, 0 = Sunday.
    pub(super) first: u32,
    /// Days in the month.
    pub(super) length: u32,
}

impl Month {
    /// The month of a date.
    pub(super) fn of(date: NaiveDate) -> Self {
        let length = u32::from(date.num_days_in_month());
        let weekday = date.weekday().num_days_from_sunday();
        Self {
            first: (weekday + 35 - (date.day() - 1)) % 7,
            length,
        }
    }

    fn weekday(self, day: u32) -> u32 {
        (self.first + day - 1) % 7
    }

    /// The Monday-to-Friday nearest to `day`, without leaving the month.
    fn nearest_workday(self, day: u32) -> u32 {
        match self.weekday(day) {
            6 if day > 1 => day - 1,
            6 => day + 2,
            0 if day < self.length => day + 1,
            0 => day - 2,
            _ => day,
        }
    }
}

impl DayRule {
    pub(super) fn new(month_days: &FieldSpec, week_days: &FieldSpec, join: Join) -> Self {
        let mut shapes = [[0; 4]; 7];
        for (row, first) in shapes.iter_mut().zip(0..) {
            for (mask, length) in row.iter_mut().zip(28..) {
                let month = Month { first, length };
                for day in 1..=length {
                    let in_month = names_day(month_days, month, day);
                    let in_week = names_weekday(week_days, month, day);
                    let named = match join {
                        Join::Or => in_month || in_week,
                        Join::And => in_month && in_week,
                    };
                    *mask |= u32::from(named) << (day - 1);
                }
            }
        }
        Self { shapes }
    }

    /// The days of a month of this shape, bit 0 for day 1.
    pub(super) fn days(&self, month: Month) -> u32 {
        let row = self.shapes.get(month.first as usize);
        let mask = row.and_then(|row| row.get((month.length - 28) as usize));
        mask.copied().unwrap_or(0)
    }
}

fn names_day(spec: &FieldSpec, month: Month, day: u32) -> bool {
    spec.holds(day)
        || spec.items.iter().any(|item| match *item {
            Item::LastDay => day == month.length,
            Item::LastWorkday => day == month.nearest_workday(month.length),
            // A day that the month lacks has no nearest workday in it.
            Item::NearestWorkday(n) => n <= month.length && day == month.nearest_workday(n),
            _ => false,
        })
}

fn names_weekday(spec: &FieldSpec, month: Month, day: u32) -> bool {
    let weekday = month.weekday(day);
    spec.holds(weekday)
        || (weekday == 0 && spec.holds(7))
        || spec.items.iter().any(|item| match *item {
            Item::LastWeekday(named) => named == weekday && day + 7 > month.length,
            Item::NthWeekday(named, nth) => named == weekday && day.div_ceil(7) == nth,
            _ => false,
        })
}
