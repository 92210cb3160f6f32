//! A cron expression: five, six or seven fields, in crontab's dialect or the Go fleet's.

use super::Dialect;
use super::days::{DayRule, Join};
use super::error::ScheduleError;
use super::field::{Field, FieldSpec};
use super::pattern::Pattern;

/// A parsed cron expression.
#[derive(Clone, Debug)]
pub(super) struct Cron {
    pub(super) second: FieldSpec,
    pub(super) minute: FieldSpec,
    pub(super) hour: FieldSpec,
    pub(super) month_day: FieldSpec,
    pub(super) month: FieldSpec,
    pub(super) week_day: FieldSpec,
    pub(super) year: FieldSpec,
    pub(super) join: Join,
    /// What stood behind the seventh field, which the Go library never reads.
    pub(super) surplus: Vec<String>,
    /// Six fields were written, the last of them `*` or `?`: others read seconds first.
    pub(super) looks_seconds_first: bool,
    pub(super) pattern: Pattern,
}

/// crontab's shorthands as expressions of five fields.
const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// What every native expression may be, for error messages.
pub(super) const ACCEPTED: &str = "use 5 fields (minute hour day-of-month month day-of-week), 7 \
     (second first, year last), @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, \
     '@every 90s' or '@at 2027-01-01T00:00:00Z'";

impl Cron {
    /// Reads the expression of a native job.
    pub(super) fn parse_native(expr: &str) -> Result<Self, ScheduleError> {
        let short = MACROS
            .iter()
            .find(|(name, _)| expr.trim().eq_ignore_ascii_case(name));
        let text = short.map_or(expr, |&(_, fields)| fields);
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        match *fields.as_slice() {
            [minute, hour, day, month, week, year] => {
                Err(six_fields(expr, [minute, hour, day, month, week, year]))
            }
            [second, minute, hour, day, month, week, year] => Self::build(
                expr,
                Dialect::Native,
                [second, minute, hour, day, month, week, year],
            ),
            [minute, hour, day, month, week] => Self::build(
                expr,
                Dialect::Native,
                ["0", minute, hour, day, month, week, "*"],
            ),
            [single] if single.starts_with('@') => Err(ScheduleError::new(
                "schedule",
                expr,
                "is not a known shorthand",
                ACCEPTED,
            )),
            _ => Err(ScheduleError::new(
                "schedule",
                expr,
                format!("has {} fields", fields.len()),
                ACCEPTED,
            )),
        }
    }

    /// Reads an expression as the Go fleet's library does: shorthands are replaced wherever they
    /// stand, six fields end with a year, and nothing behind the seventh is read.
    pub(super) fn parse_go(expr: &str) -> Result<Self, ScheduleError> {
        let text = MACROS.iter().filter(|(name, _)| *name != "@midnight").fold(
            expr.to_owned(),
            |text, (name, fields)| match text.contains(name) {
                true => text.replace(name, &format!("0 {fields} *")),
                false => text,
            },
        );
        let mut fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let surplus = fields.split_off(fields.len().min(7));
        let cron = match *fields.as_slice() {
            [second, minute, hour, day, month, week, year] => Self::build(
                expr,
                Dialect::Go,
                [second, minute, hour, day, month, week, year],
            )?,
            [minute, hour, day, month, week, year] => Self::build(
                expr,
                Dialect::Go,
                ["0", minute, hour, day, month, week, year],
            )?,
            [minute, hour, day, month, week] => Self::build(
                expr,
                Dialect::Go,
                ["0", minute, hour, day, month, week, "*"],
            )?,
            _ => {
                let count = fields.len();
                return Err(ScheduleError::new(
                    "schedule",
                    expr,
                    format!("has {count} fields"),
                    "use 5 fields (minute hour day-of-month month day-of-week), 6 (year last), 7 \
                     (second first, year last), @hourly, @daily, @weekly, @monthly, @yearly or \
                     @annually",
                ));
            }
        };
        Ok(Self {
            surplus: surplus.into_iter().map(str::to_owned).collect(),
            looks_seconds_first: fields.len() == 6 && cron.year.has_any(),
            ..cron
        })
    }

    fn build(expr: &str, dialect: Dialect, texts: [&str; 7]) -> Result<Self, ScheduleError> {
        let [second, minute, hour, month_day, month, week_day, year] = texts;
        let parse = |field, text| FieldSpec::parse(field, text, dialect);
        let second = parse(Field::Second, second)?;
        let minute = parse(Field::Minute, minute)?;
        let hour = parse(Field::Hour, hour)?;
        let month_day = parse(Field::DayOfMonth, month_day)?;
        let month = parse(Field::Month, month)?;
        let week_day = parse(Field::DayOfWeek, week_day)?;
        let year = parse(Field::Year, year)?;
        let open = |spec: &FieldSpec| match dialect {
            Dialect::Native => spec.begins_open(),
            Dialect::Go => spec.has_any(),
        };
        let join = if open(&month_day) || open(&week_day) {
            Join::And
        } else {
            Join::Or
        };
        let days = DayRule::new(&month_day, &week_day, join);
        let pattern = Pattern::new(expr, [&second, &minute, &hour, &month, &year], days)?;
        if !pattern.is_possible() {
            return Err(never(expr, dialect));
        }
        Ok(Self {
            second,
            minute,
            hour,
            month_day,
            month,
            week_day,
            year,
            join,
            surplus: Vec::new(),
            looks_seconds_first: false,
            pattern,
        })
    }

    /// Whether crontab calls the job a wildcard job: its minute or hour field begins with `*`.
    pub(super) fn is_wildcard(&self) -> bool {
        self.minute.text.starts_with('*') || self.hour.text.starts_with('*')
    }

    /// The fields in the order of a seven-field expression.
    pub(super) fn fields(&self) -> [&FieldSpec; 7] {
        [
            &self.second,
            &self.minute,
            &self.hour,
            &self.month_day,
            &self.month,
            &self.week_day,
            &self.year,
        ]
    }
}

fn never(expr: &str, dialect: Dialect) -> ScheduleError {
    let reason = match dialect {
        Dialect::Native => "can never fire: no such day exists from 1970 to 2099",
        Dialect::Go => {
            "can never fire: no such day exists from 1970 to 2099 (the Go fleet would run it in a \
             hot loop)"
        }
    };
    let remedy = "name a day that the months and years of the expression have";
    ScheduleError::new("schedule", expr, reason, remedy)
}

/// Six fields mean two things in the field; neither is guessed.
fn six_fields(expr: &str, fields: [&str; 6]) -> ScheduleError {
    let [first, .., last] = fields;
    let all = fields.join(" ");
    ScheduleError::new(
        "schedule",
        expr,
        format!(
            "has 6 fields, which has two readings: year last ('{last}') or second first ('{first}')"
        ),
        format!(
            "write '0 {all}' if the last field is a year, or '{all} *' if the first is seconds"
        ),
    )
}
