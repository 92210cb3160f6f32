//! One field of a cron expression: its name, its range, its words, and the items a list may hold.
//!
//! Both dialects share this grammar. Where the Go fleet's library reads an item differently from
//! what its author can have meant, the item is refused here with what that fleet would do.

use super::Dialect;
use super::error::ScheduleError;

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
    const fn open_end(self, dialect: Dialect) -> u32 {
        match (self, dialect) {
            (Self::DayOfWeek, Dialect::Native) => 7,
            _ => self.bounds().1,
        }
    }

    const fn longest_step(self, dialect: Dialect) -> u32 {
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

    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Month => &MONTHS,
            Self::DayOfWeek => &WEEKDAYS,
            _ => &[],
        }
    }

    fn refuse(
        self,
        item: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ScheduleError {
        ScheduleError::new(self.name(), item, reason, remedy)
    }
}

/// One item of a list. Values are as written; a weekday may be 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// `*` or `?`
    Any,
    /// `n`
    Value(u32),
    /// `a-b`, `a-b/s`, `n/s` and, with `star`, `*/s`
    Span {
        from: u32,
        to: u32,
        step: u32,
        star: bool,
    },
    /// `L`: the last day of the month
    LastDay,
    /// `LW`: the last Monday-to-Friday of the month
    LastWorkday,
    /// `nW`: the Monday-to-Friday nearest to day n, inside the month
    NearestWorkday(u32),
    /// `nL`: the last such weekday of the month
    LastWeekday(u32),
    /// `n#k`: the k-th such weekday of the month
    NthWeekday(u32, u32),
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
            match parse_item(field, &item.to_ascii_lowercase(), dialect) {
                Ok(item) => spec.items.push(item),
                Err(Refused::Item(_)) if dialect == Dialect::Go && spec.hides_what_follows() => {
                    spec.ignored.push(item.to_owned());
                }
                Err(Refused::Item(error) | Refused::Step(error)) => return Err(error),
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

/// A refused item. The Go library checks steps even where it ignores the item.
enum Refused {
    Item(ScheduleError),
    Step(ScheduleError),
}

impl From<ScheduleError> for Refused {
    fn from(error: ScheduleError) -> Self {
        Self::Item(error)
    }
}

fn parse_item(field: Field, item: &str, dialect: Dialect) -> Result<Item, Refused> {
    if matches!(item, "*" | "?") {
        return Ok(Item::Any);
    }
    if let Some(special) = parse_special(field, item, dialect)? {
        return Ok(special);
    }
    let (body, step) = match item.split_once('/') {
        Some((body, step)) => (body, Some(step)),
        None => (item, None),
    };
    let (from, to) = match body.split_once('-') {
        _ if body == "*" => field.bounds(),
        Some((from, to)) => parse_range(field, item, (from, to), dialect)?,
        None => {
            let value = parse_value(field, item, body, dialect)?;
            match step {
                Some(_) => (value, field.open_end(dialect)),
                None => return Ok(Item::Value(value)),
            }
        }
    };
    let step = match step {
        Some(step) => parse_step(field, item, step, dialect).map_err(Refused::Step)?,
        None => 1,
    };
    Ok(Item::Span {
        from,
        to,
        step,
        star: body == "*",
    })
}

/// The items that only the day fields have.
fn parse_special(
    field: Field,
    item: &str,
    dialect: Dialect,
) -> Result<Option<Item>, ScheduleError> {
    let special = match field {
        Field::DayOfMonth => match item {
            "l" => Item::LastDay,
            "lw" => Item::LastWorkday,
            _ => match item.strip_suffix('w') {
                Some(day) => Item::NearestWorkday(parse_value(field, item, day, dialect)?),
                None => return Ok(None),
            },
        },
        Field::DayOfWeek => match (item.strip_suffix('l'), item.split_once('#')) {
            (Some(day), _) => Item::LastWeekday(parse_value(field, item, day, dialect)? % 7),
            (None, Some((day, nth @ ("1" | "2" | "3" | "4" | "5")))) => {
                let nth = parse_number(nth).unwrap_or(1);
                Item::NthWeekday(parse_value(field, item, day, dialect)? % 7, nth)
            }
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(special))
}

fn parse_range(
    field: Field,
    item: &str,
    (from, to): (&str, &str),
    dialect: Dialect,
) -> Result<(u32, u32), ScheduleError> {
    let low = parse_value(field, item, from, dialect)?;
    let high = parse_value(field, item, to, dialect)?;
    if dialect == Dialect::Go && field == Field::DayOfWeek && to == "7" && from == "0" {
        return Err(field.refuse(
            item,
            "means Sundays only to the Go fleet, which reads a 7 as 0",
            "write * for every day or 0 for Sunday",
        ));
    }
    if low <= high {
        return Ok((low, high));
    }
    let remedy = format!("write the lower value first, or two items such as {}", {
        let (least, most) = field.bounds();
        format!("{from}-{most},{least}-{to}")
    });
    Err(field.refuse(item, reversed(field, dialect), remedy))
}

fn reversed(field: Field, dialect: Dialect) -> &'static str {
    match (dialect, field) {
        (Dialect::Native, _) => "is a reversed range",
        (Dialect::Go, Field::DayOfMonth | Field::DayOfWeek | Field::Year) => {
            "is a reversed range, which the Go fleet accepts, never finds a day for and then runs \
             in a hot loop"
        }
        (Dialect::Go, _) => {
            "is a reversed range, which the Go fleet accepts and drops or crashes every worker on"
        }
    }
}

/// A number of at most two digits (a year: four), or a name.
fn parse_value(
    field: Field,
    item: &str,
    text: &str,
    dialect: Dialect,
) -> Result<u32, ScheduleError> {
    let unknown = || field.refuse(item, "is not an item of this field", field.accepted());
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        let word = field.words().iter().position(|word| {
            text.eq_ignore_ascii_case(word)
                || word
                    .get(..3)
                    .is_some_and(|short| text == short.to_ascii_lowercase())
        });
        let base = if field == Field::Month { 1 } else { 0 };
        return word
            .and_then(|at| u32::try_from(at).ok())
            .map(|at| at + base)
            .ok_or_else(unknown);
    }
    let value = parse_number(text).ok_or_else(unknown)?;
    let (low, high) = field.bounds();
    let high = if field == Field::DayOfWeek { 7 } else { high };
    let digits = if field == Field::Year {
        text.len() == 4
    } else {
        text.len() <= 2
    };
    if !digits || value < low || value > high {
        let reason = format!("is outside {low}-{high}");
        return Err(field.refuse(item, reason, field.accepted()));
    }
    if dialect == Dialect::Native {
        return Ok(value);
    }
    go_value(field, item, text, value)
}

