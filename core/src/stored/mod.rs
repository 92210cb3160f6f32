//! The stored form of records: what bytes a backend keeps for a job, a run's records and the run log.
//!
//! Only this module knows stored bytes (A3); a backend keeps them without looking inside. A record is
//! a JSON object with a member `v`, the version of its form:
//!
//! - Adding a member that has a default keeps `v`. Older programs do not know the member, and keep it
//!   when they write the record again through [`encode_over`].
//! - Any other change raises `v` and adds a step to `STEPS`, which turns the older form into the next.
//!   A form above the newest known one is refused, not guessed at.
//! - Golden files hold each form that was ever written; they stay readable for ever (S13).
//!
//! Instants are Unix milliseconds, durations milliseconds (`_ms`), and numbers above 2⁵³ hexadecimal.

use serde::{Deserialize, Serialize, Serializer, de};
use serde_json::{Map, Value};

use crate::binding::Binding;
use crate::job::{Job, JobName};

mod access;
mod audit;
mod binding;
mod fleet;
mod forms;
mod job;
mod later;
mod mark;
mod outcome;
mod records;
#[cfg(test)]
mod tests;
mod vault;

#[cfg(debug_assertions)]
pub use later::write_later_form;
pub use mark::{mark_text, mark_text_over, parse_mark};

/// The newest form, which is the one that is written.
pub const VERSION: u32 = 1;

/// How long most records are at most, in bytes, so that they need not be moved while they are written.
const USUAL: usize = 1024;

/// How form `n + 1` is made from form `n`, at index `n - 1`.
const STEPS: &[Step] = &[];

/// The longest [`StoredError::reason`].
const REASON_CHARS: usize = 300;

/// A step from one form to the next; `kind` is the [`Stored::KIND`] of the record.
type Step = fn(kind: &str, record: &mut Map<String, Value>);

/// A record with a stored form. Implemented here only.
pub trait Stored: Sized + sealed::Form {
    /// The kind's name in errors.
    const KIND: &'static str;
}

mod sealed {
    /// The members of a record, without the envelope.
    pub trait Form: Sized {
        /// Writes all members.
        fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

        /// Reads the members it knows and ignores others.
        fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
    }
}

/// Why stored bytes are not a record, or a record has no stored form.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The bytes are not what a record of this kind must be.
    #[error("stored {kind} is malformed")]
    Malformed {
        /// The kind of record.
        kind: &'static str,
        /// What is wrong, and where.
        #[source]
        source: serde_json::Error,
    },
    /// A newer program wrote it.
    #[error("stored {kind} has form {found}, this program knows forms up to {VERSION}: upgrade it")]
    Newer {
        /// The kind of record.
        kind: &'static str,
        /// The record's form.
        found: u32,
    },
}

impl StoredError {
    fn malformed<T: Stored>(source: serde_json::Error) -> Self {
        Self::Malformed {
            kind: T::KIND,
            source,
        }
    }

    /// All that there is to say, for people: one line of bounded length.
    pub fn reason(&self) -> String {
        let text = match self {
            Self::Malformed { source, .. } => {
                let what = source.to_string();
                // A line and a column of bytes that no person wrote help nobody.
                let what = what
                    .rsplit_once(" at line ")
                    .map_or(&*what, |(what, _)| what);
                format!("{self}: {what}")
            }
            Self::Newer { .. } => self.to_string(),
        };
        one_line(&text)
    }
}

/// A reason for people: of at most [`REASON_CHARS`] characters. Pieces of a record may be in it, so that nothing
/// in it is taken for control characters of a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let harmless = |c: char| match c.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => c,
    };
    text.chars().take(REASON_CHARS).map(harmless).collect()
}

#[derive(Serialize)]
struct Envelope<'a, T: Stored> {
    v: u32,
    #[serde(flatten, serialize_with = "write_members")]
    record: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    later: Option<&'static str>,
}

fn write_members<T: Stored, S: Serializer>(record: &&T, serializer: S) -> Result<S::Ok, S::Error> {
    record.write(serializer)
}

#[derive(Deserialize)]
struct Probe {
    v: u32,
}

