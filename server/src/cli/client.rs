//! The API as client commands see it: one place for addresses, tokens and refusals.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use reqwest::{ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::{Target, Told, reach, trust};

/// How long a server may ask a command to wait, in all.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a path segment may hold as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// A server's API.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    /// Without a slash at its end.
    url: String,
}

impl Client {
    /// The API that a command is for.
    ///
    /// # Errors
    /// If the address is none, there is no token, or it cannot stand in a header, or a file of certificates is of no use.
    pub(super) fn of(target: &Target) -> anyhow::Result<Self> {
        let http = trust::certificates(target.ca.as_deref(), target.identity.as_deref())?;
        Self::over(http, &target.url, target.token.as_deref())
    }

    /// The API at `url` of this process, signed in with `token`.
    ///
    /// # Errors
    /// If the address is none, there is no token, or it cannot stand in a header.
    pub(super) fn new(url: &str, token: Option<&str>) -> anyhow::Result<Self> {
        Self::over(reqwest::Client::builder(), url, token)
    }

    fn over(http: ClientBuilder, url: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let token = token.ok_or_else(|| {
            Told("no token: set SANDCLOCK_TOKEN to the one that `sandclock dev` printed at its first \
                  start, or pass --token"
                .to_owned())
        })?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| Told("the token holds characters that no token has".to_owned()))?;
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        let http = http.default_headers(headers).build()?;
        let url = reach::address(url)?;
        Ok(Self { http, url })
    }

    /// `GET`, as JSON.
    ///
    /// # Errors
    /// What the server says, or that it does not answer.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.json(self.send(Method::GET, path, None, None).await?)
            .await
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
        self.json(self.send(method, path, body, None).await?).await
    }

    /// `PUT` if what is there is still at this version; with `None`, if there is nothing.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn put_over(
        &self,
        path: &str,
        body: Value,
        version: Option<u64>,
    ) -> anyhow::Result<Value> {
        let condition = match version {
            Some(version) => (IF_MATCH, format!("\"{version}\"")),
            None => (IF_NONE_MATCH, "*".to_owned()),
        };
        let sent = self.send(Method::PUT, path, Some(body), Some(condition));
        self.json(sent.await?).await
    }

    /// `PUT` of bytes, as JSON.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn put_bytes(&self, path: &str, bytes: Vec<u8>) -> anyhow::Result<Value> {
        let request = self.request(Method::PUT, path).body(bytes);
        self.json(self.answer(request).await?).await
    }

    /// All items of a list.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let page = self
                .get(&format!("{path}{}", query(&[("cursor", cursor)])))
                .await?;
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }

    /// The answer itself, for text and streams.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn open(&self, path: &str) -> anyhow::Result<Response> {
        self.send(Method::GET, path, None, None).await
    }

    /// The stream of events behind the last one that is known.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn events(&self, path: &str, last: Option<&str>) -> anyhow::Result<Response> {
        let last = last.map(|id| (HeaderName::from_static("last-event-id"), id.to_owned()));
        self.send(Method::GET, path, None, last).await
    }

    /// `GET`, as bytes.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.open(path).await?.bytes().await;
        let bytes = answer.map_err(|error| self.broken_off(&error))?;
        Ok(bytes.to_vec())
    }

    /// The answer itself; `None` if there is no such thing.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn open_if_there(&self, path: &str) -> anyhow::Result<Option<Response>> {
        let response = self.at_its_pace(self.request(Method::GET, path)).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.taken(response).await.map(Some)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        condition: Option<(HeaderName, String)>,
    ) -> anyhow::Result<Response> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some((name, value)) = condition {
            request = request.header(name, value);
        }
        self.answer(request).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1{path}", self.url);
        self.http.request(method, url)
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = self.at_its_pace(request).await?;
        self.taken(response).await
    }

    /// The answer of a server that may ask to wait. What it refuses as too fast it has not begun.
    async fn at_its_pace(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let unreached = |error| Told(reach::why_not(&self.url, &error));
        let until = Instant::now() + PATIENCE;
        loop {
            let again = request.try_clone();
            let Some(attempt) = again else {
                return Ok(request.send().await.map_err(unreached)?);
            };
            let response = attempt.send().await.map_err(unreached)?;
            let wait = reach::wait(&response).map(|wait| Instant::now() + wait);
            match wait.filter(|_| response.status() == StatusCode::TOO_MANY_REQUESTS) {
                Some(at) if at <= until => sleep_until(at).await,
                _ => return Ok(response),
            }
        }
    }

    /// The answer, unless it is a refusal.
    async fn taken(&self, response: Response) -> anyhow::Result<Response> {
        if response.status().is_success() {
            return Ok(response);
        }
        Err(reach::refusal(&self.url, response).await.into())
    }

    /// Why an answer ended before its end.
    pub(super) fn broken_off(&self, error: &reqwest::Error) -> anyhow::Error {
        Told(reach::broken_off(&self.url, error)).into()
    }

    /// The answer's body.
    async fn json(&self, response: Response) -> anyhow::Result<Value> {
        let text = response
            .text()
            .await
            .map_err(|error| self.broken_off(&error))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|_| Told(reach::stranger(&self.url, "a page")).into())
    }
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
