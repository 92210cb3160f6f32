//! An HTTP POST, signed if there is a secret.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};

use super::Refusal;
use crate::config::{WebhookTarget, header_name, secret, signing_key};
use crate::deliver::attempt::Now;
use crate::deliver::message::Message;
use crate::deliver::sign::SigningKey;

/// The client of all targets that are reached by HTTP.
pub(in crate::deliver) fn http() -> anyhow::Result<reqwest::Client> {
    // A redirect could lead anywhere; a target is where its operator said.
    let redirect = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder().redirect(redirect);
    client.build().context("the HTTP client")
}

#[derive(Debug)]
pub(super) struct Webhook {
    target: WebhookTarget,
    key: Option<SigningKey>,
    http: reqwest::Client,
}

impl Webhook {
    pub(super) fn new(
        field: &dyn Fn(&str) -> String,
        target: &WebhookTarget,
        http: &reqwest::Client,
    ) -> anyhow::Result<Self> {
        let path = field("secret");
        let secret = secret(&path, target.secret.as_ref(), target.secret_file.as_ref())?;
        let key = match secret {
            Some(secret) => Some(SigningKey::new(&signing_key(&path, &secret)?)?),
            None => None,
        };
        for (name, value) in &target.headers {
            header(name, value).with_context(|| field(&format!("headers.{name}")))?;
        }
        Ok(Self {
            target: target.clone(),
            key,
            http: http.clone(),
        })
    }

    pub(super) async fn send(&self, message: &Message<'_>, now: Now) -> Result<(), Refusal> {
        let (body, seconds) = (message.body(), now.as_millis().div_euclid(1_000));
        let mut headers = HeaderMap::new();
        // What comes later wins: the operator over the plugin, and what is ours over both.
        let given = message.headers().iter().map(|(name, value)| (name, value));
        for (name, value) in given.chain(&self.target.headers) {
            let (name, value) = header(name, value).map_err(|error| format!("{error:#}"))?;
            headers.insert(name, value);
        }
        let key = message.key.as_str();
        let timestamp = seconds.to_string();
        let signature = self.key.as_ref().map(|with| with.sign(key, seconds, &body));
        let content_type = message.content_type();
        let mut ours = vec![
            (CONTENT_TYPE.as_str(), content_type),
            ("idempotency-key", key),
            ("webhook-id", key),
            ("webhook-timestamp", timestamp.as_str()),
        ];
        ours.extend(
            signature
                .as_deref()
                .map(|signature| ("webhook-signature", signature)),
        );
        for (name, value) in ours {
            let (name, value) = header(name, value).map_err(|error| format!("{error:#}"))?;
            headers.insert(name, value);
        }
        let request = self.http.post(&self.target.url).headers(headers).body(body);
        post(request).await.map(drop)
    }
}

fn header(name: &str, value: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let name = header_name(name).map_err(|accepted| anyhow!("{name:?}, has to be {accepted}"))?;
    let value = HeaderValue::try_from(value)
        .with_context(|| format!("the value of {name} cannot stand in a header"))?;
    Ok((name, value))
}

/// Sends a request that a target is to take.
pub(super) async fn post(request: RequestBuilder) -> Result<Response, Refusal> {
    // The address may carry a token, so errors are told without it.
    let unsent = |error: reqwest::Error| {
        let error = error.without_url();
        sandclock_core::error::WithSources(&error).to_string()
    };
    let response = request.send().await.map_err(unsent)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let seconds = response.headers().get(RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
    Err(Refusal {
        why: format!("the target answered {status}"),
        patience: seconds.map(Duration::from_secs),
    })
}
