//! What can be configured, and what is refused.

use std::collections::BTreeMap;

use sandclock_plugin_sdk::alert::FAILURES;
use sandclock_plugin_sdk::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::template::{self, Body, Template};

/// Headers that the host takes from nobody but the target.
const CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
/// Headers that the host takes from nobody.
const OF_THE_MESSAGE: [&str; 7] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
    "upgrade",
];
/// What a header may hold.
pub(crate) const MAX_HEADER_BYTES: usize = 1024;

/// What can be configured.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Written {
    /// A target that the operator has set up.
    #[cfg_attr(test, schemars(length(min = 1)))]
    target: String,
    /// Ends that count as failures.
    #[cfg_attr(test, schemars(length(min = 1), extend("items" = { "type": "string", "enum": FAILURES })))]
    states: Vec<String>,
    /// After the first failure every nth is told as well; 0 for none.
    every: u32,
    /// Whether to tell of the first success after failures.
    recovery: bool,
    /// What the body is, such as `text/plain`.
    content_type: String,
    /// A text, or a JSON document whose texts are templates.
    body: Value,
    /// Another body for a recovery.
    recovery_body: Option<Value>,
    /// Headers by name; what they say are templates, too.
    headers: BTreeMap<String, String>,
    /// Bytes of the output's end that a `{{tail}}` shows, at most 16384.
    tail_bytes: usize,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            target: "default".to_owned(),
            states: FAILURES.map(str::to_owned).to_vec(),
            every: 10,
            recovery: true,
            content_type: "application/json".to_owned(),
            body: json!({
                "text": "{{summary}}",
                "event": "{{event}}",
                "job": "{{job_id}}",
                "run": "{{run_id}}",
                "state": "{{state}}",
                "cause": "{{cause}}",
                "failures_in_a_row": "{{failures}}",
                "output_tail": "{{tail}}",
            }),
            recovery_body: None,
            headers: BTreeMap::new(),
            tail_bytes: 2000,
        }
    }
}

/// The same, checked and ready for use.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) target: String,
    pub(crate) states: Vec<String>,
    pub(crate) every: u32,
    pub(crate) recovery: bool,
    pub(crate) content_type: String,
    pub(crate) body: Body,
    pub(crate) recovery_body: Option<Body>,
    pub(crate) headers: Vec<(String, Template)>,
    pub(crate) tail_bytes: usize,
}

impl Settings {
    pub(crate) fn read() -> Result<Self> {
        let written: Written = config::all()?;
        if written.target.is_empty() {
            let why = "\"\", has to be the name of a target that the operator has set up";
            return Err(config::invalid("target", why));
        }
        for (at, state) in written.states.iter().enumerate() {
            if !FAILURES.contains(&state.as_str()) {
                let why = format!("\"{state}\", has to be one of {}", FAILURES.join(", "));
                return Err(config::invalid(format_args!("states[{at}]"), why));
            }
        }
        if written.states.is_empty() {
            let why = "has to be at least one of them, or nothing is ever told";
            return Err(config::invalid("states", why));
        }
        check_content_type(&written.content_type)?;
        let body = |member: &str, body: &Value| {
            Body::parse(body, &written.content_type).map_err(|error| config::invalid(member, error))
        };
        let recovery_body = written.recovery_body.as_ref();
        let recovery_body = recovery_body.map(|other| body("recovery_body", other));
        Ok(Self {
            body: body("body", &written.body)?,
            recovery_body: recovery_body.transpose()?,
            headers: written
                .headers
                .into_iter()
                .map(header)
                .collect::<Result<_>>()?,
            target: written.target,
            states: written.states,
            every: written.every,
            recovery: written.recovery,
            content_type: written.content_type,
            tail_bytes: written.tail_bytes.min(16 << 10),
        })
    }
}

fn check_content_type(content_type: &str) -> Result<()> {
    let printable = content_type
        .bytes()
        .all(|byte| (b' '..=b'~').contains(&byte));
    if content_type.contains('/') && printable {
        return Ok(());
    }
    let why = format!("\"{content_type}\", has to be like application/json");
    Err(config::invalid("content_type", why))
}

fn header((name, value): (String, String)) -> Result<(String, Template)> {
    let member = format!("headers.{name}");
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        let why = "has to be the name of a header: letters, digits and \"-\"";
        return Err(config::invalid(member, why));
    }
    let lower = name.to_ascii_lowercase();
    if CREDENTIALS.contains(&lower.as_str()) {
        let why = "credentials belong to the target, which keeps them secret";
        return Err(config::invalid(member, why));
    }
    if OF_THE_MESSAGE.contains(&lower.as_str()) {
        let why =
            "is set by whoever sends: leave it out, and use content_type for what the body is";
        return Err(config::invalid(member, why));
    }
    if value.len() > MAX_HEADER_BYTES || !value.chars().all(template::is_for_headers) {
        let why = format!("has to be at most {MAX_HEADER_BYTES} printable ASCII characters");
        return Err(config::invalid(member, why));
    }
    let value = Template::parse(&value).map_err(|error| config::invalid(member, error))?;
    Ok((name, value))
}
