//! The policies of a job on the wire: misfire, retry and lost runs.

use std::fmt;
use std::time::Duration;

use sandclock_core::policy::{
    Backoff, LostRunPolicy, Misfire, MisfirePolicy, RetryOn, RetryPolicy,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{FieldError, as_seconds, seconds};
use utoipa::ToSchema;

/// `misfire`: what happens to ticks that are more than 30 s late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Misfire)]
#[serde(deny_unknown_fields)]
pub struct MisfireDto {
    /// `skip`, `once` or `all`.
    pub policy: MisfireName,
    /// With `all`: how many late ticks run at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// How late a tick may start at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<f64>,
}

/// The names of the misfire policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MisfireName {
    /// Late ticks are missed.
    Skip,
    /// The newest late tick runs.
    Once,
    /// The newest `max` late ticks run.
    All,
}

impl MisfireDto {
    /// As core has it.
    ///
    /// # Errors
    /// If `max` is missing or out of place, or the deadline is no duration.
    pub fn to_core(&self) -> Result<Misfire, FieldError> {
        let policy = match (self.policy, self.max) {
            (MisfireName::Skip, None) => MisfirePolicy::Skip,
            (MisfireName::Once, None) => MisfirePolicy::Once,
            (MisfireName::All, Some(max @ 1..=10_000)) => MisfirePolicy::All { max },
            (MisfireName::All, max) => {
                let value = max.map_or_else(|| "nothing".to_owned(), |max| max.to_string());
                return Err(FieldError::new(
                    "misfire.max",
                    value,
                    "with 'all' a number from 1 to 10000",
                ));
            }
            (_, Some(max)) => {
                return Err(FieldError::new(
                    "misfire.max",
                    max,
                    "only with the policy 'all'",
                ));
            }
        };
        let deadline = match self.deadline_s {
            Some(value) => seconds("misfire.deadline_s", value, 0.0)?,
            None => Misfire::default().deadline,
        };
        Ok(Misfire { policy, deadline })
    }

    /// From core.
    pub fn from_core(misfire: Misfire) -> Self {
        let (policy, max) = match misfire.policy {
            MisfirePolicy::Skip => (MisfireName::Skip, None),
            MisfirePolicy::Once => (MisfireName::Once, None),
            MisfirePolicy::All { max } => (MisfireName::All, Some(max)),
        };
        Self {
            policy,
            max,
            deadline_s: Some(as_seconds(misfire.deadline)),
        }
    }
}

/// `retry`: how often, when and where a failed run is tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Retry)]
#[serde(deny_unknown_fields)]
pub struct RetryDto {
    /// Retries after the first attempt.
    pub max: u32,
    /// The wait between attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<BackoffDto>,
    /// Which ends count; with no code and no signal named, every failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<RetryOnDto>,
    /// Whether another worker should take the next attempt.
    #[serde(default)]
    pub other_worker: bool,
}

/// `retry.backoff`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Backoff)]
#[serde(deny_unknown_fields, default)]
pub struct BackoffDto {
    /// The first wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_s: Option<f64>,
    /// What each further wait is multiplied with, from 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<f64>,
    /// The longest wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_s: Option<f64>,
    /// How much of a wait is left to chance, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<f64>,
}

/// `retry.on`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RetryOn)]
#[serde(deny_unknown_fields, default)]
pub struct RetryOnDto {
    /// These exit codes, from 0 to 255.
    exit_codes: Vec<i32>,
    /// These signals, from 1 to 64.
    signals: Vec<i32>,
    /// A timeout.
    timeout: bool,
    /// A lost run.
    lost: bool,
}

impl RetryDto {
    /// As core has it.
    ///
    /// # Errors
    /// If a number is out of range.
    pub fn to_core(&self) -> Result<RetryPolicy, FieldError> {
        if self.max > 1000 {
            return Err(FieldError::new(
                "retry.max",
                self.max,
                "a number from 0 to 1000",
            ));
        }
        let on = self.on.clone().unwrap_or_default();
        if let Some(code) = on.exit_codes.iter().find(|code| !(0..=255).contains(*code)) {
            return Err(FieldError::new(
                "retry.on.exit_codes",
                code,
                "exit codes from 0 to 255",
            ));
        }
        if let Some(signal) = on.signals.iter().find(|signal| !(1..=64).contains(*signal)) {
            return Err(FieldError::new(
                "retry.on.signals",
                signal,
                "signal numbers from 1 to 64",
            ));
        }
        Ok(RetryPolicy {
            max: self.max,
            backoff: self.backoff.clone().unwrap_or_default().to_core()?,
            on: RetryOn {
                exit_codes: on.exit_codes,
                signals: on.signals,
                timeout: on.timeout,
                lost: on.lost,
            },
            other_worker: self.other_worker,
        })
    }

