//! `[alerts.targets.NAME.policy]`: how alerts go to a target.

use std::ops::RangeInclusive;
use std::time::Duration;

use sandclock_core::alerting::{Escalation, Quiet, Retry, TargetPolicy};
use sandclock_core::schedule::{DAY_MINUTES, Hours, Weekday, Zone, parse_zone};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::checked;
use crate::document::FieldError;

/// `[alerts.targets.NAME.policy]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySection {
    /// What follows a failed try.
    pub retry: RetrySection,
    /// How many messages it gets in any minute; `None` is no limit.
    pub rate: Option<u32>,
    /// How long an alert waits for others that go out with it in one message, in seconds; 0 sends each by itself.
    pub group_s: u64,
    /// When it is left alone.
    pub quiet: Option<QuietSection>,
    /// Where alerts go as well once their job has failed so often in a row.
    pub escalate: Vec<EscalationSection>,
    /// Whether it is told that a job of whose failures it was told succeeds again.
    pub recovery: bool,
}

/// `retry`
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySection {
    /// The first pause, in seconds.
    pub initial_s: u64,
    /// Each pause is so many times the one before.
    pub factor: f64,
    /// The longest pause, in seconds.
    pub max_s: u64,
    /// Each pause is up to this part of itself longer or shorter, by chance.
    pub jitter: f64,
    /// The alert is given up once its pauses would add up to more, in seconds.
    pub give_up_after_s: u64,
}

impl Default for RetrySection {
    fn default() -> Self {
        let retry = Retry::default();
        Self {
            initial_s: retry.initial.as_secs(),
            factor: retry.factor,
            max_s: retry.max.as_secs(),
            jitter: retry.jitter,
            give_up_after_s: retry.give_up_after.as_secs(),
        }
    }
}

/// `quiet`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct QuietSection {
    /// When they begin, in minutes of the day.
    #[serde(deserialize_with = "minute", serialize_with = "of_minute")]
    from: u32,
    /// When they end, perhaps on the next day.
    #[serde(deserialize_with = "minute", serialize_with = "of_minute")]
    to: u32,
    /// Whose clock.
    #[serde(deserialize_with = "zone", serialize_with = "checked::as_text")]
    zone: Zone,
    /// The days on which they begin; none are all.
    #[serde(default, deserialize_with = "days", serialize_with = "of_days")]
    days: Vec<Weekday>,
    /// The target to which alerts go meanwhile; without one they wait.
    #[serde(default)]
    instead: Option<String>,
}

/// An item of `escalate`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EscalationSection {
    /// From so many failures in a row on.
    pub after: u32,
    /// The target to which alerts go as well.
    pub to: String,
}

/// A time of the day: `HH:MM`, to `24:00`.
fn minute<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let text = String::deserialize(from)?;
    let number = |digits: &str| {
        let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        two.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let parts = text.split_once(':');
    let time = parts.and_then(|(hour, minute)| Some((number(hour)?, number(minute)?)));
    let minute = time.filter(|(_, minute)| *minute < 60);
    let minute = minute.map(|(hour, minute)| hour * 60 + minute);
    minute
        .filter(|minute| *minute <= DAY_MINUTES)
        .ok_or_else(|| D::Error::custom("a time of the day, from 00:00 to 24:00, such as 22:00"))
}

/// The same as it is written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn of_minute<S: Serializer>(minute: &u32, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{:02}:{:02}", minute / 60, minute % 60))
}

fn zone<'de, D: Deserializer<'de>>(from: D) -> Result<Zone, D::Error> {
    parse_zone(&String::deserialize(from)?).map_err(D::Error::custom)
}

fn days<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Weekday>, D::Error> {
    let names = Vec::<String>::deserialize(from)?;
    let day = |name: &String| {
        Weekday::parse(name)
            .ok_or_else(|| D::Error::custom("days: mon, tue, wed, thu, fri, sat or sun each"))
    };
    names.iter().map(day).collect()
}

