//! An expression in English, such as "At 02:30 on the last Friday of the month, in March and June".
//!
//! The sentence says what will happen, from the parsed items: it is the reader's check that the
//! expression means what they think.

use super::Rule;
use super::cron::Cron;
use super::days::Join;
use super::field::{Field, FieldSpec, MONTHS, WEEKDAYS};
use super::interval::Every;
use super::item::Item;

/// More clock times than this are described by their fields instead of one by one.
const MAX_CLOCK_TIMES: usize = 6;

pub(super) fn describe(rule: &Rule) -> String {
    match rule {
        Rule::Every(every) => format!("Every {}", period(*every)),
        Rule::At(at) => format!("Once, at {at}"),
        Rule::Cron(cron) => describe_cron(cron),
    }
}

fn period(every: Every) -> String {
    let mut rest = every.period_ms / 1000;
    let mut parts = Vec::new();
    for (unit, length) in [
        ("day", 86_400),
        ("hour", 3_600),
        ("minute", 60),
        ("second", 1),
    ] {
        match rest / length {
            0 => {}
            1 => parts.push(unit.to_owned()),
            n => parts.push(format!("{n} {unit}s")),
        }
        rest %= length;
    }
    if let [_, _, ..] = parts.as_slice() {
        for part in &mut parts {
            if !part.starts_with(|c: char| c.is_ascii_digit()) {
                *part = format!("1 {part}");
            }
        }
    }
    and(&parts)
}