    /// From core; `None` if nothing is retried.
    pub fn from_core(retry: &RetryPolicy) -> Option<Self> {
        (retry.max > 0).then(|| Self {
            max: retry.max,
            backoff: Some(BackoffDto::from_core(retry.backoff)),
            on: Some(RetryOnDto {
                exit_codes: retry.on.exit_codes.clone(),
                signals: retry.on.signals.clone(),
                timeout: retry.on.timeout,
                lost: retry.on.lost,
            }),
            other_worker: retry.other_worker,
        })
    }
}

impl BackoffDto {
    fn to_core(&self) -> Result<Backoff, FieldError> {
        let default = Backoff::default();
        let within = |field: &str, value: Option<f64>, default: f64, least: f64, most: f64| {
            let value = value.unwrap_or(default);
            if (least..=most).contains(&value) {
                return Ok(value);
            }
            Err(FieldError::new(
                field,
                value,
                format!("a number from {least} to {most}"),
            ))
        };
        let duration = |field, value: Option<f64>, default: Duration| {
            value.map_or(Ok(default), |value| seconds(field, value, 0.0))
        };
        Ok(Backoff {
            initial: duration("retry.backoff.initial_s", self.initial_s, default.initial)?,
            factor: within(
                "retry.backoff.factor",
                self.factor,
                default.factor,
                1.0,
                100.0,
            )?,
            max: duration("retry.backoff.max_s", self.max_s, default.max)?,
            jitter: within(
                "retry.backoff.jitter",
                self.jitter,
                default.jitter,
                0.0,
                1.0,
            )?,
        })
    }

    fn from_core(backoff: Backoff) -> Self {
        Self {
            initial_s: Some(as_seconds(backoff.initial)),
            factor: Some(backoff.factor),
            max_s: Some(as_seconds(backoff.max)),
            jitter: Some(backoff.jitter),
        }
    }
}

/// `on_lost`: `"record"`, `"rerun"` (three times at most) or `{"rerun": {"max": n}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = OnLost)]
#[serde(untagged)]
pub enum OnLostDto {
    /// A name.
    Name(OnLostName),
    /// With a bound.
    Bounded(BoundedDto),
}

/// The names of the policies for lost runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnLostName {
    /// Recorded as lost: at most once.
    Record,
    /// Started again: at least once.
    Rerun,
}

/// The policy with a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BoundedReruns)]
#[serde(deny_unknown_fields)]
pub struct BoundedDto {
    rerun: RerunDto,
}

/// The bound of reruns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Reruns)]
#[serde(deny_unknown_fields)]
pub struct RerunDto {
    max: u32,
}

impl<'de> Deserialize<'de> for OnLostDto {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrBound)
    }
}

/// Reads one form or the other by what stands there, so that what is wrong inside is told inside.
struct NameOrBound;

impl<'de> Visitor<'de> for NameOrBound {
    type Value = OnLostDto;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"record\", \"rerun\" or {\"rerun\": {\"max\": 3}}")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<OnLostDto, E> {
        match name {
            "record" => Ok(OnLostDto::Name(OnLostName::Record)),
            "rerun" => Ok(OnLostDto::Name(OnLostName::Rerun)),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<OnLostDto, A::Error> {
        BoundedDto::deserialize(MapAccessDeserializer::new(members)).map(OnLostDto::Bounded)
    }
}

impl OnLostDto {
    /// As core has it.
    ///
    /// # Errors
    /// If the bound is out of range.
    pub fn to_core(&self) -> Result<LostRunPolicy, FieldError> {
        match self {
            Self::Name(OnLostName::Record) => Ok(LostRunPolicy::Record),
            Self::Name(OnLostName::Rerun) => Ok(LostRunPolicy::Rerun { max: 3 }),
            Self::Bounded(BoundedDto { rerun }) => match rerun.max {
                max @ 1..=1000 => Ok(LostRunPolicy::Rerun { max }),
                max => Err(FieldError::new(
                    "on_lost.rerun.max",
                    max,
                    "a number from 1 to 1000",
                )),
            },
        }
    }

    /// From core.
    pub fn from_core(policy: LostRunPolicy) -> Self {
        match policy {
            LostRunPolicy::Record => Self::Name(OnLostName::Record),
            LostRunPolicy::Rerun { max } => Self::Bounded(BoundedDto {
                rerun: RerunDto { max },
            }),
        }
    }
}