fn of_days<S: Serializer>(days: &[Weekday], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(days.iter().map(|day| day.as_str()))
}

/// Refuses a number that is not in the range.
fn within(
    field: String,
    given: u64,
    accepted: &RangeInclusive<u64>,
    unit: &str,
) -> Result<(), FieldError> {
    if accepted.contains(&given) {
        return Ok(());
    }
    let accepted = format!("{unit} from {} to {}", accepted.start(), accepted.end());
    Err(FieldError::new(field, given, accepted))
}

/// A year, in seconds.
const YEAR_S: u64 = 365 * 86_400;

impl PolicySection {
    /// Checks the numbers. `path` is that of this section.
    pub(super) fn check(&self, path: &str) -> Result<(), FieldError> {
        let field = |member: &str| format!("{path}.{member}");
        let retry = &self.retry;
        let seconds =
            |member: &str, given, accepted| within(field(member), given, &accepted, "seconds");
        seconds("retry.initial_s", retry.initial_s, 1..=86_400)?;
        seconds("retry.max_s", retry.max_s, retry.initial_s..=86_400 * 7)?;
        seconds("retry.give_up_after_s", retry.give_up_after_s, 0..=YEAR_S)?;
        seconds("group_s", self.group_s, 0..=86_400)?;
        if !(1.0..=100.0).contains(&retry.factor) {
            let accepted = "a number from 1 to 100";
            return Err(FieldError::new(
                field("retry.factor"),
                retry.factor,
                accepted,
            ));
        }
        if !(0.0..=1.0).contains(&retry.jitter) {
            let accepted = "a number from 0 to 1";
            return Err(FieldError::new(
                field("retry.jitter"),
                retry.jitter,
                accepted,
            ));
        }
        if let Some(rate) = self.rate {
            within(
                field("rate"),
                rate.into(),
                &(1..=1_000),
                "messages in a minute",
            )?;
        }
        if let Some(quiet) = &self.quiet
            && (quiet.from == quiet.to || quiet.from == DAY_MINUTES)
        {
            let time = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
            let accepted = "two different times, of which the first is a time of the same day; a whole day is from \
                            00:00 to 24:00";
            let given = format!("{} to {}", time(quiet.from), time(quiet.to));
            return Err(FieldError::new(field("quiet"), given, accepted));
        }
        for (number, rule) in self.escalate.iter().enumerate() {
            if rule.after == 0 {
                let accepted = "failures in a row, from 1";
                return Err(FieldError::new(
                    field(&format!("escalate[{number}].after")),
                    0,
                    accepted,
                ));
            }
        }
        Ok(())
    }

    /// The other targets that it names, and where.
    pub(super) fn others(&self) -> impl Iterator<Item = (String, &String)> {
        let quiet = self.quiet.iter().filter_map(|quiet| quiet.instead.as_ref());
        let quiet = quiet.map(|to| ("quiet.instead".to_owned(), to));
        let rules = self.escalate.iter().enumerate();
        quiet.chain(rules.map(|(number, rule)| (format!("escalate[{number}].to"), &rule.to)))
    }

    /// As core has it.
    pub(super) fn target_policy(&self) -> TargetPolicy {
        let retry = &self.retry;
        TargetPolicy {
            retry: Retry {
                initial: Duration::from_secs(retry.initial_s),
                factor: retry.factor,
                max: Duration::from_secs(retry.max_s),
                jitter: retry.jitter,
                give_up_after: Duration::from_secs(retry.give_up_after_s),
            },
            per_minute: self.rate,
            group: Duration::from_secs(self.group_s),
            quiet: self.quiet.clone().map(|quiet| Quiet {
                hours: Hours {
                    from: quiet.from,
                    to: quiet.to,
                    days: quiet.days,
                    zone: quiet.zone,
                },
                instead: quiet.instead,
            }),
            escalate: (self.escalate.iter())
                .map(|rule| Escalation {
                    after: rule.after,
                    to: rule.to.clone(),
                })
                .collect(),
            recovery: self.recovery,
        }
    }
}
