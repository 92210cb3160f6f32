//! The run log, as a Go master's clients ask for it.

use axum::extract::State;
use sandclock_core::go::LogEntry;
use sandclock_core::job::JobName;

use super::Go;
use super::answer::{Answer, Done};
use super::input::Input;
use crate::access::Caller;
use crate::document::FieldError;

/// How many entries without a `limit`, as a Go master's page shows them.
const LIMIT: i64 = 20;

/// The most entries of one answer.
const MAX_LIMIT: u32 = 1_000;

/// `/job/log`: the job's runs, the one that began last first. What is no number counts as not given.
pub(super) async fn list(State(go): State<Go>, who: Caller, input: Input) -> Answer {
    let name = input.anywhere("name")?.unwrap_or_default();
    who.check(&JobName::existing(name.as_str()))?;
    let number = |name| {
        let given = input.anywhere(name)?;
        Ok::<_, FieldError>(given.and_then(|text| text.parse::<i64>().ok()))
    };
    let skip = number("skip")?.unwrap_or(0);
    let skip =
        u64::try_from(skip).map_err(|_| FieldError::new("skip", skip, "a whole number from 0"))?;
    let limit = match number("limit")?.unwrap_or(LIMIT).unsigned_abs() {
        0 => MAX_LIMIT,
        limit => u32::try_from(limit).map_or(MAX_LIMIT, |limit| limit.min(MAX_LIMIT)),
    };
    let entries = go.master.stores.log.entries(&name, skip, limit).await?;
    Ok(Done(entries.iter().map(LogEntry::to_value).collect()))
}
