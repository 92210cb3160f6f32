//! The five fields and the shorthands: what cron takes, as an expression of our own with the same fire times.
//!
//! Both languages agree on most. Where ours refuses what cron takes (a step beyond the field, numbers of many
//! digits), the field is written anew; where ours takes more (`L`, `W`, `#`, `?`, `n/s`, whole names), it is refused,
//! since no cron would have run it.

use sandclock_core::schedule::{Dialect, Schedule};

use crate::document::FieldError;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The shorthands beside `@reboot`.
const SHORTHANDS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];

/// A field of cron.
struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    /// The longest step that our own language takes.
    longest_step: u32,
    /// Names in the order of values, from `low`.
    names: &'static [&'static str],
    accepted: &'static str,
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        low: 0,
        high: 59,
        longest_step: 59,
        names: &[],
        accepted: "0-59, *, a-b, */s, a-b/s or a list of these",
    },
    Field {
        name: "hour",
        low: 0,
        high: 23,
        longest_step: 23,
        names: &[],
        accepted: "0-23, *, a-b, */s, a-b/s or a list of these",
    },
    Field {
        name: "day of month",
        low: 1,
        high: 31,
        longest_step: 31,
        names: &[],
        accepted: "1-31, *, a-b, */s, a-b/s or a list of these",
    },
    Field {
        name: "month",
        low: 1,
        high: 12,
        longest_step: 12,
        names: &MONTHS,
        accepted: "1-12 or jan-dec, *, a-b, */s, a-b/s or a list of these",
    },
    Field {
        name: "day of week",
        low: 0,
        high: 7,
        longest_step: 6,
        names: &DAYS,
        accepted: "0-7 (0 and 7 are Sunday) or sun-sat, *, a-b, */s, a-b/s or a list of these",
    },
];

/// A shorthand as an expression; `None` for `@reboot`. Cron knows them in lower case only.
///
/// # Errors
/// If it is none of cron's.
pub(super) fn shorthand(word: &str) -> Result<Option<String>, FieldError> {
    if word == "@reboot" {
        return Ok(None);
    }
    if SHORTHANDS.contains(&word) {
        return Ok(Some(word.to_owned()));
    }
    let accepted = format!("one of {} and @reboot", SHORTHANDS.join(", "));
    Err(FieldError::new("schedule", word, accepted))
}

/// Five fields as an expression.
///
/// # Errors
/// Names the field that cron would not take, or the one that cannot be said here.
pub(super) fn expression(
    texts: [&str; 5],
    warnings: &mut Vec<String>,
) -> Result<Option<String>, FieldError> {
    let [.., day, _, _] = texts;
    let mut written = Vec::new();
    for (field, text) in FIELDS.iter().zip(texts) {
        let items = text.split(',').map(|item| field.item(item));
        let items = items.collect::<Result<Vec<_>, _>>();
        let items = items.map_err(|remedy| FieldError::new(field.name, text, remedy))?;
        let lost_star = items.first().is_some_and(|item| item.lost_star);
        if lost_star && field.name == "day of week" && !day.starts_with('*') {
            let accepted = "with a day of month, a step within the week: cron asks for both days here, which no \
                            schedule can say";
            return Err(FieldError::new(field.name, text, accepted));
        }
        warnings.extend(items.iter().filter_map(|item| item.warning.clone()));
        let items: Vec<_> = items.into_iter().map(|item| item.text).collect();
        written.push(items.join(","));
    }
    Ok(Some(written.join(" ")))
}

/// Why an expression never fires, if it does not: cron takes February 30, too.
pub(super) fn never(schedule: &str) -> Option<String> {
    let error = Schedule::parse(schedule, Dialect::Native).err()?;
    Some(format!(
        "{} {}; {}",
        error.value, error.reason, error.remedy
    ))
}

/// An item as it is written here.
#[derive(Default)]
struct Item {
    text: String,
    warning: Option<String>,
    /// It began with a `*` and does not any more.
    lost_star: bool,
}

impl From<String> for Item {
    fn from(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}

impl Field {
    /// One item of the list.
    ///
    /// # Errors
    /// What would be accepted.
    fn item(&self, item: &str) -> Result<Item, String> {
        let (body, step) = match item.split_once('/') {
            Some((body, step)) => (body, Some(self.step(step)?)),
            None => (item, None),
        };
        if item.contains('~') {
            return Err(format!(
                "a fixed value: '~' is one at random in some crons; {}",
                self.accepted
            ));
        }
        let (first, text) = match body.split_once('-') {
            _ if body == "*" => (self.low, body.to_owned()),
            Some((from, to)) => {
                let (low, high) = (self.value(from)?, self.value(to)?);
                if low.0 > high.0 {
                    return Err(format!(
                        "a range upwards, not {from}-{to}; {}",
                        self.accepted
                    ));
                }
                (low.0, format!("{}-{}", low.1, high.1))
            }
            None => {
                let (value, text) = self.value(body)?;
                if let Some(step) = step {
                    let high = self.high;
                    return Err(format!(
                        "a step behind a range: {value}-{high}/{step}, or {value} alone, which is what older crons \
                         made of it; {}",
                        self.accepted
                    ));
                }
                (value, text)
            }
        };
        Ok(match step {
            None => text.into(),
            Some(step) if step <= self.longest_step => format!("{text}/{step}").into(),
            Some(step) => self.beyond(&text, first, step),
        })
    }

    /// A step that leads out of the field at once: only `first` is meant.
    fn beyond(&self, text: &str, first: u32, step: u32) -> Item {
        let star = text == "*";
        let (written, lost_star) = match star {
            // What begins with a star keeps its meaning: our longest step leads out of these, too.
            true if self.low == 1 => (format!("*/{}", self.longest_step), false),
            _ => (first.to_string(), star),
        };
        let name = self.name;
        Item {
            warning: Some(format!(
                "{name}: the step of {text}/{step} leads out of the field, so only {first} is meant"
            )),
            text: written,
            lost_star,
        }
    }

    /// A value, as a number and as it is written here.
    fn value(&self, text: &str) -> Result<(u32, String), String> {
        let wrong = || self.accepted.to_owned();
        if text.is_empty() {
            return Err(format!("no empty item; {}", self.accepted));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let value = text.parse().map_err(|_| wrong())?;
            let inside = (self.low..=self.high).contains(&value);
            return inside.then(|| (value, value.to_string())).ok_or_else(wrong);
        }
        let mut names = self.names.iter();
        let at = names.position(|name| text.eq_ignore_ascii_case(name));
        let value = at.and_then(|at| u32::try_from(at).ok()).ok_or_else(wrong)?;
        Ok((value + self.low, text.to_ascii_lowercase()))
    }

    fn step(&self, text: &str) -> Result<u32, String> {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let step = text.parse().ok().filter(|step| plain && *step > 0);
        step.ok_or_else(|| format!("a step from 1; {}", self.accepted))
    }
}
