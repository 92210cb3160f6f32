//! What clients of a Go master send: a form, or JSON where a copy of that master takes it.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use sandclock_core::go::form;
use serde_json::Value;
use tokio::time::timeout;

use super::super::input::Body;
use super::Go;
use super::answer::Refusal;
use crate::document::FieldError;

type Pairs = Vec<(String, String)>;

/// A request, read.
#[derive(Debug)]
pub(super) struct Input {
    query: Pairs,
    body: Sent,
}

#[derive(Debug)]
enum Sent {
    Form(Pairs),
    /// The whole body.
    Json(Bytes),
}

impl Input {
    /// The text of the job to save: the form's `job`, or the body.
    pub(super) fn job(&self) -> Result<&[u8], FieldError> {
        match &self.body {
            Sent::Json(body) => Ok(body),
            Sent::Form(pairs) => {
                let accepted = "{\"name\": …, \"command\": …, \"cronExpr\": …} in the member job of a form, or as the body";
                let job = first(pairs, "job").filter(|job| !job.is_empty());
                job.map(str::as_bytes)
                    .ok_or_else(|| FieldError::new("job", "nothing", accepted))
            }
        }
    }

    /// A member of the body.
    pub(super) fn member(&self, name: &str) -> Result<Option<String>, FieldError> {
        let body = match &self.body {
            Sent::Form(pairs) => return Ok(first(pairs, name).map(str::to_owned)),
            Sent::Json(body) => crate::document::parse_json(body)?,
        };
        let mut members = body.as_object().into_iter().flatten();
        let found = members.find(|(found, _)| found.eq_ignore_ascii_case(name));
        Ok(match found {
            None | Some((_, Value::Null)) => None,
            Some((_, Value::String(text))) => Some(text.clone()),
            Some((_, other)) => Some(other.to_string()),
        })
    }

    /// A member of the body, or else of the query.
    pub(super) fn anywhere(&self, name: &str) -> Result<Option<String>, FieldError> {
        let queried = || first(&self.query, name).map(str::to_owned);
        Ok(self.member(name)?.or_else(queried))
    }
}

fn first<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    let mut pairs = pairs.iter();
    let found = pairs.find(|(found, _)| found == name)?;
    Some(&found.1)
}

impl FromRequest<Go> for Input {
    type Rejection = Refusal;

    async fn from_request(request: Request, go: &Go) -> Result<Self, Refusal> {
        let query = form::pairs(request.uri().query().unwrap_or_default().as_bytes())?;
        let kind = request.headers().get("content-type");
        let kind = kind.and_then(|kind| kind.to_str().ok());
        let says_json = kind.is_some_and(|kind| kind.to_ascii_lowercase().contains("json"));
        let within = go.master.read_timeout;
        let Ok(body) = timeout(within, Body::from_request(request, go)).await else {
            return Err(Refusal(format!(
                "the request did not arrive within {} ms",
                within.as_millis()
            )));
        };
        let Body(body) = body?;
        // Programs that send JSON often call it a form.
        let body = match says_json || body.trim_ascii_start().starts_with(b"{") {
            true if !body.is_empty() => Sent::Json(body),
            _ => Sent::Form(form::pairs(&body)?),
        };
        Ok(Self { query, body })
    }
}
