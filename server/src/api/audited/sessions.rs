//! Entries of those who sign in and out. Nothing else of them is kept; a try that fails leaves none, because anybody can
//! make any number of those.

use std::net::IpAddr;

use sandclock_core::backend::{AuditEntry, AuditOutcome};
use serde_json::json;

use super::super::Api;
use super::super::problem::Problem;
use super::entry::{new_id, word};
use crate::access::Person;

/// Writes that this person does `action`, which is done next.
///
/// # Errors
/// If it cannot be written: then it is not to be done.
pub(in crate::api) async fn leave_entry(
    api: &Api,
    action: &str,
    who: &Person,
    from: IpAddr,
) -> Result<(), Problem> {
    let at = api.clock.now();
    let grant = json!({ "role": who.grant.role.as_str(), "prefixes": who.grant.prefixes });
    let entry = AuditEntry {
        id: new_id(at),
        at,
        who: word(&who.name),
        token: who.token.clone(),
        from: from.to_string(),
        action: action.to_owned(),
        subject: word(&who.subject),
        outcome: AuditOutcome::Done,
        status: None,
        asked: None,
        before: None,
        after: Some(grant),
    };
    super::begin(api, &entry).await
}
