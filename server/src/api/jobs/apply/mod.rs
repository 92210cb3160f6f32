//! A set of jobs at once, as teams keep them beside their code: what differs is saved, what is not in the set may go.
//!
//! Everything is looked at before anything is changed: one job that is refused, and nothing is. Each change then stands on
//! what was looked at, so that nobody's edit of the meantime is lost.

mod carry;
mod plan;

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use sandclock_core::binding::Selector;
use sandclock_core::job::{Job, JobName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use self::plan::{Impossible, Step, plan};
use super::checked_document;
use crate::access::Caller;
use crate::api::Api;
use crate::api::audited;
use crate::api::broken;
use crate::api::dto::binding::SelectorDto;
use crate::api::dto::job::JobDto;
use crate::api::hooks::ValidateQuery;
use crate::api::input::{JobSet, body};
use crate::api::problem::Problem;
use crate::document::FieldError;

/// The most jobs of one request.
pub const MAX_JOBS: usize = 5_000;

/// The most refusals that one answer tells.
const MAX_ERRORS: usize = 100;

/// The body of `POST /jobs:apply`.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = JobSet, example = json!({
    "jobs": [
        { "name": "shop/backup", "command": "backup shop", "schedule": "30 3 * * *" },
        { "name": "shop/report", "command": "report --daily", "schedule": "@daily" },
    ],
    "prune": { "prefix": "shop/" },
    "dry_run": true,
}))]
#[serde(deny_unknown_fields)]
pub struct ApplyBody {
    /// The jobs, at most 5000, each with its name.
    #[schema(value_type = Vec<JobDto>, max_items = 5000)]
    jobs: Vec<Value>,
    /// Whether it is only said what would change; default false.
    #[serde(default)]
    dry_run: bool,
    /// The set is all jobs that this selects: those that are there and not in the set are deleted. By default none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prune: Option<SelectorDto>,
}

/// What became of a set, or in a dry run what would.
#[derive(Debug, Serialize, ToSchema)]
pub struct Applied {
    /// Whether nothing was changed.
    dry_run: bool,
    /// The jobs of the set in its order, then those that go, by name.
    items: Vec<AppliedJob>,
}

/// What became of a job.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppliedJob {
    /// Its name.
    job: String,
    /// What was done.
    outcome: Outcome,
    /// The members that differ, of a job that is changed.
    fields: BTreeMap<String, Difference>,
    /// Its version now; of a dry run, and of one that is deleted, the one that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// What a person should know about it, as `GET` shows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// What is done with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ApplyOutcome)]
pub enum Outcome {
    /// It is new.
    Created,
    /// It is another.
    Changed,
    /// It is there as the set has it.
    Unchanged,
    /// It was there, and the set does not have it.
    Deleted,
}

/// A member that differs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Difference {
    /// What is there; null if nothing is.
    from: Value,
    /// What is to be; null if nothing is.
    to: Value,
}

/// Saves a set of jobs: those that are new or differ, each only as it was looked at.
///
/// All are checked first, and if one is refused, none is saved; `errors` of the refusal names each field at fault, with the
/// job that it belongs to. With `dry_run` nothing is changed, and the answer is the same. With `prune` the selected jobs that
/// are not in the set are deleted; each job of the set has to be among those that it selects.
#[utoipa::path(
    post,
    path = "/jobs:apply",
    operation_id = "job.apply",
    tag = "jobs",
    request_body = ApplyBody,
    responses((status = 200, description = "What became of each job", body = Applied)),
)]
pub async fn apply(
    State(api): State<Api>,
    who: Caller,
    parts: Parts,
    JobSet(bytes): JobSet,
) -> Result<Response, Problem> {
    let set: ApplyBody = body(&bytes)?;
    let prune = (set.prune.as_ref())
        .map(|prune| prune.to_core("prune"))
        .transpose()?;
    let jobs = jobs(&api, &set.jobs, prune.as_ref()).await?;
    for job in &jobs {
        who.check(&job.name)?;
    }
    let mut snapshot = api.coordination.jobs.snapshot().await?;
    let covered = |name: &JobName| who.grant.covers(name);
    snapshot.jobs.retain(|stored| covered(&stored.job.name));
    snapshot.broken.retain(|broken| covered(&broken.name));
    let steps = plan(snapshot, jobs, prune.as_ref()).map_err(|impossible| refusal(&impossible))?;
    if set.dry_run {
        let items = steps.iter().map(|step| AppliedJob::planned(&api, step));
        let items = items.collect();
        let dry_run = true;
        return Ok(Json(Applied { dry_run, items }).into_response());
    }
    // It goes on to its end if the client leaves.
    let going = Api::clone(&api);
    let done = async move { carry::out(&going, &parts, steps).await };
    let items = audited::to_the_end(&api, done).await?;
    let dry_run = false;
    Ok(Json(Applied { dry_run, items }).into_response())
}

/// The jobs of a set, all of them checked.
async fn jobs(
    api: &Api,
    documents: &[Value],
    prune: Option<&Selector>,
) -> Result<Vec<Job>, Problem> {
    if documents.len() > MAX_JOBS {
        let accepted = format!("at most {MAX_JOBS} jobs; apply them in parts");
        let found = format!("{} jobs", documents.len());
        return Err(FieldError::new("jobs", found, accepted).into());
    }
    if documents.is_empty() && prune.is_some() {
        let accepted = "at least one job: prune would delete all that it selects";
        return Err(FieldError::new("jobs", "[]", accepted).into());
    }
    let (mut jobs, mut names, mut errors) = (Vec::new(), BTreeSet::new(), Vec::new());
    for (at, document) in documents.iter().enumerate() {
        let own = |mut error: FieldError| {
            error.field = match error.field.as_str() {
                crate::document::WHOLE => format!("jobs[{at}]"),
                field => format!("jobs[{at}].{field}"),
            };
            error
        };
        let all = ValidateQuery::default();
        let job = match checked_document(api, None, document.clone(), &all).await {
            Ok(job) => job,
            Err(problem) => {
                errors.push(own(problem.into_field()?));
                continue;
            }
        };
        let name = job.name.as_str();
        let why = if !names.insert(job.name.clone()) {
            "each name once"
        } else if prune.is_some_and(|prune| !prune.selects(&job)) {
            "a job that prune selects: otherwise it does not say which jobs are the set's"
        } else {
            jobs.push(job);
            continue;
        };
        errors.push(own(FieldError::new("name", name, why)));
    }
    match errors.is_empty() {
        true => Ok(jobs),
        false => Err(Problem::of_fields(errors, MAX_ERRORS)),
    }
}

fn refusal(impossible: &Impossible) -> Problem {
    match impossible {
        Impossible::Newer(broken) => broken::problem(broken),
        Impossible::Unknown(broken) => Problem::broken_job(format!(
            "job {} cannot be read, so whether it is to be deleted is not known: save or delete it first; nothing was \
             changed",
            broken.name
        )),
    }
}

impl AppliedJob {
    /// What a step would come to.
    fn planned(api: &Api, step: &Step) -> Self {
        let job = step.job.as_ref();
        Self {
            job: step.name.to_string(),
            outcome: step.outcome,
            fields: match step.outcome {
                Outcome::Changed => step.fields.clone(),
                _ => BTreeMap::new(),
            },
            version: step.there.as_ref().map(|there| there.version().0),
            warnings: job.map_or_else(Vec::new, |job| super::view::warnings(api, job)),
        }
    }
}