/// The bytes of `record` in the newest form.
///
/// # Errors
/// `Malformed` if the record holds what JSON cannot, which no valid record does.
pub fn encode<T: Stored>(record: &T) -> Result<Vec<u8>, StoredError> {
    let envelope = Envelope {
        v: VERSION,
        record,
        later: later::addition(),
    };
    let mut bytes = Vec::with_capacity(USUAL);
    serde_json::to_writer(&mut bytes, &envelope).map_err(StoredError::malformed::<T>)?;
    Ok(bytes)
}

/// As [`encode`], keeping the members of `previous` that this program does not know (S13).
///
/// What it does not know is what its own reading and writing of `previous` loses, at any depth.
/// Lists are compared as a whole. Of bytes that are no record nothing is kept.
///
/// # Errors
/// As [`encode`], and `Newer` if a later program wrote `previous`: it must not be replaced.
pub fn encode_over<T: Stored>(record: &T, previous: &[u8]) -> Result<Vec<u8>, StoredError> {
    let old: T = match decode(previous) {
        Err(StoredError::Malformed { .. }) => return encode(record),
        old => old?,
    };
    let value =
        |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).map_err(StoredError::malformed::<T>);
    let known = value(&encode(&old)?)?;
    let mut new = value(&encode(record)?)?;
    keep_unknown(&mut new, &value(previous)?, &known);
    serde_json::to_vec(&new).map_err(StoredError::malformed::<T>)
}

/// Copies into `new` what `previous` has and `known` lacks.
fn keep_unknown(new: &mut Value, previous: &Value, known: &Value) {
    let (Value::Object(new), Value::Object(previous), Value::Object(known)) =
        (new, previous, known)
    else {
        return;
    };
    for (name, value) in previous {
        match (known.get(name), new.get_mut(name)) {
            (None, None) => {
                new.insert(name.clone(), value.clone());
            }
            (Some(known), Some(new)) => keep_unknown(new, value, known),
            _ => {}
        }
    }
}

/// The record in `bytes`, in any form that was ever written.
///
/// # Errors
/// `Newer` for a form of a later program, else `Malformed`.
pub fn decode<T: Stored>(bytes: &[u8]) -> Result<T, StoredError> {
    let malformed = StoredError::malformed::<T>;
    let Probe { v: found } = serde_json::from_slice(bytes).map_err(malformed)?;
    if found > VERSION {
        return Err(StoredError::Newer {
            kind: T::KIND,
            found,
        });
    }
    if found == VERSION {
        return T::read(&mut serde_json::Deserializer::from_slice(bytes)).map_err(malformed);
    }
    let mut record: Map<String, Value> = serde_json::from_slice(bytes).map_err(malformed)?;
    upgrade(T::KIND, &mut record, found, STEPS);
    T::read(Value::Object(record)).map_err(malformed)
}

/// The job in `bytes`, which is stored under this name.
///
/// # Errors
/// As [`decode`]; `Malformed` also if it is the record of another job.
pub fn decode_job(name: &JobName, bytes: &[u8]) -> Result<Job, StoredError> {
    let job: Job = decode(bytes)?;
    if job.name == *name {
        return Ok(job);
    }
    let other = format!("it is the record of job {:?}", job.name.as_str());
    Err(StoredError::malformed::<Job>(de::Error::custom(other)))
}

/// The binding in `bytes`, which is stored under this name.
///
/// # Errors
/// As [`decode`]; `Malformed` also if it is another binding's.
pub fn decode_binding(name: &str, bytes: &[u8]) -> Result<Binding, StoredError> {
    let binding: Binding = decode(bytes)?;
    if binding.name == name {
        return Ok(binding);
    }
    let other = format!("it is binding {:?}", binding.name);
    Err(StoredError::malformed::<Binding>(de::Error::custom(other)))
}

/// Takes a record of form `found` through every later step.
fn upgrade(kind: &str, record: &mut Map<String, Value>, found: u32, steps: &[Step]) {
    let done = usize::try_from(found.saturating_sub(1)).unwrap_or(usize::MAX);
    for step in steps.iter().skip(done) {
        step(kind, record);
    }
}
