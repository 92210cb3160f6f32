//! Headers with a meaning: what a request expects of what it changes, and which requests are the same.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use sandclock_core::backend::{Precondition, Version};
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::parameter;
use crate::api::problem::Problem;
use crate::document::FieldError;
use crate::request::Request;
use crate::telemetry::TraceParent;

/// What a request expects of the resource that it changes, from `If-Match` and `If-None-Match`.
#[derive(Clone, Copy, Debug)]
pub struct Conditions(pub Expected);

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(expected(&parts.headers)?))
    }
}

impl IntoParams for Conditions {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let there = "A version as the ETag shows it, or `*`: only if it is there so";
        let absent = "`*`: only if it is not there";
        vec![
            parameter("If-Match", ParameterIn::Header, there),
            parameter("If-None-Match", ParameterIn::Header, absent),
        ]
    }
}

/// Which request this is: requests of one key are one. Hashed, so that it fits a store's key; random without a header.
#[derive(Clone, Debug)]
pub struct RequestKey(pub String);

impl<S: Send + Sync> FromRequestParts<S> for RequestKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            // What a run is called tells its worker to which trace it belongs.
            let place = Request::current().and_then(|request| request.place());
            let id = place.map(TraceParent::request_id);
            return Ok(Self(id.unwrap_or_else(|| crate::random::token_hex(16))));
        };
        let text = value.to_str().unwrap_or_default();
        if text.is_empty() || text.len() > 255 {
            let accepted = "1 to 255 visible ASCII characters";
            let shown = format!("{value:?}");
            return Err(FieldError::new("Idempotency-Key", shown, accepted).into());
        }
        let hash = Sha256::digest(text.as_bytes());
        Ok(Self(sandclock_core::run::hex(&hash, 16)))
    }
}

impl IntoParams for RequestKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let meaning = "1 to 255 visible ASCII characters: requests of the same key are one";
        vec![parameter("Idempotency-Key", ParameterIn::Header, meaning)]
    }
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
fn expected(headers: &HeaderMap) -> Result<Expected, FieldError> {
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
        .and_then(|value| version_of(value).parse().ok())
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

/// The version in an ETag. A compressed answer has a weak one, of the same version.
fn version_of(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

/// A version as an ETag.
pub fn etag(version: Version) -> String {
    format!("\"{}\"", version.0)
}
