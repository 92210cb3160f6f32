//! Our HTTP client, as the library of OpenID Connect wants to be lent one.

use std::time::Duration;

use anyhow::Context as _;
use openidconnect::http::response;
use openidconnect::{HttpRequest, HttpResponse};
use thiserror::Error;

/// The longest answer of a provider, in bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Why a provider's answer is not there.
#[derive(Debug, Error)]
pub(super) enum Unanswered {
    /// It could not be had.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// It has too many bytes.
    #[error("its answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    /// It is no HTTP.
    #[error(transparent)]
    Malformed(#[from] openidconnect::http::Error),
}

/// A client that follows no redirect: a provider is where its operator said, and its own document says.
pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .user_agent(concat!("sandclock/", env!("CARGO_PKG_VERSION")));
    client.build().context("the HTTP client")
}

/// Sends a request and reads the answer.
pub(super) async fn send(
    client: reqwest::Client,
    request: HttpRequest,
) -> Result<HttpResponse, Unanswered> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > MAX_ANSWER_BYTES {
            return Err(Unanswered::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    let mut said = response::Builder::new().status(answer.status());
    for (name, value) in answer.headers() {
        said = said.header(name, value);
    }
    Ok(said.body(body)?)
}
