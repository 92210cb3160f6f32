//! How requests are read: paths, queries, preconditions and bodies, with errors that name the field.

mod body;
mod conditions;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use sandclock_core::Timestamp;
use sandclock_core::backend::AlertId;
use sandclock_core::job::JobName;
use sandclock_core::run::RunId;
use sandclock_core::{BackendError, ErrorKind};
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

pub use self::body::{Body, Candidate, JobSet, Module, body, optional_body};
pub use self::conditions::{Conditions, Expected, RequestKey, Unmet, etag};
use super::problem::Problem;
use super::{Api, lookup};
use crate::access::Caller;
use crate::document::{self, FieldError};

/// The most items of a list.
pub const MAX_LIMIT: u32 = 1000;

/// The most items of a list of which each may have some 64 KiB.
pub const MAX_LIMIT_OF_LARGE: u32 = 200;

/// What a list's cursor may be.
pub const CURSOR: &str = "what 'next' of the page before says";

/// The `{name}` of a route: any name that may exist, percent-decoded; the empty one where a route has none. Callers who
/// are for other jobs are refused.
#[derive(Debug)]
pub struct Name(pub JobName);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = segment(parts, state, &["name"]).await?;
        let name = JobName::existing(name.unwrap_or_default());
        Caller::from_request_parts(parts, state)
            .await?
            .check(&name)?;
        Ok(Self(name))
    }
}

impl IntoParams for Name {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let meaning = "The job's name, with each `/` in it as `%2F`";
        vec![parameter("name", ParameterIn::Path, meaning)]
    }
}

/// A parameter that is text, in the API's document.
fn parameter(name: &str, place: ParameterIn, meaning: &str) -> Parameter {
    let required = match place {
        ParameterIn::Path => Required::True,
        _ => Required::False,
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(meaning))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

/// The `{id}` of a run's route. Callers who are for other jobs are refused.
#[derive(Debug)]
pub struct Run(pub RunId);

impl FromRequestParts<Api> for Run {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let id = segment(parts, api, &["id"]).await?.unwrap_or_default();
        let id = RunId::parse(&id).ok_or_else(|| {
            Problem::not_found(format!("{id:?} is no run id: 32 hexadecimal digits"))
        })?;
        let caller = Caller::from_request_parts(parts, api).await?;
        if caller.grant.is_limited() {
            caller.check(&lookup::find(api, &id).await?.job)?;
        }
        Ok(Self(id))
    }
}

impl IntoParams for Run {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter("id", ParameterIn::Path, "The run's id")]
    }
}

/// The `{id}` of an alert's route. Callers who are for other jobs are refused.
#[derive(Debug)]
pub struct Alert(pub AlertId);

impl FromRequestParts<Api> for Alert {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let id = AlertId(segment(parts, api, &["id"]).await?.unwrap_or_default());
        let caller = Caller::from_request_parts(parts, api).await?;
        if caller.grant.is_limited() {
            let alert = api.records.outbox.get(&id).await?;
            caller.check(&alert.ok_or_else(|| no_alert(&id))?.job)?;
        }
        Ok(Self(id))
    }
}

impl IntoParams for Alert {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter("id", ParameterIn::Path, "The alert's id")]
    }
}

/// The refusal of a request on an alert that is not there.
pub fn no_alert(id: &AlertId) -> Problem {
    Problem::not_found(format!("there is no alert {id}"))
}

/// The `{id}` or `{name}` of any other route.
#[derive(Debug)]
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = segment(parts, state, &["id", "name"]).await?;
        Ok(Self(id.unwrap_or_default()))
    }
}

async fn segment<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    names: &[&str],
) -> Result<Option<String>, Problem> {
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| {
            let path = parts.uri.path();
            Problem::malformed(format!("{path} is not UTF-8 behind its percent signs"))
        })?;
    let found = params.iter().find(|(key, _)| names.contains(key));
    Ok(found.map(|(_, value)| value.to_owned()))
}

/// The query of a route. Unknown parameters are refused.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = axum::extract::Query::try_from_uri(&parts.uri).map_err(|error| {
            let query = parts.uri.query().unwrap_or_default();
            FieldError::new("(the query)", query, format!("name=value&…; {error}"))
        })?;
        Ok(Self(document::read_text(pairs.0)?))
    }
}

/// The members `limit` and `cursor` of every list's query.
#[derive(Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// How many at most, from 1 to 1000; default 100.
    limit: Option<u32>,
    /// What `next` of the page before says.
    cursor: Option<String>,
}

impl Paging {
    /// For routes that read paging among other members.
    pub fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// How many items at most; 100 unless told.
    ///
    /// # Errors
    /// If it is not from 1 to [`MAX_LIMIT`].
    pub fn limit(&self) -> Result<u32, FieldError> {
        limit(self.limit, MAX_LIMIT)
    }

    /// Where the list continues.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}

/// An instant in a query, if there is one.
///
/// # Errors
/// If it is none.
pub fn instant(field: &str, text: Option<&str>) -> Result<Option<Timestamp>, FieldError> {
    text.map(|text| some_instant(field, text)).transpose()
}

/// An instant.
///
/// # Errors
/// If it is none.
pub fn some_instant(field: &str, text: &str) -> Result<Timestamp, FieldError> {
    let accepted = "RFC 3339, such as 2027-01-01T00:00:00Z";
    Timestamp::parse(text).ok_or_else(|| FieldError::new(field, text, accepted))
}

/// How many items at most; 100 unless told.
///
/// # Errors
/// If it is not from 1 to `most`.
pub fn limit(asked: Option<u32>, most: u32) -> Result<u32, FieldError> {
    let limit = asked.unwrap_or(100);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    let accepted = format!("a number from 1 to {most}");
    Err(FieldError::new("limit", limit, accepted))
}

/// Why a list could not be read from `cursor` on.
pub fn unreadable(cursor: Option<&str>, error: BackendError) -> Problem {
    match (error.kind, cursor) {
        (ErrorKind::InvalidConfig, Some(cursor)) => {
            FieldError::new("cursor", cursor, CURSOR).into()
        }
        _ => error.into(),
    }
}