fn describe_cron(cron: &Cron) -> String {
    let times = clock_times(cron);
    let days = match days(cron) {
        none if none.is_empty() && times.is_some() => "every day".to_owned(),
        days => days,
    };
    let mut text = times.map_or_else(|| time_of_day(cron), |times| format!("at {}", and(&times)));
    if !days.is_empty() {
        text = format!("{text} {days}");
    }
    if !cron.month.has_any() {
        text.push_str(&format!(", in {}", list(&cron.month)));
    }
    if !cron.year.has_any() {
        text.push_str(&format!(", in {}", list(&cron.year)));
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

/// `02:30` and so on, if the fields are plain values and make few enough of them.
fn clock_times(cron: &Cron) -> Option<Vec<String>> {
    let fields = [&cron.second, &cron.minute, &cron.hour];
    let plain = |spec: &&FieldSpec| spec.items.iter().all(|i| matches!(i, Item::Value(_)));
    if !fields.iter().all(plain) {
        return None;
    }
    let [seconds, minutes, hours] = fields.map(FieldSpec::values);
    if seconds.len() * minutes.len() * hours.len() > MAX_CLOCK_TIMES {
        return None;
    }
    let mut times = Vec::new();
    for hour in &hours {
        for minute in &minutes {
            for second in &seconds {
                times.push(match seconds.as_slice() {
                    [0] => format!("{hour:02}:{minute:02}"),
                    _ => format!("{hour:02}:{minute:02}:{second:02}"),
                });
            }
        }
    }
    Some(times)
}

/// Each unit narrows the next: "at second 30 of every minute of hours 9 and 10". A unit that runs
/// through is left out behind one that already says "every".
fn time_of_day(cron: &Cron) -> String {
    let mut text = match cron.second.values().as_slice() {
        [0] => String::new(),
        _ => units(&cron.second),
    };
    for (spec, phrase) in [
        (&cron.minute, units(&cron.minute)),
        (&cron.hour, hours(&cron.hour)),
    ] {
        let every = text.starts_with("every ") || text.ends_with("every minute");
        if text.is_empty() {
            text = phrase;
        } else if phrase.starts_with("from ") {
            text = format!("{text} {phrase}");
        } else if !(every && spec.has_any()) {
            text = format!("{text} of {}", phrase.trim_start_matches("at "));
        }
    }
    text
}

fn hours(spec: &FieldSpec) -> String {
    match spec.items.as_slice() {
        _ if spec.has_any() => "every hour".to_owned(),
        [
            Item::Span {
                from, to, step: 1, ..
            },
        ] => format!("from {from:02}:00 to {to:02}:59"),
        [
            Item::Span {
                step, star: true, ..
            },
        ] => format!("every {} hour", ordinal(*step)),
        [Item::Value(hour)] => format!("hour {hour}"),
        _ => format!("hours {}", list(spec)),
    }
}

/// Seconds or minutes: "every 5 minutes", "at minute 10 and 40".
fn units(spec: &FieldSpec) -> String {
    let unit = spec.field.name();
    match spec.items.as_slice() {
        _ if spec.has_any() => format!("every {unit}"),
        [
            Item::Span {
                from: 0,
                step: 1,
                to: 59,
                ..
            },
        ] => format!("every {unit}"),
        [
            Item::Span {
                step, star: true, ..
            },
        ] if 60 % step == 0 => match step {
            1 => format!("every {unit}"),
            _ => format!("every {step} {unit}s"),
        },
        [Item::Span { step: 2.., .. }, ..] => format!("at {}", list(spec)),
        _ => format!("at {unit} {}", list(spec)),
    }
}

fn days(cron: &Cron) -> String {
    let month_days = (!cron.month_day.has_any()).then(|| month_days(&cron.month_day));
    let week_days = (!cron.week_day.has_any()).then(|| list(&cron.week_day));
    match (month_days, week_days, cron.join) {
        (Some(month), Some(week), Join::Or) => format!("on {month} or on {week}"),
        (Some(month), Some(week), Join::And) => format!("on {month} if it is {week}"),
        (Some(_), None, Join::Or) | (None, Some(_), Join::Or) | (None, None, _) => String::new(),
        (Some(days), None, Join::And) | (None, Some(days), Join::And) => format!("on {days}"),
    }
}

/// Items that need the month said say it themselves; numbers get it once.
fn month_days(spec: &FieldSpec) -> String {
    let (numbers, others): (Vec<Item>, Vec<Item>) = spec
        .items
        .iter()
        .copied()
        .partition(|item| matches!(item, Item::Value(_) | Item::Span { .. }));
    let mut parts = Vec::new();
    if !numbers.is_empty() {
        let text: Vec<_> = numbers
            .iter()
            .map(|item| phrase(spec.field, *item))
            .collect();
        let plain = text.len() == 1 && matches!(numbers.as_slice(), [Item::Value(_)]);
        let noun = match (plain, numbers.first()) {
            (true, _) => "day ",
            (false, Some(Item::Span { step: 2.., .. })) => "",
            _ => "days ",
        };
        parts.push(format!("{noun}{} of the month", and(&text)));
    }
    parts.extend(others.into_iter().map(|item| phrase(spec.field, item)));
    and(&parts)
}

fn list(spec: &FieldSpec) -> String {
    let parts: Vec<_> = spec
        .items
        .iter()
        .map(|item| phrase(spec.field, *item))
        .collect();
    and(&parts)
}

fn phrase(field: Field, item: Item) -> String {
    let name = |value: u32| value_name(field, value);
    match item {
        Item::Any => format!("every {}", field.name()),
        Item::Value(value) => name(value),
        Item::Span { from, to, .. } if from == to => name(from),
        Item::Span {
            from, to, step: 1, ..
        } => format!("{} through {}", name(from), name(to)),
        Item::Span { from, to, step, .. } => {
            let noun = match field {
                Field::DayOfMonth | Field::DayOfWeek => "day",
                other => other.name(),
            };
            format!(
                "every {} {noun} from {} through {}",
                ordinal(step),
                name(from),
                name(to)
            )
        }
        Item::LastDay => "the last day of the month".to_owned(),
        Item::LastWorkday => "the last Monday-to-Friday day of the month".to_owned(),
        Item::NearestWorkday(day) => {
            format!("the Monday-to-Friday day nearest to day {day} of the month")
        }
        Item::LastWeekday(day) => format!("the last {} of the month", name(day)),
        Item::NthWeekday(day, nth) => {
            let words = ["first", "second", "third", "fourth", "fifth"];
            let nth = words.get(nth as usize - 1).copied().unwrap_or("fifth");
            format!("the {nth} {} of the month", name(day))
        }
    }
}

fn value_name(field: Field, value: u32) -> String {
    let name = match field {
        Field::Month => MONTHS.get(value.saturating_sub(1) as usize),
        Field::DayOfWeek => WEEKDAYS.get(value as usize % 7),
        _ => None,
    };
    name.map_or_else(|| value.to_string(), |name| (*name).to_owned())
}

fn ordinal(n: u32) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

/// "a", "a and b", "a, b and c".
fn and(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [single] => single.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
