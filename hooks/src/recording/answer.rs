//! What a plugin said, as a document: what test cases expect, and what recordings hold.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sandclock_core::ports::AlertDraft;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::host::timeout_policy::Decision;

/// Edits that a recording names one by one.
pub(crate) const NAMED_EDITS: usize = 500;

/// A stretch of a stream that was hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// Where it began in what came in, in bytes.
    pub(crate) at: u64,
    pub(crate) bytes: u32,
    pub(crate) rule: String,
}

/// A failed call.
pub(crate) fn failed(failure: &Failure) -> Value {
    json!({ "error": failure.to_string() })
}

/// What was said of a run's limits.
pub(crate) fn of_decision(said: &Result<Option<Decision>, Failure>) -> Value {
    match said {
        Err(failure) => failed(failure),
        Ok(None) => json!({ "keeps": true }),
        Ok(Some(decision)) => json!({
            "keeps": false,
            "limit_ms": decision.limit_ms,
            "warn_ms": decision.warn_ms,
            "grace_ms": decision.grace_ms,
            "reason": decision.reason,
        }),
    }
}

/// Whom it wants told.
pub(crate) fn messages(said: &Result<Vec<AlertDraft>, Failure>) -> Value {
    match said {
        Err(failure) => failed(failure),
        Ok(drafts) => json!({ "deliveries": drafts.iter().map(message).collect::<Vec<_>>() }),
    }
}

fn message(draft: &AlertDraft) -> Value {
    let mut headers = BTreeMap::<&str, String>::new();
    for (name, value) in &draft.headers {
        let all = headers.entry(name).or_default();
        // RFC 9110, section 5.2: fields of one name are one list.
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(value);
    }
    let (member, body) = match str::from_utf8(&draft.body) {
        Ok(text) => ("body", text.to_owned()),
        Err(_) => ("body_base64", BASE64.encode(&draft.body)),
    };
    json!({
        "target": draft.target,
        "dedupe_key": draft.dedupe_key,
        "content_type": draft.content_type,
        "headers": headers,
        member: body,
    })
}

/// What was hidden of a stream.
pub(crate) fn hidden(edits: &[Hidden], all: u64, failure: Option<&Failure>) -> Value {
    let named: Vec<_> = edits
        .iter()
        .map(|edit| json!([edit.at, edit.bytes, edit.rule]))
        .collect();
    let mut answer = json!({ "edits": all, "hidden": named });
    if let (Some(failure), Some(members)) = (failure, answer.as_object_mut()) {
        // What it says of the failure may hold what it was shown.
        members.insert("error".to_owned(), failure.code.as_str().into());
    }
    answer
}
