//! What the author of a valid expression may not have meant.

use super::Dialect;
use super::Rule;
use super::cron::Cron;
use super::days::Join;
use super::field::{Field, FieldSpec};
use super::item::Item;

pub(super) fn warnings(rule: &Rule, dialect: Dialect) -> Vec<String> {
    let Rule::Cron(cron) = rule else {
        return Vec::new();
    };
    let mut found = Vec::new();
    found.extend(either_day(cron, dialect));
    found.extend(short_months(cron));
    for spec in cron.fields() {
        found.extend(uneven_step(spec));
        found.extend(spec.ignored.iter().map(|item| match item.as_str() {
            "" => format!("{}: an empty item is ignored", spec.field.name()),
            item => format!(
                "{}: '{item}' is ignored, because '*' stands before it",
                spec.field.name()
            ),
        }));
    }
    if cron.looks_seconds_first {
        found.push(
            "six fields end with a year here: the first is the minute, not the second".to_owned(),
        );
    }
    if !cron.surplus.is_empty() {
        found.push(format!(
            "'{}' behind the seventh field is ignored",
            cron.surplus.join(" ")
        ));
    }
    found
}

/// Both day fields are restricted: crontab's most surprising rule.
fn either_day(cron: &Cron, dialect: Dialect) -> Option<String> {
    if cron.join != Join::Or || cron.month_day.has_any() || cron.week_day.has_any() {
        return None;
    }
    let stepped = cron.month_day.begins_open() || cron.week_day.begins_open();
    Some(match (dialect, stepped) {
        (Dialect::Go, true) => {
            "fires when either day field matches: the Go fleet counts '*/n' as a \
                                restriction, where crontab would ask for both"
                .to_owned()
        }
        _ => "fires when either day field matches, not only when both do".to_owned(),
    })
}

/// Days that some months lack.
fn short_months(cron: &Cron) -> Option<String> {
    let day = |item: &Item| match *item {
        Item::Value(day) | Item::NearestWorkday(day) => Some(day),
        _ => None,
    };
    let days: Option<Vec<u32>> = cron.month_day.items.iter().map(day).collect();
    let first = days?.into_iter().min().filter(|first| *first > 28)?;
    let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let short = lengths
        .iter()
        .zip(1..)
        .any(|(days, month)| *days < first && cron.month.holds(month));
    let alone = cron.week_day.has_any() || cron.join == Join::And;
    (short && alone).then(|| {
        format!("skips the months that have no day {first}; 'L' is the last day of any month")
    })
}

/// A step that does not divide its field starts again at each wrap.
fn uneven_step(spec: &FieldSpec) -> Option<String> {
    let (low, high) = spec.field.bounds();
    let size = high - low + 1;
    let wraps = matches!(
        spec.field,
        Field::Second | Field::Minute | Field::Hour | Field::Month
    );
    spec.items.iter().find_map(|item| match *item {
        Item::Span { step, star: true, .. } if wraps && size % step != 0 => Some(format!(
            "{0}: '*/{step}' starts again at {low} each time the {0} wraps, so the last interval is shorter",
            spec.field.name()
        )),
        Item::Span { from, to, step, star: false } if step > 1 && from + step > to => Some(format!(
            "{}: the step {step} is longer than the range, so only {from} is meant",
            spec.field.name()
        )),
        _ => None,
    })
}