/// The Go library looks numbers up in tables that lack some of what its grammar lets through.
fn go_value(field: Field, item: &str, text: &str, value: u32) -> Result<u32, ScheduleError> {
    let padded = text.len() == 2 && text.starts_with('0');
    match field {
        Field::Month if padded => Err(field.refuse(
            item,
            "means month 0 to the Go fleet, which then runs the job in a hot loop",
            format!("write {value}"),
        )),
        Field::DayOfWeek if padded && value % 7 != 0 => Err(field.refuse(
            item,
            "means Sunday to the Go fleet, which does not know the padded number",
            format!("write {value}, or 0 for Sunday"),
        )),
        Field::DayOfWeek => Ok(value % 7),
        _ => Ok(value),
    }
}

fn parse_step(
    field: Field,
    item: &str,
    text: &str,
    dialect: Dialect,
) -> Result<u32, ScheduleError> {
    let longest = field.longest_step(dialect);
    let known = |step: &u32| match dialect {
        Dialect::Native => true,
        Dialect::Go if text.len() > 2 => *step >= 1970,
        Dialect::Go => *step <= 59,
    };
    parse_number(text)
        .filter(known)
        .filter(|step| (1..=longest).contains(step))
        .ok_or_else(|| {
            field.refuse(
                item,
                "has a step that this field cannot take",
                format!(
                    "use a step from 1 to {}",
                    longest.min(if dialect == Dialect::Go { 59 } else { longest })
                ),
            )
        })
}

/// A plain decimal number of at most four digits.
fn parse_number(text: &str) -> Option<u32> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}
