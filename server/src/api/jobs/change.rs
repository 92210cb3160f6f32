//! Writing a job: what was read is what is replaced.

use axum::http::StatusCode;
use axum::response::Response;
use sandclock_core::backend::{JobRecord, StoredJob, Version, owed_since};
use sandclock_core::job::{Job, JobName};
use sandclock_core::{BackendError, ErrorKind};

use super::find;
use super::view::shown;
use crate::api::Api;
use crate::api::broken;
use crate::api::hooks::{self, ValidateQuery};
use crate::api::input::{Expected, Unmet};
use crate::api::problem::Problem;

/// How often a change without a precondition is tried again when others change the job meanwhile.
pub(in crate::api) const RACES: u32 = 10;

/// Reads, changes and writes; again if somebody else was faster and no version was asked for.
pub(super) async fn change(
    api: &Api,
    name: &JobName,
    pre: Expected,
    with: impl Fn(&StoredJob) -> Result<Job, Problem>,
) -> Result<Response, Problem> {
    for _ in 0..RACES {
        let stored = match find(api, name).await {
            Err(problem)
                if problem.status() == StatusCode::NOT_FOUND && pre == Expected::Present =>
            {
                return Err(absent(name));
            }
            stored => stored?,
        };
        match pre {
            Expected::At(version) if version == stored.version => {}
            Expected::At(_) | Expected::Absent => return Err(changed(name, stored.version)),
            Expected::Anything | Expected::Present => {}
        }
        let mut job = with(&stored)?;
        hooks::check(api, &job, &ValidateQuery::default()).await?;
        match save(api, &mut job, Expected::At(stored.version)).await {
            Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {}
            answer => return answer,
        }
    }
    Err(Problem::conflict(format!(
        "job {name} is changed by others all the time; try again"
    )))
}

/// The refusal of a request that expects the job to be there.
pub(super) fn absent(name: &JobName) -> Problem {
    Problem::precondition(format!(
        "there is no job {name}, and If-Match: * asks for one"
    ))
}

fn changed(name: &JobName, version: Version) -> Problem {
    Problem::precondition(format!("job {name} is at version {} now", version.0))
}

/// Why a write did not happen; `old` is what was there when it was asked for.
pub(super) fn conflict(name: &JobName, old: Option<&JobRecord>, error: BackendError) -> Problem {
    match (error.kind, old) {
        (ErrorKind::Conflict, Some(old)) => changed(name, old.version()),
        (ErrorKind::Conflict, None) => elsewhere(name),
        _ => error.into(),
    }
}

fn elsewhere(name: &JobName) -> Problem {
    Problem::precondition(format!(
        "job {name} is not at the version that If-Match names; read it again"
    ))
}

/// Saves a job, and shows it.
pub(super) async fn save(api: &Api, job: &mut Job, pre: Expected) -> Result<Response, Problem> {
    let (status, stored) = write(api, job, pre).await?;
    Ok(shown(api, status, &stored))
}

/// Saves a job: whether it is new, and what is stored now. Of a record that cannot be read nobody knows that its ticks are
/// the same.
pub(super) async fn write(
    api: &Api,
    job: &mut Job,
    pre: Expected,
) -> Result<(StatusCode, StoredJob), Problem> {
    let old = broken::look(api, &job.name).await?;
    let replaced = match &old {
        Some(JobRecord::Job(old)) => Some(&*old.job),
        Some(JobRecord::Broken(record)) if record.newer => return Err(broken::problem(record)),
        Some(JobRecord::Broken(_)) | None => None,
    };
    job.schedule_since = owed_since(job, replaced, api.clock.now());
    // The precondition makes sure that what was compared is what is replaced.
    let there = old.as_ref().map(JobRecord::version);
    let pre = pre.over(there).map_err(|unmet| match (unmet, pre) {
        (Unmet::There(at), _) => changed(&job.name, at),
        (Unmet::Gone, Expected::Present) => absent(&job.name),
        (Unmet::Gone, _) => elsewhere(&job.name),
    })?;
    let put = api.coordination.jobs.put(job, pre).await;
    let put = put.map_err(|error| conflict(&job.name, old.as_ref(), error))?;
    let status = if old.is_some() {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let stored = StoredJob {
        job: job.clone().into(),
        version: put.version,
        created: old.map_or(put.version, |old| old.created()),
    };
    Ok((status, stored))
}
