//! One item of a list, such as `5`, `1-10/2`, `LW` or `fri#2`, and how it is read.
//!
//! Both dialects share this grammar. Where the Go fleet's library reads an item differently from
//! what its author can have meant, the item is refused here with what that fleet would do.

use super::Dialect;
use super::error::ScheduleError;
use super::field::Field;

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

/// A refused item. The Go library checks steps even where it ignores the item.
pub(super) enum Refused {
    Item(ScheduleError),
    Step(ScheduleError),
}

impl From<ScheduleError> for Refused {
    fn from(error: ScheduleError) -> Self {
        Self::Item(error)
    }
}

impl Item {
    /// Reads one item in lower case.
    pub(super) fn parse(field: Field, item: &str, dialect: Dialect) -> Result<Self, Refused> {
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
        Field::DayOfWeek if padded && !value.is_multiple_of(7) => Err(field.refuse(
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
