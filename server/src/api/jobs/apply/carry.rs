//! Carrying out what was planned: several changes at once, each between two words of the audit trail, and none begun once
//! one has failed.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::request::Parts;
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use sandclock_core::backend::{AuditOutcome, JobRecord, Precondition};
use serde_json::Value;

use super::plan::Step;
use super::{AppliedJob, Outcome};
use crate::api::Api;
use crate::api::audited;
use crate::api::input::Expected;
use crate::api::jobs::change::{conflict, write};
use crate::api::jobs::view::JobView;
use crate::api::problem::Problem;
use crate::request::Request;

/// Changes at the same time. Each waits for its entry in the trail, its step of the store, and the entry's end.
const AT_ONCE: usize = 8;

/// What the trail calls each change.
const ACTION: &str = "job.apply";

/// Does what the steps say.
///
/// # Errors
/// The first failure; it says what was changed all the same.
pub(super) async fn out(
    api: &Api,
    parts: &Parts,
    steps: Vec<Step>,
) -> Result<Vec<AppliedJob>, Problem> {
    let failed = AtomicBool::new(false);
    let done = iter(steps).map(async |step| {
        if failed.load(Ordering::Relaxed) {
            return None;
        }
        let done = one(api, parts, step).await;
        failed.fetch_or(done.is_err(), Ordering::Relaxed);
        Some(done)
    });
    // All are awaited: a change that was begun is not let go of.
    let done: Vec<_> = done.buffered(AT_ONCE).collect().await;
    let (mut items, mut failure) = (Vec::with_capacity(done.len()), None);
    for done in done.into_iter().flatten() {
        match done {
            Ok(item) => items.push(item),
            Err(problem) => failure = failure.or(Some(problem)),
        }
    }
    let Some(failure) = failure else {
        return Ok(items);
    };
    let done = items
        .into_iter()
        .filter(|item| item.outcome != Outcome::Unchanged);
    Err(failure.after(done.map(|item| item.job)))
}

async fn one(api: &Api, parts: &Parts, step: Step) -> Result<AppliedJob, Problem> {
    let mut item = AppliedJob::planned(api, &step);
    if step.outcome == Outcome::Unchanged {
        return Ok(item);
    }
    let mut entry = audited::entry(api, parts, ACTION, step.name.as_str());
    let before = (step.there.as_ref()).map(|there| JobView::of_record(api, there));
    entry.before = before.and_then(|view| audited::kept(&view));
    if let Some(request) = Request::current() {
        request.goes_on();
    }
    audited::begin(api, &entry).await?;
    let changed = change(api, step).await;
    entry.outcome = match &changed {
        Ok(_) => AuditOutcome::Done,
        Err(problem) => audited::outcome(problem.status()),
    };
    entry.status = changed.as_ref().err().map(|it| it.status().as_u16());
    entry.after = match &changed {
        Ok(view) => view.as_ref().and_then(audited::kept),
        Err(_) => None::<Value>,
    };
    audited::end(api, &entry).await;
    if let Some(view) = changed? {
        item.version = Some(view.version);
        item.warnings = view.warnings;
    }
    Ok(item)
}

/// Saves or deletes a job as it was looked at.
async fn change(api: &Api, step: Step) -> Result<Option<JobView>, Problem> {
    let at = step.there.as_ref().map(JobRecord::version);
    if let Some(mut job) = step.job {
        let pre = at.map_or(Expected::Absent, Expected::At);
        let (_, stored) = write(api, &mut job, pre).await?;
        return Ok(Some(JobView::of(api, &stored)));
    }
    let pre = at.map_or(Precondition::Any, Precondition::Matches);
    let deleted = api.coordination.jobs.delete(&step.name, pre).await;
    deleted.map_err(|error| conflict(&step.name, None, error))?;
    Ok(None)
}
