//! Which days of a month an expression names.
//!
//! A month has 28 shapes: the weekday of its first day and its length. A rule about days depends
//! on nothing else, so it is evaluated once for each shape when it is read, and a search only scans
//! bits. The `cron` crate has no part in this: its weekdays count from 1 = Sunday, it joins the two
//! day fields with AND, and it knows neither `L` nor `W` nor `#`.

use chrono::{Datelike, NaiveDate};

use super::field::FieldSpec;
use super::item::Item;

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

    /// Every day, as bits.
    fn all(self) -> u32 {
        u32::MAX >> (u32::BITS - self.length)
    }

    /// Every day with this weekday, as bits.
    fn each(self, weekday: u32) -> u32 {
        let first = (weekday + 7 - self.first) % 7;
        (0b1_0000001_0000001_0000001_0000001 << first) & self.all()
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
        let numbers: u32 = (1..=31).filter(|day| month_days.holds(*day)).map(bit).sum();
        let named = [0, 1, 2, 3, 4, 5, 6]
            .map(|weekday| week_days.holds(weekday) || (weekday == 0 && week_days.holds(7)));
        let mut shapes = [[0; 4]; 7];
        for (row, first) in shapes.iter_mut().zip(0..) {
            for (mask, length) in row.iter_mut().zip(28..) {
                let month = Month { first, length };
                let in_month = numbers | relative_days(month_days, month);
                let in_week = week_days_of(named, month) | relative_weekdays(week_days, month);
                let joined = match join {
                    Join::Or => in_month | in_week,
                    Join::And => in_month & in_week,
                };
                *mask = joined & month.all();
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

fn bit(day: u32) -> u32 {
    1 << (day - 1)
}

/// Days that the month-day field names from the month's end or by its working days.
fn relative_days(spec: &FieldSpec, month: Month) -> u32 {
    let days = spec.items.iter().map(|item| match *item {
        Item::LastDay => bit(month.length),
        Item::LastWorkday => bit(month.nearest_workday(month.length)),
        // A day that the month lacks has no nearest workday in it.
        Item::NearestWorkday(day) if day <= month.length => bit(month.nearest_workday(day)),
        _ => 0,
    });
    days.fold(0, |all, day| all | day)
}

/// Every day whose weekday is named.
fn week_days_of(named: [bool; 7], month: Month) -> u32 {
    let days = named.iter().zip(0..).filter(|(named, _)| **named);
    days.fold(0, |all, (_, weekday)| all | month.each(weekday))
}

/// Days that the weekday field names by their place in the month.
fn relative_weekdays(spec: &FieldSpec, month: Month) -> u32 {
    let days = spec.items.iter().map(|item| match *item {
        Item::LastWeekday(weekday) => {
            let last = u32::BITS - 1 - month.each(weekday).leading_zeros();
            1 << last
        }
        Item::NthWeekday(weekday, nth) => {
            let week = 0b111_1111 << (7 * (nth - 1));
            month.each(weekday) & week
        }
        _ => 0,
    });
    days.fold(0, |all, day| all | day)
}
