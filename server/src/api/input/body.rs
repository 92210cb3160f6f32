//! Bodies: all of one, within a size and a time.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use sandclock_core::backend::plugins::MAX_MODULE_BYTES;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::api::MAX_BODY_BYTES;
use crate::api::problem::Problem;
use crate::document::{self, FieldError};

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

/// The most bytes of a set of jobs.
const MAX_SET_BYTES: usize = 16 << 20;

/// A set of jobs, of at most [`MAX_SET_BYTES`], all of it within [`BODY_PATIENCE`].
#[derive(Debug)]
pub struct JobSet(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JobSet {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        collect(request, MAX_SET_BYTES, BODY_PATIENCE)
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
    refuse_encoded(&request)?;
    let current = crate::request::Request::current();
    if let Some(current) = &current {
        current.waits_for_body(patience);
    }
    let read = timeout(patience, collect_all(request, most)).await;
    if let Some(current) = &current {
        current.goes_on();
    }
    read.unwrap_or_else(|_| Err(Problem::too_slow(patience)))
}

/// Refuses what is compressed: a few bytes of it may stand for more than any limit.
fn refuse_encoded(request: &Request) -> Result<(), Problem> {
    let mut encodings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    match encodings.find(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        Some(encoding) => Err(Problem::encoded(&String::from_utf8_lossy(
            encoding.as_bytes(),
        ))),
        None => Ok(()),
    }
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
