//! Job management: list, read, write, delete, and when a job is due next.

pub mod apply;
pub mod backfill;
mod change;
pub mod timeline;
mod view;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sandclock_core::ErrorKind;
use sandclock_core::backend::{JobRecord, Precondition, StoredJob};
use sandclock_core::job::{Job, JobName};
use serde::Deserialize;
use serde_json::Value;

pub(super) use self::change::RACES;
use self::change::{absent, change, conflict, save};
pub use self::view::JobView;
use self::view::shown;
use super::Api;
use super::broken;
use super::dto::job::JobDto;
use super::dto::run::ListDto;
use super::hooks::{self, ValidateQuery};
use super::input::{Body, Conditions, Expected, Name, Paging, Query};
use super::problem::Problem;
use crate::access::Caller;
use crate::document::{self, FieldError};

/// The jobs, by name.
#[utoipa::path(
    get,
    path = "/jobs",
    operation_id = "job.list",
    tag = "jobs",
    params(Paging),
    responses((status = 200, description = "The jobs", body = ListDto<JobView>)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<ListDto<JobView>>, Problem> {
    let limit = paging.limit()? as usize;
    let snapshot = api.coordination.jobs.snapshot().await?;
    let jobs = snapshot.jobs.into_iter().map(JobRecord::Job);
    let broken = snapshot.broken.into_iter().map(JobRecord::Broken);
    let all = jobs.chain(broken);
    let theirs = all.filter(|record| caller.grant.covers(record.name()));
    let mut records: Vec<_> = theirs.collect();
    records.sort_by(|a, b| a.name().cmp(b.name()));
    // The cursor is a name, and the empty one comes first.
    let after = paging.cursor();
    let mut rest = records
        .iter()
        .filter(|record| after.is_none_or(|after| record.name().as_str() > after));
    let items: Vec<_> = rest
        .by_ref()
        .take(limit)
        .map(|record| JobView::of_record(&api, record))
        .collect();
    let last = items.last().and_then(|view| view.job.name.clone());
    let next = rest.next().and(last);
    Ok(Json(ListDto::new(items, next)))
}

/// One job.
#[utoipa::path(
    get,
    path = "/jobs/{name}",
    operation_id = "job.get",
    tag = "jobs",
    params(Name),
    responses((status = 200, description = "The job", body = JobView, headers(("ETag" = String, description = "Its version, for If-Match")))),
)]
pub async fn get(State(api): State<Api>, Name(name): Name) -> Result<Response, Problem> {
    let stored = find(&api, &name).await?;
    Ok(shown(&api, StatusCode::OK, &stored))
}

/// Creates or replaces a job. Takes what `GET` shows, too.
#[utoipa::path(
    put,
    path = "/jobs/{name}",
    operation_id = "job.put",
    tag = "jobs",
    params(Name, Conditions),
    request_body = JobDto,
    responses((status = 200, description = "It was replaced", body = JobView, headers(("ETag" = String, description = "Its version, for If-Match"))),
        (status = 201, description = "It was created", body = JobView, headers(("ETag" = String, description = "Its version, for If-Match")))),
)]
pub async fn put(
    State(api): State<Api>,
    Name(name): Name,
    Conditions(expected): Conditions,
    Body(body): Body,
) -> Result<Response, Problem> {
    let all = ValidateQuery::default();
    let mut job = checked(&api, Some(&name), &body, &all).await?;
    save(&api, &mut job, expected).await
}

/// Whether a PUT of this document would be accepted now.
///
/// Answers the document with every default written out, and writes nothing.
#[utoipa::path(
    post,
    path = "/jobs:validate",
    operation_id = "job.validate",
    tag = "jobs",
    params(ValidateQuery),
    request_body = JobDto,
    responses((status = 200, description = "It would be accepted", body = JobDto)),
)]
pub async fn validate(
    State(api): State<Api>,
    who: Caller,
    Query(query): Query<ValidateQuery>,
    Body(body): Body,
) -> Result<Json<JobDto>, Problem> {
    let job = checked(&api, None, &body, &query).await?;
    who.check(&job.name)?;
    match broken::look(&api, &job.name).await? {
        Some(JobRecord::Broken(record)) if record.newer => Err(broken::problem(&record)),
        _ => Ok(Json(JobDto::from_core(&job))),
    }
}

/// The job of a document, which may be one that `GET` has shown. `name` is the route's.
async fn checked(
    api: &Api,
    name: Option<&JobName>,
    body: &[u8],
    but: &ValidateQuery,
) -> Result<Job, Problem> {
    checked_document(api, name, document::parse_json(body)?, but).await
}

async fn checked_document(
    api: &Api,
    name: Option<&JobName>,
    mut document: Value,
    but: &ValidateQuery,
) -> Result<Job, Problem> {
    JobView::leave_document(&mut document);
    let dto: JobDto = document::read(&document)?;
    let name = name.map(JobName::as_str).or(dto.name.as_deref());
    let name = name.ok_or_else(|| FieldError::new("name", "nothing", "the job's name"))?;
    let job = dto.to_core(name, &api.default_time_zone)?;
    hooks::check(api, &job, but).await?;
    Ok(job)
}

