//! The requests of plugins: to targets of the operator's configuration, and to nowhere else.
//!
//! A plugin names a target and says what is put behind its address; the address itself, the credentials and whether it
//! may be a private one are the operator's. The name is resolved for each request, what comes of it is checked, and the
//! connection is made to the very addresses that were checked, so that a name that changes its mind gains
//! nothing. No proxy, no redirect, no cookie, no connection that is kept.

mod address;
mod resolve;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use sandclock_core::job::SecretSource;
use sandclock_core::ports::{HttpAnswer, HttpAsk, HttpTargets};

pub use address::{Refused, check as check_address};
pub use resolve::{Lookup, SystemLookup};
pub use target::{HttpTarget, Template};

use self::resolve::Checked;
use crate::exec::Surroundings;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);

/// The targets, with what it takes to reach them.
#[derive(Debug)]
pub struct Targets {
    targets: BTreeMap<String, (HttpTarget, Client)>,
    secrets: BTreeMap<String, SecretSource>,
    /// Where the values of secrets come from.
    surroundings: Surroundings,
}

impl Targets {
    /// These targets by name, with the sources of the secrets that their headers name.
    ///
    /// # Errors
    /// If the HTTP client cannot be made.
    pub fn new(
        targets: BTreeMap<String, HttpTarget>,
        secrets: BTreeMap<String, SecretSource>,
        surroundings: Surroundings,
        lookup: &Arc<dyn Lookup>,
    ) -> anyhow::Result<Self> {
        let with_client = |(name, target): (String, HttpTarget)| {
            let client = client(&target, lookup)?;
            Ok((name, (target, client)))
        };
        let targets: anyhow::Result<_> = targets.into_iter().map(with_client).collect();
        Ok(Self {
            targets: targets?,
            secrets,
            surroundings,
        })
    }

    /// Reads every secret, so that its value is masked from now on, and says which cannot be read.
    pub async fn learn(&self) {
        for (name, source) in &self.secrets {
            if let Err(error) = self.surroundings.secret(name, source).await {
                tracing::warn!(%error, "requests of plugins that need plugins.secrets.{name} fail");
            }
        }
    }

    /// The operator's headers, with the values of secrets in place.
    async fn credentials(&self, target: &HttpTarget) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, template) in &target.headers {
            let mut values = BTreeMap::new();
            for secret in template.secrets() {
                values.insert(secret.to_owned(), self.secret(secret).await?);
            }
            let value = template.filled(&values);
            let name = HeaderName::try_from(name.as_str());
            let value = HeaderValue::try_from(value);
            let (Ok(name), Ok(mut value)) = (name, value) else {
                return Err("unavailable: a header of the target cannot be sent".to_owned());
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    async fn secret(&self, name: &str) -> Result<String, String> {
        let failed = || "unavailable: a secret of the target cannot be read".to_owned();
        let source = self.secrets.get(name).ok_or_else(failed)?;
        self.surroundings
            .secret(name, source)
            .await
            .map_err(|error| {
                tracing::warn!(%error, "a plugin's request was not sent");
                failed()
            })
    }
}

fn client(target: &HttpTarget, lookup: &Arc<dyn Lookup>) -> anyhow::Result<Client> {
    let resolver = Checked::new(Arc::clone(lookup), target.allow_private);
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT)
        .user_agent(concat!("sandclock/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(resolver)
        .build()?;
    Ok(client)
}

#[async_trait]
impl HttpTargets for Targets {
    async fn send(&self, ask: &HttpAsk) -> Result<HttpAnswer, String> {
        let name = &ask.target;
        let found = self.targets.get(name);
        let (target, client) =
            found.ok_or_else(|| format!("denied: the operator has no target {name:?}"))?;
        let url = target.at(&ask.path)?;
        // A resolver is not asked for an address that is written out.
        target
            .check_literal()
            .map_err(|refused| denied(name, &refused))?;
        let mut headers = HeaderMap::new();
        for (header, value) in &ask.headers {
            let pair = (HeaderName::try_from(header), HeaderValue::try_from(value));
            let (Ok(header), Ok(value)) = pair else {
                return Err("denied: a header of the request is not one".to_owned());
            };
            if target.has_header(header.as_str()) {
                return Err(format!("denied: the header {header} belongs to the target"));
            }
            headers.append(header, value);
        }
        headers.extend(self.credentials(target).await?);
        let request = match &ask.body {
            None => client.get(url),
            Some(body) => client.post(url).body(body.clone()),
        };
        let sent = request.headers(headers).timeout(ask.within).send().await;
        let response = sent.map_err(|error| unsent(name, &error))?;
        let status = response.status();
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            let status = status.as_u16();
            return Err(format!(
                "denied: the target answered with a redirect ({status}), and redirects are not followed"
            ));
        }
        let body = read(response, ask.max_answer).await?;
        Ok(HttpAnswer {
            status: status.as_u16(),
            body,
        })
    }
}

/// The body, if it is not too long.
async fn read(mut response: Response, most: usize) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    loop {
        let piece = response.chunk().await;
        let piece = piece
            .map_err(|error| format!("unavailable: the answer broke off: {}", in_words(&error)))?;
        let Some(piece) = piece else {
            return Ok(body.freeze());
        };
        if body.len() + piece.len() > most {
            return Err(format!("limit: the answer has more than {most} bytes"));
        }
        body.extend_from_slice(&piece);
    }
}

/// What a plugin is told of a request that got no answer: the operator's log says more.
fn unsent(target: &str, error: &reqwest::Error) -> String {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return denied(target, refused);
        }
        source = cause.source();
    }
    format!("unavailable: {}", in_words(error))
}

fn denied(target: &str, refused: &Refused) -> String {
    tracing::warn!(target, address = %refused.address, "a plugin's request was not sent: {refused}");
    format!("denied: {refused}")
}

/// The address may carry more than a plugin should know, and so may the words of a library.
fn in_words(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "the target cannot be reached"
    } else {
        "the request failed"
    }
}
