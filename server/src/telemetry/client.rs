//! The HTTP client that spans are sent with: ours, lent to the exporter, which works on a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use sandclock_core::error::WithSources;
use tokio::runtime::Handle;

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Sends on the runtime that it was made on.
#[derive(Debug)]
pub(super) struct OwnClient {
    http: reqwest::Client,
    /// Of the configuration.
    headers: HeaderMap,
    runtime: Handle,
    /// The last request was not taken.
    failing: AtomicBool,
}

impl OwnClient {
    /// One that sends these headers with each request, and gives it this long.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub(super) fn new(headers: HeaderMap, patience: Duration) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            // A redirect could lead anywhere; the receiver is where its operator said.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(patience);
        Ok(Self {
            http: client.build().context("the HTTP client")?,
            headers,
            runtime: Handle::current(),
            failing: AtomicBool::new(false),
        })
    }
}

impl OwnClient {
    /// Says in the log when spans begin to be lost, and when they end to be.
    fn say(&self, why: Option<String>) {
        if self.failing.swap(why.is_some(), Ordering::Relaxed) == why.is_some() {
            return;
        }
        match why {
            Some(why) => {
                tracing::warn!(%why, "the receiver of traces does not take them; spans are dropped");
            }
            None => tracing::info!("the receiver of traces takes them again"),
        }
    }
}

/// What the body is. Anything else comes from variables of the environment that are for other programs.
fn said(headers: &HeaderMap) -> HeaderMap {
    let kept = [CONTENT_TYPE, CONTENT_ENCODING].into_iter();
    kept.filter_map(|name| Some((name.clone(), headers.get(name)?.clone())))
        .collect()
}

/// An answer's body; nothing of one that is longer than a receiver has reason to send.
async fn read(mut answer: reqwest::Response) -> reqwest::Result<Bytes> {
    let mut body = BytesMut::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > MAX_ANSWER_BYTES {
            return Ok(Bytes::new());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

#[async_trait]
impl HttpClient for OwnClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, own) = (self.http.clone(), self.headers.clone());
        // The caller's thread has no reactor. It waits for this task, and so for its end.
        let sent = self.runtime.spawn(async move {
            let (parts, body) = request.into_parts();
            let request = http
                .request(parts.method, parts.uri.to_string())
                .headers(own)
                .headers(said(&parts.headers))
                .body(body);
            let answer = request.send().await?;
            Ok::<_, reqwest::Error>((answer.status(), read(answer).await?))
        });
        let sent = sent.await?;
        self.say(match &sent {
            Err(error) => Some(format!("it does not answer: {}", WithSources(error))),
            Ok((status, _)) if !status.is_success() => Some(format!("it answers {status}")),
            Ok(_) => None,
        });
        let (status, body) = sent?;
        Ok(Response::builder().status(status).body(body)?)
    }
}
