//! Job management: list, read, write, delete, and when a job is due next.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sandclock_core::backend::{JobRecord, Precondition, StoredJob, Version, owed_since};
use sandclock_core::job::{Job, JobName};
use sandclock_core::{BackendError, ErrorKind};
use serde::{Deserialize, Serialize};

use super::Api;
use super::bindings::{self, BoundDto};
use super::broken;
use super::dto::job::JobDto;
use super::dto::run::ListDto;
use super::hooks::{self, ValidateQuery};
use super::input::{Body, Expected, Name, Paging, Query, Unmet, etag, expected};
use super::problem::Problem;
use crate::document::{self, FieldError};

/// How often a change without a precondition is tried again when others change the job meanwhile.
pub(super) const RACES: u32 = 10;

/// A job as it is shown: its document, its version, and what its schedule means.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

    fn of(api: &Api, stored: &StoredJob) -> Self {
        let spec = stored.job.schedule.as_ref();
        let (table, broken) = match spec.map(crate::timetable::of).transpose() {
            Ok(table) => (table, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let table = table.as_ref();
        let now = api.clock.now();
        let mut warnings = table.map_or_else(Vec::new, |table| table.warnings(now));
        warnings.extend(hooks::warnings(api, &stored.job));
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

    fn of_record(api: &Api, record: &JobRecord) -> Self {
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

/// `GET /jobs`
pub async fn list(
    State(api): State<Api>,
    Query(paging): Query<Paging>,
) -> Result<Json<ListDto<JobView>>, Problem> {
    let limit = paging.limit()? as usize;
    let snapshot = api.coordination.jobs.snapshot().await?;
    let jobs = snapshot.jobs.into_iter().map(JobRecord::Job);
    let broken = snapshot.broken.into_iter().map(JobRecord::Broken);
    let mut records: Vec<_> = jobs.chain(broken).collect();
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

/// `GET /jobs/{name}`
pub async fn get(State(api): State<Api>, Name(name): Name) -> Result<Response, Problem> {
    let stored = find(&api, &name).await?;
    Ok(shown(&api, StatusCode::OK, &stored))
}

/// `PUT /jobs/{name}`: creates or replaces. Takes what `GET` shows, too.
pub async fn put(
    State(api): State<Api>,
    Name(name): Name,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let all = ValidateQuery::default();
    let mut job = checked(&api, Some(&name), &body, &all).await?;
    save(&api, &mut job, expected(&headers)?).await
}

/// `POST /jobs:validate`: whether a PUT of this document would be accepted now. Answers the document with every
/// default written out, and writes nothing.
pub async fn validate(
    State(api): State<Api>,
    Query(query): Query<ValidateQuery>,
    Body(body): Body,
) -> Result<Json<JobDto>, Problem> {
    let job = checked(&api, None, &body, &query).await?;
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
    let mut document = document::parse_json(body)?;
    JobView::leave_document(&mut document);
    let dto: JobDto = document::read(&document)?;
    let name = name.map(JobName::as_str).or(dto.name.as_deref());
    let name = name.ok_or_else(|| FieldError::new("name", "nothing", "the job's name"))?;
    let job = dto.to_core(name, &api.default_time_zone)?;
    hooks::check(api, &job, but).await?;
    Ok(job)
}

/// `PATCH /jobs/{name}`: a JSON merge patch (RFC 7396) over the document.
pub async fn patch(
    State(api): State<Api>,
    Name(name): Name,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let patch = document::parse_json(&body)?;
    if !patch.is_object() {
        return Err(FieldError::new(document::WHOLE, &patch, "a JSON object of changes").into());
    }
    let pre = expected(&headers)?;
    change(&api, &name, pre, |stored| {
        let mut document = serde_json::to_value(JobDto::from_core(&stored.job))
            .map_err(|error| Problem::malformed(error.to_string()))?;
        document::merge(&mut document, &patch);
        let dto: JobDto = document::read(&document)?;
        Ok(dto.to_core(name.as_str(), &api.default_time_zone)?)
    })
    .await
}

/// `POST /jobs/{name}/enable`
pub async fn enable(State(api): State<Api>, Name(name): Name) -> Result<Response, Problem> {
    change(&api, &name, Expected::Anything, |stored| {
        Ok(Job {
            enabled: true,
            ..Job::clone(&stored.job)
        })
    })
    .await
}

/// `POST /jobs/{name}/disable`: no tick is claimed after the answer.
pub async fn disable(State(api): State<Api>, Name(name): Name) -> Result<Response, Problem> {
    change(&api, &name, Expected::Anything, |stored| {
        Ok(Job {
            enabled: false,
            ..Job::clone(&stored.job)
        })
    })
    .await
}

/// `DELETE /jobs/{name}`
pub async fn delete(
    State(api): State<Api>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let expected = expected(&headers)?;
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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextQuery {
    n: Option<usize>,
}

/// `GET /jobs/{name}/next`
pub async fn next(
    State(api): State<Api>,
    Name(name): Name,
    Query(query): Query<NextQuery>,
) -> Result<Json<super::schedule::Preview>, Problem> {
    let stored = find(&api, &name).await?;
    let Some(spec) = &stored.job.schedule else {
        return Err(Problem::conflict(format!(
            "job {name} has no schedule: it runs by request only"
        )));
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

/// The refusal of a request on a job that is not there.
pub fn no_job(name: &JobName) -> Problem {
    Problem::not_found(format!("there is no job {name}"))
}

/// Reads, changes and writes; again if somebody else was faster and no version was asked for.
async fn change(
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
fn absent(name: &JobName) -> Problem {
    Problem::precondition(format!(
        "there is no job {name}, and If-Match: * asks for one"
    ))
}

fn changed(name: &JobName, version: Version) -> Problem {
    Problem::precondition(format!("job {name} is at version {} now", version.0))
}

/// Why a write did not happen; `old` is what was there when it was asked for.
fn conflict(name: &JobName, old: Option<&JobRecord>, error: BackendError) -> Problem {
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

/// Saves a job. Of a record that cannot be read nobody knows that its ticks are the same.
async fn save(api: &Api, job: &mut Job, pre: Expected) -> Result<Response, Problem> {
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
    Ok(shown(api, status, &stored))
}

fn shown(api: &Api, status: StatusCode, stored: &StoredJob) -> Response {
    let view = JobView::of(api, stored);
    (status, [(header::ETAG, etag(stored.version))], Json(view)).into_response()
}