/// Changes members of a job: a JSON merge patch (RFC 7396) over its document.
#[utoipa::path(
    patch,
    path = "/jobs/{name}",
    operation_id = "job.patch",
    tag = "jobs",
    params(Name, Conditions),
    request_body(content = Object, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "It was changed", body = JobView, headers(("ETag" = String, description = "Its version, for If-Match")))),
)]
pub async fn patch(
    State(api): State<Api>,
    Name(name): Name,
    Conditions(pre): Conditions,
    Body(body): Body,
) -> Result<Response, Problem> {
    let patch = document::parse_json(&body)?;
    if !patch.is_object() {
        return Err(FieldError::new(document::WHOLE, &patch, "a JSON object of changes").into());
    }
    change(&api, &name, pre, |stored| {
        let mut document = serde_json::to_value(JobDto::from_core(&stored.job))
            .map_err(|error| Problem::malformed(error.to_string()))?;
        document::merge(&mut document, &patch);
        let dto: JobDto = document::read(&document)?;
        Ok(dto.to_core(name.as_str(), &api.default_time_zone)?)
    })
    .await
}

/// Lets a job make ticks.
#[utoipa::path(
    post,
    path = "/jobs/{name}/enable",
    operation_id = "job.enable",
    tag = "jobs",
    params(Name),
    responses((status = 200, description = "It is enabled", body = JobView, headers(("ETag" = String, description = "Its version, for If-Match")))),
)]
pub async fn enable(State(api): State<Api>, Name(name): Name) -> Result<Response, Problem> {
    change(&api, &name, Expected::Anything, |stored| {
        Ok(Job {
            enabled: true,
            ..Job::clone(&stored.job)
        })
    })
    .await
}

/// Stops a job from making ticks: none is claimed after the answer.
#[utoipa::path(
    post,
    path = "/jobs/{name}/disable",
    operation_id = "job.disable",
    tag = "jobs",
    params(Name),
    responses((status = 200, description = "It is disabled", body = JobView, headers(("ETag" = String, description = "Its version, for If-Match")))),
)]
pub async fn disable(State(api): State<Api>, Name(name): Name) -> Result<Response, Problem> {
    change(&api, &name, Expected::Anything, |stored| {
        Ok(Job {
            enabled: false,
            ..Job::clone(&stored.job)
        })
    })
    .await
}

/// Deletes a job. Its runs stay in the run log.
#[utoipa::path(
    delete,
    path = "/jobs/{name}",
    operation_id = "job.delete",
    tag = "jobs",
    params(Name, Conditions),
    responses((status = 204, description = "It is gone")),
)]
pub async fn delete(
    State(api): State<Api>,
    Name(name): Name,
    Conditions(expected): Conditions,
) -> Result<StatusCode, Problem> {
    let pre = match expected {
        Expected::Anything | Expected::Present => Precondition::Any,
        Expected::Absent => Precondition::Absent,
        Expected::At(version) => Precondition::Matches(version),
    };
    api.coordination
        .jobs
        .delete(&name, pre)
        .await
        .map_err(|error| match error.kind {
            ErrorKind::NotFound if expected == Expected::Present => absent(&name),
            ErrorKind::NotFound => no_job(&name),
            _ => conflict(&name, None, error),
        })?;
    Ok(StatusCode::NO_CONTENT)
}

/// The query of `GET /jobs/{name}/next`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NextQuery {
    /// How many fire times, from 1 to 1000; default 5.
    n: Option<usize>,
}

/// When a job is due next.
#[utoipa::path(
    get,
    path = "/jobs/{name}/next",
    operation_id = "job.next",
    tag = "jobs",
    params(Name, NextQuery),
    responses((status = 200, description = "Its next fire times", body = super::schedule::Preview)),
)]
pub async fn next(
    State(api): State<Api>,
    Name(name): Name,
    Query(query): Query<NextQuery>,
) -> Result<Json<super::schedule::Preview>, Problem> {
    let stored = find(&api, &name).await?;
    let Some(spec) = &stored.job.schedule else {
        return Err(no_schedule(&name));
    };
    Ok(Json(super::schedule::Preview::of(
        spec,
        api.clock.now(),
        query.n,
    )?))
}

/// One job; 404 without one, 409 if it cannot be read.
pub async fn find(api: &Api, name: &JobName) -> Result<StoredJob, Problem> {
    match api.coordination.jobs.get(name).await {
        Ok(stored) => stored.ok_or_else(|| no_job(name)),
        Err(error) => Err(broken::refusal(api, name, error).await),
    }
}

/// The refusal of a request for the fire times of a job that has none.
fn no_schedule(name: &JobName) -> Problem {
    Problem::conflict(format!(
        "job {name} has no schedule: it runs by request only"
    ))
}

/// The refusal of a request on a job that is not there.
pub fn no_job(name: &JobName) -> Problem {
    Problem::not_found(format!("there is no job {name}"))
}
