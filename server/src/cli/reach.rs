//! Why a server cannot be reached, and what an answer that is no success means: each with the address and the
//! remedy.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

use super::Told;
use crate::document::FieldError;

/// What a server refused.
#[derive(Debug, thiserror::Error)]
#[error("{told}")]
pub(super) struct Refused {
    told: String,
    /// The field at fault, if it is about one.
    pub(super) field: Option<String>,
    /// The fields at fault, where there may be several.
    pub(super) errors: Vec<FieldError>,
    /// What was changed before it failed.
    pub(super) done: Option<Vec<String>>,
    pub(super) status: StatusCode,
    /// How long the server asks to wait before another try.
    pub(super) wait: Option<Duration>,
}

/// How long an answer asks to wait before another try, if it was a refusal for a moment.
pub(super) fn wait(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

impl Refused {
    /// Whether another try gets the same answer.
    pub(super) fn is_final(&self) -> bool {
        !self.status.is_server_error() && self.status != StatusCode::TOO_MANY_REQUESTS
    }
}

/// A server's address as people give it, without a slash at its end.
///
/// # Errors
/// If it is none.
pub(super) fn address(text: &str) -> Result<String, Told> {
    let url = Url::parse(text).ok();
    let usable = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if url.as_ref().is_some_and(usable) {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err(Told(format!(
        "{text:?} is no address of a server: give one such as http://127.0.0.1:8070 with --url or SANDCLOCK_URL"
    )))
}

/// Why no answer came from `url`.
pub(super) fn why_not(url: &str, error: &reqwest::Error) -> String {
    let causes = causes(error);
    let said: Vec<_> = causes.iter().map(ToString::to_string).collect();
    let has = |what: &str| said.iter().any(|text| text.contains(what));
    let kind = causes
        .iter()
        .rev()
        .find_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    let root = said.last().cloned().unwrap_or_else(|| error.to_string());
    let why = if has("dns error") {
        let host = Url::parse(url).ok();
        let host = host.as_ref().and_then(Url::host_str).unwrap_or(url);
        format!("the host name {host} is not known ({root}); check it in --url or SANDCLOCK_URL")
    } else if kind == Some(io::ErrorKind::ConnectionRefused) {
        "nobody listens there (connection refused); start `sandclock dev` or `sandclock server`, or set \
         SANDCLOCK_URL to where one listens"
            .to_owned()
    } else if has("InvalidContentType") || has("invalid HTTP version") {
        let (not, scheme) = if url.starts_with("https:") {
            ("TLS", "http")
        } else {
            ("plain HTTP", "https")
        };
        format!(
            "what listens there does not speak {not}; try {scheme}:// in --url or SANDCLOCK_URL"
        )
    } else if has("CertificateRequired") || has("certificate required") {
        "it lets in only who shows a certificate; name ours and its key, in one file, with --identity or \
         SANDCLOCK_IDENTITY"
            .to_owned()
    } else if has("certificate") {
        let remedy = certificate(&said);
        format!("its TLS certificate is not accepted ({root}); {remedy}")
    } else if error.is_timeout() || kind == Some(io::ErrorKind::TimedOut) {
        "it did not answer in time; check the address, and what is between here and there"
            .to_owned()
    } else {
        format!("{root}; check the address in --url or SANDCLOCK_URL, and the server's log")
    };
    format!("cannot reach {url}: {why}")
}

/// What to do about a certificate that is not accepted.
fn certificate(said: &[String]) -> &'static str {
    let has = |what: &str| said.iter().any(|text| text.contains(what));
    if has("UnknownIssuer") {
        "name the authority that signed it with --ca or SANDCLOCK_CA, or let this host trust it"
    } else if has("NotValidForName") || has("not valid for name") {
        "use a name that the certificate is for in --url or SANDCLOCK_URL"
    } else if has("Expired") || has("expired") {
        "renew it on the server, which takes a new one without a restart; or set this host's clock, if it is wrong"
    } else if has("NotValidYet") || has("not valid yet") {
        "set this host's clock, if it is wrong"
    } else {
        "use the name that the certificate is for, and let this host trust who signed it"
    }
}

/// What is behind an error, the root at last.
fn causes(error: &reqwest::Error) -> Vec<&(dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source()).collect()
}

/// Why an answer that had begun ended before its end: the address was right.
pub(super) fn broken_off(url: &str, error: &reqwest::Error) -> String {
    let causes = causes(error);
    let root = causes.last().map(ToString::to_string);
    let root = root.unwrap_or_else(|| error.to_string());
    format!("{url} broke off its answer: {root}")
}

/// An answer from something that is no Sandclock server.
pub(super) fn stranger(url: &str, what: &str) -> String {
    format!(
        "{url} answers with {what}, and not as Sandclock does; check the address in --url or SANDCLOCK_URL"
    )
}

/// What a server said when it refused.
pub(super) async fn refusal(url: &str, response: Response) -> Refused {
    let (status, wait) = (response.status(), wait(&response));
    let problem: Value = response.json().await.unwrap_or(Value::Null);
    let member = |name: &str| problem[name].as_str();
    let told = match (member("type"), member("title"), member("detail")) {
        (Some("/problems/tls"), ..) => format!(
            "cannot reach {url}: what listens there speaks TLS; try https:// in --url or SANDCLOCK_URL"
        ),
        (Some("/problems/no-route"), ..) => stranger(url, &format!("{status} for its API")),
        (Some(_), Some(title), Some(detail)) => {
            let instance = member("instance").filter(|_| status.is_server_error());
            let id = instance.map(|id| format!(" [{id}]")).unwrap_or_default();
            let remedy = match status {
                StatusCode::UNAUTHORIZED => {
                    format!("; set SANDCLOCK_TOKEN or --token to a token of {url}")
                }
                _ => String::new(),
            };
            format!("{title}: {detail}{id}{remedy}")
        }
        _ => stranger(url, &status.to_string()),
    };
    let field = member("field").map(ToOwned::to_owned);
    let fault = |fault: &Value| {
        let [field, value, accepted] = ["field", "value", "accepted"].map(|it| fault[it].as_str());
        Some(FieldError::new(field?, value?, accepted?))
    };
    let errors = problem["errors"].as_array().into_iter().flatten();
    let done = problem["done"].as_array().map(|done| {
        let done = done.iter().filter_map(Value::as_str);
        done.map(ToOwned::to_owned).collect()
    });
    Refused {
        told,
        field,
        errors: errors.filter_map(fault).collect(),
        done,
        status,
        wait,
    }
}
