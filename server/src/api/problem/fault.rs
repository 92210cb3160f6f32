//! Refusals of requests that have several parts: which of them are at fault, and which are done all the same.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Document, Problem};
use crate::document::FieldError;

/// One of the fields at fault.
#[derive(Debug, Serialize, ToSchema)]
pub struct Fault {
    /// Its path.
    field: String,
    /// What stands there, shortened.
    value: String,
    /// What would be accepted.
    accepted: String,
}

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Self {
        Self {
            field: error.field,
            value: error.value,
            accepted: error.accepted,
        }
    }
}

impl Problem {
    /// 422: these fields are not accepted, of which the first `most` are told; there must be one.
    pub fn of_fields(errors: Vec<FieldError>, most: usize) -> Self {
        let count = errors.len();
        let mut all = errors.into_iter();
        let mut problem = match all.next() {
            Some(first) => {
                let faults = [first.clone()].into_iter().chain(all).take(most);
                let faults = faults.map(Fault::from).collect();
                let mut problem = Self::from(first);
                problem.0.errors = faults;
                problem
            }
            None => Self::unexpected(),
        };
        if count > 1 {
            problem.0.detail = format!(
                "{count} fields are not accepted; the first: {}",
                problem.0.detail
            );
        }
        problem
    }

    /// The field that it is about.
    ///
    /// # Errors
    /// Itself, if it is about none.
    pub fn into_field(self) -> Result<FieldError, Self> {
        match *self.0 {
            Document {
                field: Some(field),
                value: Some(value),
                accepted: Some(accepted),
                ..
            } => Ok(FieldError {
                field,
                value,
                accepted,
            }),
            document => Err(Self(Box::new(document))),
        }
    }

    /// The same, where these were changed before it.
    #[must_use]
    pub fn after(mut self, done: impl Iterator<Item = String>) -> Self {
        self.0.done = Some(done.collect());
        self
    }
}
