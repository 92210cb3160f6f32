//! How requests are read: paths, queries, preconditions and bodies, with errors that name the field.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use sandclock_core::backend::plugins::MAX_MODULE_BYTES;
use sandclock_core::backend::{Precondition, Version};
use sandclock_core::job::JobName;
use sandclock_core::run::RunId;
use sandclock_core::{BackendError, ErrorKind};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::MAX_BODY_BYTES;
use super::problem::Problem;
use crate::document::{self, FieldError};

/// The most items of a list.
pub const MAX_LIMIT: u32 = 1000;

/// What a list's cursor may be.
pub const CURSOR: &str = "what 'next' of the page before says";

/// The `{name}` of a route: any name that may exist, percent-decoded; the empty one where a route has none.
#[derive(Debug)]
pub struct Name(pub JobName);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = segment(parts, state, "name").await?;
        Ok(Self(JobName::existing(name.unwrap_or_default())))
    }
}

/// The `{id}` of a run's route.
#[derive(Debug)]
pub struct Run(pub RunId);

impl<S: Send + Sync> FromRequestParts<S> for Run {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = segment(parts, state, "id").await?.unwrap_or_default();
        RunId::parse(&id).map(Self).ok_or_else(|| {
            Problem::not_found(format!("{id:?} is no run id: 32 hexadecimal digits"))
        })
    }
}

/// The `{id}` of any other route.
#[derive(Debug)]
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = segment(parts, state, "id").await?;
        Ok(Self(id.unwrap_or_default()))
    }
}

async fn segment<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<Option<String>, Problem> {
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| {
            let path = parts.uri.path();
            Problem::malformed(format!("{path} is not UTF-8 behind its percent signs"))
        })?;
    let found = params.iter().find(|(key, _)| *key == name);
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

/// The body of a request.
///
/// # Errors
/// Names the field that is not accepted.
pub fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FieldError> {
    document::read(&document::parse_json(bytes)?)
}

/// The body of a request that may have none.
///
/// # Errors
/// As [`body`].
pub fn optional_body<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, FieldError> {
    if bytes.is_empty() {
        Ok(T::default())
    } else {
        body(bytes)
    }
}

/// The members `limit` and `cursor` of every list's query.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    limit: Option<u32>,
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
        match self.limit {
            None => Ok(100),
            Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
            Some(limit) => Err(FieldError::new(
                "limit",
                limit,
                format!("a number from 1 to {MAX_LIMIT}"),
            )),
        }
    }

    /// Where the list continues.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
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

/// How much of too large a body is read to its end, so that its sender hears the answer rather than the
/// end of the connection.
const MAX_DISCARDED_BYTES: usize = 16 << 20;

/// How long a client may take to send a body.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take to send a module.
const MODULE_PATIENCE: Duration = Duration::from_secs(300);

/// The body of a request, at most [`MAX_BODY_BYTES`], all of it within [`BODY_PATIENCE`].
#[derive(Debug)]
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        collect(request, MAX_BODY_BYTES, BODY_PATIENCE)
            .await
            .map(Self)
    }
}

/// A plugin's module, of at most [`MAX_MODULE_BYTES`], all of it within [`MODULE_PATIENCE`].
#[derive(Debug)]
pub struct Module(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Module {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        collect(request, MAX_MODULE_BYTES, MODULE_PATIENCE)
            .await
            .map(Self)
    }
}

/// The most bytes of a body with a module in base64, and what it is to be asked.
const MAX_CANDIDATE_BYTES: usize = MAX_MODULE_BYTES.div_ceil(3) * 4 + (8 << 20);

/// A document with a module in it, of at most [`MAX_CANDIDATE_BYTES`], all of it within [`MODULE_PATIENCE`].
#[derive(Debug)]
pub struct Candidate(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Candidate {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        collect(request, MAX_CANDIDATE_BYTES, MODULE_PATIENCE)
            .await
            .map(Self)
    }
}

/// The body, at most so many bytes of it, and in time.
async fn collect(request: Request, most: usize, patience: Duration) -> Result<Bytes, Problem> {
    let read = timeout(patience, collect_all(request, most)).await;
    read.unwrap_or_else(|_| Err(Problem::too_slow(patience)))
}

async fn collect_all(request: Request, most: usize) -> Result<Bytes, Problem> {
    let mut parts = request.into_body().into_data_stream();
    let (mut body, mut bytes) = (BytesMut::new(), 0);
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| Problem::malformed(error.to_string()))?;
        bytes += part.len();
        if bytes <= most {
            body.extend_from_slice(&part);
        } else if bytes > most + MAX_DISCARDED_BYTES {
            break;
        }
    }
    if bytes > most {
        return Err(Problem::too_large(most));
    }
    Ok(body.freeze())
}

/// What a request expects of the resource that it changes (RFC 9110, section 13.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Anything,
    /// That it is not there (`If-None-Match: *`).
    Absent,
    /// That it is there (`If-Match: *`).
    Present,
    /// That it is at this version (`If-Match: "42"`).
    At(Version),
}

/// How a resource is, where that is not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// It is there, at this version.
    There(Version),
    /// It is not there.
    Gone,
}

impl Expected {
    /// What a write asks of the store when this was `there`, so that it replaces nothing that its sender has not heard of.
    ///
    /// # Errors
    /// If what was there is not what is expected.
    pub fn over(self, there: Option<Version>) -> Result<Precondition, Unmet> {
        match (self, there) {
            (Self::Anything | Self::Absent, None) => Ok(Precondition::Absent),
            (Self::Anything | Self::Present, Some(at)) => Ok(Precondition::Matches(at)),
            (Self::At(version), Some(at)) if version == at => Ok(Precondition::Matches(at)),
            (Self::Absent | Self::At(_), Some(at)) => Err(Unmet::There(at)),
            (Self::Present | Self::At(_), None) => Err(Unmet::Gone),
        }
    }
}

/// What `If-Match` and `If-None-Match: *` ask for.
///
/// # Errors
/// If a header is neither `*` nor a version as an ETag shows it.
pub fn expected(headers: &HeaderMap) -> Result<Expected, FieldError> {
    if let Some(value) = headers.get(header::IF_NONE_MATCH) {
        if value.as_bytes() == b"*" {
            return Ok(Expected::Absent);
        }
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        return Err(FieldError::new(
            "If-None-Match",
            value,
            "* only: create, never replace",
        ));
    }
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(Expected::Anything);
    };
    if value.as_bytes() == b"*" {
        return Ok(Expected::Present);
    }
    value
        .to_str()
        .ok()
        .and_then(|value| value.trim_matches('"').parse().ok())
        .map(|version| Expected::At(Version(version)))
        .ok_or_else(|| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            FieldError::new(
                "If-Match",
                value,
                "*, or a version as the ETag header shows it, such as \"42\"",
            )
        })
}

/// A version as an ETag.
pub fn etag(version: Version) -> String {
    format!("\"{}\"", version.0)
}
