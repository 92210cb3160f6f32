//! Stored forms of the small values that records are made of, as modules for serde's `with`.

use std::fmt::Display;
use std::time::Duration;

use serde::de::Error;

use crate::access::Role;
use crate::backend::{Generation, Nonce, SessionId, Version};
use crate::job::JobName;
use crate::run::{RunId, RunKey};
use crate::time::Timestamp;

/// Lends a form made by a remote derive, which serves plain members only, to `Option`s.
macro_rules! optional {
    ($module:ident, $type:ty, $form:literal) => {
        mod $module {
            use super::*;
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            #[derive(Serialize)]
            struct Lent<'a>(#[serde(with = $form)] &'a $type);

            #[derive(Deserialize)]
            struct Owned(#[serde(with = $form)] $type);

            pub(super) fn serialize<S: Serializer>(
                value: &Option<$type>,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                value.as_ref().map(Lent).serialize(serializer)
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Option<$type>, D::Error> {
                let value = Option::<Owned>::deserialize(deserializer)?;
                Ok(value.map(|Owned(value)| value))
            }
        }
    };
}

/// The same for lists.
macro_rules! list {
    ($module:ident, $type:ty, $form:literal) => {
        mod $module {
            use super::*;
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            #[derive(Serialize)]
            struct Lent<'a>(#[serde(with = $form)] &'a $type);

            #[derive(Deserialize)]
            struct Owned(#[serde(with = $form)] $type);

            pub(super) fn serialize<S: Serializer>(
                values: &[$type],
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(values.iter().map(Lent))
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Vec<$type>, D::Error> {
                let values = Vec::<Owned>::deserialize(deserializer)?;
                Ok(values.into_iter().map(|Owned(value)| value).collect())
            }
        }
    };
}
pub(super) use {list, optional};

fn wrong<E: Error>(value: impl Display, what: &str) -> E {
    E::custom(format_args!("{value} is not {what}"))
}

/// Declares a module for `with` over a simple form: how a value is written, and how it is read back.
macro_rules! simple {
    ($module:ident, $type:ty, $form:ty, $what:literal, $write:expr, $read:expr) => {
        pub(super) mod $module {
            use super::*;
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            pub(in crate::stored) fn serialize<S: Serializer>(
                value: &$type,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let write: fn(&$type) -> $form = $write;
                write(value).serialize(serializer)
            }

            pub(in crate::stored) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$type, D::Error> {
                let read: fn(&$form) -> Option<$type> = $read;
                let form = <$form>::deserialize(deserializer)?;
                read(&form).ok_or_else(|| wrong(format!("{form:?}"), $what))
            }
        }
    };
}

simple!(
    instant,
    Timestamp,
    i64,
    "an instant",
    |at| at.as_millis(),
    |ms| Some(Timestamp::from_millis(*ms))
);
simple!(
    opt_instant,
    Option<Timestamp>,
    Option<i64>,
    "an instant",
    |at| at.map(Timestamp::as_millis),
    |ms| Some(ms.map(Timestamp::from_millis))
);
simple!(
    millis,
    Duration,
    u64,
    "a duration",
    |time| whole_millis(*time),
    |ms| Some(Duration::from_millis(*ms))
);
simple!(
    micros,
    Duration,
    u64,
    "a duration",
    |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
    |us| Some(Duration::from_micros(*us))
);
simple!(
    opt_millis,
    Option<Duration>,
    Option<u64>,
    "a duration",
    |time| time.map(whole_millis),
    |ms| Some(ms.map(Duration::from_millis))
);
simple!(
    name,
    JobName,
    String,
    "a job name",
    |name| name.as_str().to_owned(),
    |text| Some(JobName::existing(text.as_str()))
);
simple!(
    run_key,
    RunKey,
    String,
    "a run key",
    |key| key.to_string(),
    |text| RunKey::parse(text)
);
simple!(
    run_id,
    RunId,
    String,
    "a run id",
    |id| id.to_string(),
    |text| RunId::parse(text)
);
simple!(
    role,
    Role,
    String,
    "a role",
    |role| role.to_string(),
    |text| Role::parse(text)
);
simple!(
    session,
    SessionId,
    String,
    "a session id",
    |id| id.0.clone(),
    |text| Some(SessionId(text.clone()))
);
simple!(
    version,
    Version,
    u64,
    "a version",
    |version| version.0,
    |number| Some(Version(*number))
);
simple!(
    nonce,
    Nonce,
    String,
    "a nonce",
    |nonce| format!("{:032x}", nonce.0),
    |text| u128::from_str_radix(text, 16).ok().map(Nonce)
);
simple!(
    generation,
    Generation,
    String,
    "a generation",
    |generation| format!("{:016x}", generation.0),
    |text| u64::from_str_radix(text, 16).ok().map(Generation)
);

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
