//! What is wrong with a document, first without and then with the place where it stands.
//!
//! Whoever reads a value says what is wrong; the [`Member`](super::reader::Member) that it read from knows the
//! place. The innermost place stays.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};
use serde_json::Value;

use super::{FieldError, WHOLE, member, names};

/// A complaint, and where it belongs once that is known.
#[derive(Debug)]
pub(super) struct Fault {
    complaint: Complaint,
    place: Option<(String, String)>,
}

#[derive(Debug)]
enum Complaint {
    /// About the value itself: what would be accepted.
    Accepted(String),
    /// A member that there is not.
    Unknown(String, String),
    /// A member that must be there.
    Missing(&'static str),
}

impl Fault {
    /// The value is not accepted; `accepted` would be.
    pub(super) fn accepted(accepted: impl Into<String>) -> Self {
        Self {
            complaint: Complaint::Accepted(accepted.into()),
            place: None,
        }
    }

    /// The complaint is about this value, unless one further inside is at fault.
    pub(super) fn at(self, path: &str, value: &Value) -> Self {
        if self.place.is_some() {
            return self;
        }
        let place = match &self.complaint {
            Complaint::Accepted(_) => (path.to_owned(), value.to_string()),
            Complaint::Unknown(name, _) => (
                member(path, name),
                value.get(name).unwrap_or(&Value::Null).to_string(),
            ),
            Complaint::Missing(name) => (member(path, name), "nothing".to_owned()),
        };
        Self {
            place: Some(place),
            ..self
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.complaint {
            Complaint::Accepted(accepted) => f.write_str(accepted),
            Complaint::Unknown(_, known) => write!(f, "there is no such field; known are {known}"),
            Complaint::Missing(name) => write!(f, "{name} must be given"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for FieldError {
    fn from(fault: Fault) -> Self {
        let accepted = fault.to_string();
        let (field, value) = fault.place.unwrap_or_default();
        let field = if field.is_empty() {
            WHOLE.to_owned()
        } else {
            field
        };
        Self::new(field, value, accepted)
    }
}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::accepted(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::accepted(expected.to_string())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::accepted(expected.to_string())
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::accepted(expected.to_string())
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::accepted(format!("known are {}", names(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self {
            complaint: Complaint::Unknown(field.to_owned(), names(expected)),
            place: None,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            complaint: Complaint::Missing(field),
            place: None,
        }
    }
}
