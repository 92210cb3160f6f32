//! One field of a cron expression: its name, its range, its words, and the list that it holds.

use super::Dialect;
use super::error::ScheduleError;
use super::item::{Item, Refused};

/// The seven fields, in the order of a seven-field expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
    Year,
}

/// Weekdays as crontab counts them, from 0 = Sunday.
pub(super) const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Months, January first.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Field {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
            Self::Year => "year",
        }
    }

    /// Lowest and highest value that `*` stands for. Both 0 and 7 may be written for Sunday.
    pub(super) const fn bounds(self) -> (u32, u32) {
        match self {
            Self::Second | Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (0, 6),
            Self::Year => (1970, 2099),
        }
    }

    /// Where `n/s` ends: a crontab week may be counted from Monday, so that `1/2` includes Sunday.
    pub(super) const fn open_end(self, dialect: Dialect) -> u32 {
        match (self, dialect) {
            (Self::DayOfWeek, Dialect::Native) => 7,
            _ => self.bounds().1,
        }
    }

    pub(super) const fn longest_step(self, dialect: Dialect) -> u32 {
        match (self, dialect) {
            (Self::Year, Dialect::Native) => 129,
            _ => self.bounds().1,
        }
    }

    /// What may stand in the field, for error messages.
    pub(super) const fn accepted(self) -> &'static str {
        match self {
            Self::Second | Self::Minute => "use 0-59, *, a-b, */s, n/s, a-b/s or a list of these",
            Self::Hour => "use 0-23, *, a-b, */s, n/s, a-b/s or a list of these",
            Self::DayOfMonth => "use 1-31, *, a-b, */s, n/s, a-b/s, L, LW, nW or a list of these",
            Self::Month => "use 1-12 or jan-dec, *, a-b, */s, n/s, a-b/s or a list of these",
            Self::DayOfWeek => {
                "use 0-7 (0 and 7 are Sunday) or sun-sat, *, a-b, */s, n/s, a-b/s, nL, n#1 to n#5 \
                 or a list of these"
            }
            Self::Year => "use 1970-2099, *, a-b, */s, n/s, a-b/s or a list of these",
        }
    }

    pub(super) const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Month => &MONTHS,
            Self::DayOfWeek => &WEEKDAYS,
            _ => &[],
        }
    }

    pub(super) fn refuse(
        self,
        item: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ScheduleError {
        ScheduleError::new(self.name(), item, reason, remedy)
    }
}

/// A parsed field.
#[derive(Clone, Debug)]
pub(super) struct FieldSpec {
    pub(super) field: Field,
    /// As written.
    pub(super) text: String,
    pub(super) items: Vec<Item>,
    /// Items that were skipped: empty ones, and what the Go library never looks at after a `*`.
    pub(super) ignored: Vec<String>,
}

impl FieldSpec {
    /// Reads one comma-separated field.
    pub(super) fn parse(field: Field, text: &str, dialect: Dialect) -> Result<Self, ScheduleError> {
        let mut spec = Self {
            field,
            text: text.to_owned(),
            items: Vec::new(),
            ignored: Vec::new(),
        };
        for item in text.split(',') {
            if item.is_empty() {
                spec.ignored.push(String::new());
                continue;
            }
            match Item::parse(field, &item.to_ascii_lowercase(), dialect) {
                Ok(item) => spec.items.push(item),
                Err(Refused::Item(_)) if dialect == Dialect::Go && spec.hides_what_follows() => {
                    spec.ignored.push(item.to_owned());
                }
                Err(Refused::Item(error) | Refused::Step(error)) => {
                    return Err(ScheduleError {
                        value: item.to_owned(),
                        ..error
                    });
                }
            }
        }
        if spec.items.is_empty() {
            return Err(field.refuse(text, "has no item", field.accepted()));
        }
        Ok(spec)
    }

    /// Whether the Go library stops reading here: it does after a `*`, but not in the day fields.
    fn hides_what_follows(&self) -> bool {
        !matches!(self.field, Field::DayOfMonth | Field::DayOfWeek) && self.has_any()
    }

    /// Whether one of the items is `*` or `?`.
    pub(super) fn has_any(&self) -> bool {
        self.items.contains(&Item::Any)
    }

    /// Whether the text begins with `*` or `?`, which is how crontab decides.
    pub(super) fn begins_open(&self) -> bool {
        self.text.starts_with(['*', '?'])
    }

    /// The values of a field that is not about days, in order.
    pub(super) fn values(&self) -> Vec<u32> {
        let (low, high) = self.field.bounds();
        (low..=high).filter(|&value| self.holds(value)).collect()
    }

    /// Whether an item names this value. Days relative to the end of a month are not values.
    pub(super) fn holds(&self, value: u32) -> bool {
        self.items.iter().any(|item| match *item {
            Item::Any => true,
            Item::Value(v) => v == value,
            Item::Span { from, to, step, .. } => {
                (from..=to).contains(&value) && (value - from).is_multiple_of(step)
            }
            _ => false,
        })
    }
}
