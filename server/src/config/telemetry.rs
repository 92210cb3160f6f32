//! `[telemetry]` and `[log]`: what the process tells those who watch it.

use std::collections::BTreeMap;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::header_name;
use crate::document::FieldError;

/// `[telemetry]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySection {
    /// Where traces go by OTLP over HTTP, without `/v1/traces`; `None` is nowhere.
    pub otlp_endpoint: Option<String>,
    /// Headers of each request, such as one with credentials.
    pub headers: BTreeMap<String, String>,
}

/// Headers may carry credentials, so only their names are shown.
impl std::fmt::Debug for TelemetrySection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetrySection")
            .field("otlp_endpoint", &self.otlp_endpoint)
            .field("headers", &self.headers.keys())
            .finish()
    }
}

impl TelemetrySection {
    /// The headers, as they are sent.
    ///
    /// # Errors
    /// If one cannot be a header, which a configuration is refused for.
    pub fn headers(&self) -> anyhow::Result<HeaderMap> {
        let headers = self.headers.iter();
        headers
            .map(|(name, value)| Ok((HeaderName::try_from(name)?, HeaderValue::try_from(value)?)))
            .collect()
    }

    /// # Errors
    /// If the address is none, or a header cannot be one.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        if let Some(endpoint) = &self.otlp_endpoint {
            let field = "telemetry.otlp_endpoint";
            let accepted = "an address such as http://127.0.0.1:4318";
            let wrong = || FieldError::new(field, endpoint, accepted);
            let url = Url::parse(endpoint).map_err(|_| wrong())?;
            if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
                return Err(wrong());
            }
            // The address is shown; headers are not. What follows it would stand in the middle of a query.
            let bare = url.password().is_none() && url.username().is_empty();
            if !bare || url.query().is_some() || url.fragment().is_some() {
                let accepted = "an address without a password and a query; put credentials into telemetry.headers";
                return Err(FieldError::new(field, "(not shown)", accepted));
            }
        }
        for (name, value) in &self.headers {
            let field = format!("telemetry.headers.{name}");
            if let Err(accepted) = header_name(name) {
                return Err(FieldError::new(field, name, accepted));
            }
            if HeaderValue::try_from(value).is_err() {
                let accepted = "visible ASCII characters";
                return Err(FieldError::new(field, "a value", accepted));
            }
        }
        Ok(())
    }
}

/// `[log]`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// How lines are written.
    pub format: LogFormat,
}

/// How the process writes its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::document;

    fn refused(text: &str) -> String {
        let (tree, _) = document::parse_toml(text).unwrap();
        let read = document::read::<Config>(&tree);
        let checked = read.and_then(|config| config.check());
        checked.unwrap_err().to_string()
    }

    #[test]
    fn an_address_is_one_and_holds_no_password_and_headers_can_be_sent() {
        for (text, told) in [
            (
                "otlp_endpoint = \"collector:4318\"",
                "telemetry.otlp_endpoint: collector:4318 is not accepted: an address such as",
            ),
            (
                "otlp_endpoint = \"http://me:pw@collector:4318\"",
                "telemetry.otlp_endpoint: (not shown) is not accepted: an address without a password",
            ),
            (
                "otlp_endpoint = \"http://collector:4318?key=pw\"",
                "telemetry.otlp_endpoint: (not shown) is not accepted: an address without a password",
            ),
            (
                "headers = { Connection = \"close\" }",
                "telemetry.headers.Connection: Connection is not accepted: a header that is not of",
            ),
            (
                "headers = { Authorization = \"Bearer\\n\" }",
                "telemetry.headers.Authorization: a value is not accepted: visible ASCII",
            ),
        ] {
            let refused = refused(&format!("[telemetry]\n{text}\n"));
            assert!(refused.starts_with(told), "{refused}");
        }
        let refused = refused("[log]\nformat = \"xml\"\n");
        assert!(refused.starts_with("log.format: "), "{refused}");
    }
}
