//! The API as client commands see it: one place for addresses, tokens and refusals.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Response};
use serde_json::Value;

use super::Told;

/// What a path segment may hold as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// A server's API.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// The API at `url`, signed in with `token`.
    ///
    /// # Errors
    /// If there is no token or it cannot stand in a header.
    pub(super) fn new(url: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let token = token.ok_or_else(|| {
            Told("no token: set SANDCLOCK_TOKEN to the one that `sandclock dev` printed at its first \
                  start, or pass --token"
                .to_owned())
        })?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| Told("the token holds characters that no token has".to_owned()))?;
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .build()?;
        Ok(Self {
            http,
            base: format!("{}/api/v1", url.trim_end_matches('/')),
        })
    }

    /// `GET`, as JSON.
    ///
    /// # Errors
    /// What the server says, or that it does not answer.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        json(self.send(Method::GET, path, None).await?).await
    }

    /// Any other method, with an optional body, as JSON; `null` if the answer is empty.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        json(self.send(method, path, body).await?).await
    }

    /// The answer itself, for text and streams.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn open(&self, path: &str) -> anyhow::Result<Response> {
        self.send(Method::GET, path, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| {
            let why = if error.is_connect() {
                "nobody listens there"
            } else {
                "no answer"
            };
            Told(format!("cannot reach {}: {why} ({error})", self.base))
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let problem: Value = response.json().await.unwrap_or(Value::Null);
        let detail = problem["detail"].as_str().unwrap_or_default();
        let title = problem["title"].as_str().unwrap_or(status.as_str());
        let instance = problem["instance"]
            .as_str()
            .filter(|_| status.is_server_error());
        let id = instance.map(|id| format!(" [{id}]")).unwrap_or_default();
        Err(Told(format!("{title}: {detail}{id}")).into())
    }
}

async fn json(response: Response) -> anyhow::Result<Value> {
    let text = response.text().await?;
    Ok(if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text)?
    })
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

/// A query from the members that are there, with the question mark; empty without any.
pub(super) fn query(members: &[(&str, Option<String>)]) -> String {
    let given = members
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let pairs: Vec<_> = given
        .map(|(name, value)| format!("{name}={}", segment(value)))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}
