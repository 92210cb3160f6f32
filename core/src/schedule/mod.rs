//! When a job fires: expressions, time zones and daylight saving.
//!
//! A [`Schedule`] is an expression that was read, in crontab's dialect or the Go fleet's. With a
//! [`Zone`], a [`DstPolicy`] and bounds it makes a [`Timetable`], which answers with instants. The
//! parts, from text to instants: `item`, `field` and `cron` read, `days` knows which days of a month are
//! meant, `pattern` searches the calendar, `zone` holds the offsets, `dst` puts a pattern on the
//! clock of a zone, `hours` hours of the day.
//!
//! Nothing here reads a clock. No search goes past the year 2099, answers a time that is not after
//! the one it was asked about, or looks at more than 40,000 days.

mod cron;
mod days;
mod describe;
mod dst;
mod error;
mod field;
mod hours;
mod interval;
mod item;
mod pattern;
mod timetable;
mod warnings;
mod zone;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

pub use error::ScheduleError;
pub use hours::{DAY_MINUTES, Hours, Weekday};
pub use timetable::Timetable;
pub use zone::{ClockChange, Zone, parse_zone, zone_names, zone_release};

/// Whose rules an expression is read by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// crontab(5) with seconds, years, `L`, `W` and `#`: 5 or 7 fields, `@daily` and friends,
    /// `@every` and `@at`. The day fields are joined with OR unless one begins with `*` or `?`.
    #[default]
    Native,
    /// The library of the Go fleet: 5, 6 (year last) or 7 fields. The day fields are joined with OR
    /// unless one holds a `*` or `?`. What that library gets wrong is refused with what it would do;
    /// where it computes a time in the past around a clock change, the [`DstPolicy`] holds instead.
    Go,
}

/// What a job does when the clock of its zone jumps.
///
/// A job is a wildcard job when its minute or hour field begins with `*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DstPolicy {
    /// As Vixie cron: wildcard jobs follow elapsed time; for the others all times inside a gap are
    /// one fire at its end, and a repeated hour counts once, at its first pass.
    #[default]
    Vixie,
    /// Times inside a gap never fire, and a repeated hour counts once, for every job.
    Skip,
    /// Gaps as [`DstPolicy::Vixie`], and both passes of a repeated hour fire, for every job.
    Both,
}

/// An expression that was read and can fire.
#[derive(Clone, Debug)]
pub struct Schedule {
    expr: String,
    dialect: Dialect,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Cron(Box<cron::Cron>),
    Every(interval::Every),
    At(Timestamp),
}

impl Schedule {
    /// The longest expression in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// Reads an expression.
    ///
    /// # Errors
    /// Names the field, the item and what would be accepted. An expression that no day from 1970
    /// to 2099 fulfils is refused too.
    pub fn parse(expr: &str, dialect: Dialect) -> Result<Self, ScheduleError> {
        if expr.len() > Self::MAX_BYTES {
            let begin: String = expr.chars().take(40).collect();
            let reason = format!("… is longer than {} bytes", Self::MAX_BYTES);
            return Err(ScheduleError::new(
                "schedule",
                begin,
                reason,
                "write ranges and steps",
            ));
        }
        let rule = match dialect {
            Dialect::Go => Rule::Cron(Box::new(cron::Cron::parse_go(expr)?)),
            Dialect::Native => match expr.trim().split_once(|c: char| c.is_ascii_whitespace()) {
                Some(("@every", period)) => Rule::Every(interval::Every::parse(period.trim())?),
                Some(("@at", instant)) => Rule::At(interval::parse_at(instant.trim())?),
                _ => Rule::Cron(Box::new(cron::Cron::parse_native(expr)?)),
            },
        };
        Ok(Self {
            expr: expr.to_owned(),
            dialect,
            rule,
        })
    }

    /// The expression as it was written.
    pub fn expr(&self) -> &str {
        &self.expr
    }

    /// Whose rules it was read by.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether both name the same local times. An `@every` or an `@at` names none.
    pub fn names_the_times_of(&self, other: &Self) -> bool {
        match (&self.rule, &other.rule) {
            (Rule::Cron(one), Rule::Cron(two)) => one.pattern.is_as(&two.pattern),
            _ => false,
        }
    }

    /// What the expression means, in English, as one sentence without a final period.
    pub fn describe(&self) -> String {
        describe::describe(&self.rule)
    }

    /// What its author may not have meant, one sentence each. None for most expressions.
    pub fn warnings(&self) -> Vec<String> {
        warnings::warnings(&self.rule, self.dialect)
    }
}

/// Schedules are equal when they were written alike in the same dialect.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.expr == other.expr && self.dialect == other.dialect
    }
}

impl Eq for Schedule {}
