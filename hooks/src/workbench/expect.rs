//! What a test case expects. What is not named is not compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a decision has to be; what is not named is not compared.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpectedDecision {
    /// Whether what the job declares is kept.
    pub keeps: Option<bool>,
    /// The limit.
    pub limit_ms: Option<u32>,
    /// When to warn.
    pub warn_ms: Option<u32>,
    /// The grace period.
    pub grace_ms: Option<u32>,
    /// Why.
    pub reason: Option<String>,
    /// A part of the text with which the call or the configuration is refused.
    pub error: Option<String>,
}

/// What has to come out of a redaction.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpectedOutput {
    /// All of it.
    pub output: Option<String>,
    /// A part of the text with which the call or the configuration is refused.
    pub error: Option<String>,
}

/// Which messages have to come of an end.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpectedDeliveries {
    /// All of them, in order.
    pub deliveries: Option<Vec<ExpectedDelivery>>,
    /// What the plugin keeps after it, as text; keys that are not named are not compared.
    pub kv: Option<BTreeMap<String, String>>,
    /// A part of the text with which the call or the configuration is refused.
    pub error: Option<String>,
}

/// What a message has to be; what is not named is not compared.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpectedDelivery {
    /// Its target.
    pub target: Option<String>,
    /// Its dedupe key.
    pub dedupe_key: Option<String>,
    /// Its media type.
    pub content_type: Option<String>,
    /// Some of its headers.
    pub headers: Option<BTreeMap<String, String>>,
    /// Its text; if this is no text, members of the JSON document that it is.
    pub body: Option<Value>,
}

/// Whether a configuration has to be refused.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpectedAnswer {
    /// A part of the text with which it is.
    pub error: Option<String>,
}

/// An expectation as it is compared: nulls are what is not named.
pub(super) fn expectation(expected: &impl Serialize) -> Value {
    serde_json::to_value(expected).unwrap_or_default()
}
