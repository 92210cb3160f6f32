//! A job as it is shown.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sandclock_core::backend::{JobRecord, StoredJob};
use sandclock_core::job::Job;
use sandclock_core::schedule::Timetable;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::api::bindings::{self, BoundDto};
use crate::api::dto::job::JobDto;
use crate::api::hooks;
use crate::api::input::etag;

/// A job as it is shown: its document, its version, and what its schedule means.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobView {
    /// The document, as `PUT` takes it.
    #[serde(flatten)]
    pub job: JobDto,
    /// Its version, as the ETag shows it.
    pub version: u64,
    /// The schedule in words.
    pub schedule_text: Option<String>,
    /// The next fire time.
    pub next: Option<String>,
    /// What a person should know about the schedule, as the preview says it, and about the hooks.
    pub warnings: Vec<String>,
    /// The plugins that bindings give it, in the order in which they are asked, before its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bound: Vec<BoundDto>,
    /// Why it makes no ticks: its record or its schedule cannot be read. Of a record that cannot be read
    /// nothing else is known but name and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

impl JobView {
    /// Leaves the document of what may be a view. A PUT takes views, so that what was read can be written back;
    /// nothing that a person could mean by the members beside the document is lost, since they follow from the rest.
    pub(crate) fn leave_document(view: &mut serde_json::Value) {
        if let Some(members) = view.as_object_mut() {
            for name in [
                "version",
                "schedule_text",
                "next",
                "warnings",
                "bound",
                "broken",
            ] {
                members.remove(name);
            }
        }
    }

    pub(super) fn of(api: &Api, stored: &StoredJob) -> Self {
        let spec = stored.job.schedule.as_ref();
        let (table, broken) = match spec.map(crate::timetable::of).transpose() {
            Ok(table) => (table, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let table = table.as_ref();
        let now = api.clock.now();
        let warnings = known(api, &stored.job, table);
        let next = table
            .filter(|_| stored.job.enabled)
            .and_then(|table| table.next_after(now));
        Self {
            job: JobDto::from_core(&stored.job),
            version: stored.version.0,
            schedule_text: table.map(|table| table.schedule().describe()),
            next: next.map(|at| at.to_string()),
            warnings,
            bound: bindings::of(api, &stored.job),
            broken,
        }
    }

    pub(super) fn of_record(api: &Api, record: &JobRecord) -> Self {
        match record {
            JobRecord::Job(stored) => Self::of(api, stored),
            JobRecord::Broken(broken) => Self {
                job: JobDto::named(broken.name.as_str()),
                version: broken.version.0,
                schedule_text: None,
                next: None,
                warnings: Vec::new(),
                bound: Vec::new(),
                broken: Some(broken.reason.clone()),
            },
        }
    }
}

/// What a person should know about a job.
pub(super) fn warnings(api: &Api, job: &Job) -> Vec<String> {
    let table = job.schedule.as_ref().map(crate::timetable::of);
    let table = table.and_then(Result::ok);
    known(api, job, table.as_ref())
}

/// The same of one with this table.
fn known(api: &Api, job: &Job, table: Option<&Timetable>) -> Vec<String> {
    let mut warnings = table.map_or_else(Vec::new, |table| table.warnings(api.clock.now()));
    warnings.extend(hooks::warnings(api, job));
    warnings
}

/// The answer that shows a job.
pub(super) fn shown(api: &Api, status: StatusCode, stored: &StoredJob) -> Response {
    let view = JobView::of(api, stored);
    (status, [(header::ETAG, etag(stored.version))], Json(view)).into_response()
}
