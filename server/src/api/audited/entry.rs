//! An entry of the trail: how it begins, what of a document it keeps, and how it is told what came of the change.

use axum::http::StatusCode;
use axum::http::request::Parts;
use sandclock_core::backend::audit::{MAX_AUDIT_WORD_BYTES, MAX_AUDITED_BYTES};
use sandclock_core::backend::{AuditEntry, AuditOutcome};
use sandclock_core::error::WithSources;
use sandclock_core::run::hex;
use sandclock_core::{BackendError, ErrorKind, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::access::Caller;
use crate::api::Api;
use crate::api::auth::origin;
use crate::api::problem::Problem;
use crate::request::Request as Current;

/// How much of too large a document is kept, in bytes of its JSON. As text it takes twice as much at most.
const BEGINNING_BYTES: usize = 24 << 10;

/// Makes a change to its end, whether its client stays or not, and answers what came of it.
///
/// # Errors
/// Those of the change.
pub async fn to_the_end<T: Send + 'static>(
    api: &Api,
    change: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let (answer, answered) = oneshot::channel();
    let current = Current::current();
    let going_on = async move {
        // Nobody listens if the client has gone.
        let _ = answer.send(change.await);
    };
    let going_on = going_on.in_current_span();
    match current {
        Some(current) => api.trail.go_on(current.carry(going_on)),
        None => api.trail.go_on(going_on),
    }
    answered.await.unwrap_or_else(|_| {
        let error = BackendError::new("audit", ErrorKind::Unexpected);
        Err(error.context("a request ended without an answer").into())
    })
}

/// The entry of a change that has only begun.
pub fn entry(api: &Api, parts: &Parts, action: &str, subject: &str) -> AuditEntry {
    let at = api.clock.now();
    let who = parts.extensions.get::<Caller>();
    AuditEntry {
        id: new_id(at),
        at,
        who: word(who.map_or("", |who| &who.name)),
        token: who.and_then(|who| who.id.clone()),
        from: origin(api, parts).to_string(),
        action: action.to_owned(),
        subject: word(subject),
        outcome: AuditOutcome::Begun,
        status: None,
        asked: None,
        before: None,
        after: None,
    }
}

/// The id of an entry of that moment.
pub(super) fn new_id(at: Timestamp) -> String {
    format!("{:012x}-{}", at.as_millis(), crate::random::token_hex(8))
}

/// Writes that a change begins.
///
/// # Errors
/// If it stands nowhere: then nothing may be changed.
pub async fn begin(api: &Api, entry: &AuditEntry) -> Result<(), Problem> {
    let written = api.trail.write(entry).await;
    written.map_err(|error| unwritten(&error))
}

/// Writes what came of a change.
pub async fn end(api: &Api, entry: &AuditEntry) {
    if let Some(request) = Current::current() {
        request.has_last_word();
    }
    if let Err(error) = api.trail.write(entry).await {
        let error = WithSources(&error);
        let AuditEntry {
            action, subject, ..
        } = entry;
        tracing::error!(%error, action, subject, "the audit trail does not learn what came of a change");
    }
}

/// What the trail keeps of a document.
pub fn kept(document: &impl Serialize) -> Option<Value> {
    self::document(&serde_json::to_vec(document).ok()?)
}

/// As much of a word as an entry has room for.
pub(super) fn word(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_AUDIT_WORD_BYTES);
    text.get(..end).unwrap_or_default().to_owned()
}

/// What came of a change that was answered so.
pub fn outcome(status: StatusCode) -> AuditOutcome {
    if status.is_server_error() {
        AuditOutcome::Failed
    } else if status.is_client_error() {
        AuditOutcome::Refused
    } else {
        AuditOutcome::Done
    }
}

/// The refusal of a change that would leave no trace.
fn unwritten(error: &BackendError) -> Problem {
    let away = BackendError::new("audit", ErrorKind::Unavailable);
    let why = format!(
        "nothing was changed, because the audit trail cannot be written: {}",
        error.without_op(&WithSources(error).to_string())
    );
    let away = away.context(why);
    match error.part {
        Some(part) => away.of_part(part).into(),
        None => away.into(),
    }
}

/// The document in these bytes, if they are one; of too large a one how it begins, how large it is, and its digest.
pub(super) fn document(bytes: &[u8]) -> Option<Value> {
    let whole: Value = serde_json::from_slice(bytes).ok()?;
    let text = whole.to_string();
    if text.len() <= MAX_AUDITED_BYTES {
        return Some(whole);
    }
    let beginning = text.get(..text.floor_char_boundary(BEGINNING_BYTES))?;
    Some(json!({
        "cut": {
            "bytes": text.len(),
            "sha256": hex(&Sha256::digest(text.as_bytes()), 32),
            "begins": beginning,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_document_is_cut_so_that_it_can_be_kept() {
        let whole = |bytes: usize| json!({ "text": "\"\u{1}ä".repeat(bytes / 10) });
        let small = whole(MAX_AUDITED_BYTES - 100);
        assert_eq!(document(small.to_string().as_bytes()), Some(small));
        let large = whole(4 * MAX_AUDITED_BYTES);
        let text = large.to_string();
        let cut = document(text.as_bytes()).unwrap();
        assert!(cut.to_string().len() <= MAX_AUDITED_BYTES);
        assert_eq!(cut["cut"]["bytes"], text.len());
        let begins = cut["cut"]["begins"].as_str().unwrap();
        assert!(begins.len() > BEGINNING_BYTES - 4 && text.starts_with(begins));
        assert_eq!(document(b"no document"), None);
    }
}
