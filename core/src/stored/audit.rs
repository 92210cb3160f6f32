//! The stored form of an entry of the audit trail.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::Stored;
use super::forms::instant;
use super::records::stored;
use super::sealed::Form;
use crate::backend::{AuditEntry, AuditOutcome};
use crate::time::Timestamp;

stored!(AuditEntry, AuditForm, "audit entry");

#[derive(Serialize, Deserialize)]
#[serde(remote = "AuditEntry")]
struct AuditForm {
    id: String,
    #[serde(with = "instant")]
    at: Timestamp,
    who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    from: String,
    action: String,
    subject: String,
    #[serde(with = "OutcomeForm")]
    outcome: AuditOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AuditOutcome", rename_all = "snake_case")]
enum OutcomeForm {
    Begun,
    Done,
    Refused,
    Failed,
}
