//! Why a run is as it is: one document of what is known about it, in sentences where a person would ask.
//!
//! The sentences follow from the run's record and from the job as it is now ([`words`]). While the coordination store is
//! away, nothing is said that only the job would tell.

mod words;

use axum::Json;
use axum::extract::State;
use sandclock_core::job::Job;
use serde::{Deserialize, Serialize};

use super::Api;
use super::decisions;
use super::dto::decision::DecisionDto;
use super::dto::run::RunDto;
use super::input::Run;
use super::lookup::look;
use super::problem::Problem;
use super::runs::shown;
use crate::access::Caller;

/// Why a run is as it is.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationDto {
    /// The run.
    run: RunDto,
    /// Its job's schedule as it is now; none of a job without one, and of one that is gone.
    schedule: Option<ScheduleDto>,
    /// What became of it and why, in sentences, the most important one first.
    why: Vec<String>,
    /// How often it was tried.
    attempts: AttemptsDto,
    /// What its plugins decided, with the alerts that came of its end.
    hooks: Vec<DecisionDto>,
    /// What the caller can do about it, as far as the caller's role goes.
    advice: Vec<AdviceDto>,
}

/// When the run's job is due.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ExplainedSchedule)]
pub struct ScheduleDto {
    /// As it is written.
    expression: String,
    /// The zone it is read in.
    time_zone: String,
    /// In words; none if it cannot be read.
    text: Option<String>,
}

/// How often a run was tried.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Attempts)]
pub struct AttemptsDto {
    /// The last attempt's number; 0 if it never started.
    made: u32,
    /// How many its job allows now, those after a lost worker aside; none if the job is gone or not known.
    allowed: Option<u32>,
}

/// Something that a person can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Advice)]
pub struct AdviceDto {
    /// What for.
    text: String,
    /// The command.
    command: String,
}

impl ScheduleDto {
    fn of(job: &Job) -> Option<Self> {
        let spec = job.schedule.as_ref()?;
        let table = crate::timetable::of(spec).ok();
        Some(Self {
            expression: spec.expr.clone(),
            time_zone: spec.time_zone.clone(),
            text: table.map(|table| table.schedule().describe()),
        })
    }
}

/// Why a run is as it is: what became of it, the cause, its plugins' decisions and alerts, and what can be done about it.
#[utoipa::path(
    get,
    path = "/runs/{id}/explain",
    operation_id = "run.explain",
    tag = "runs",
    params(Run),
    responses((status = 200, description = "The explanation", body = ExplanationDto)),
)]
pub async fn explain(
    State(api): State<Api>,
    caller: Caller,
    Run(id): Run,
) -> Result<Json<ExplanationDto>, Problem> {
    let (run, whole) = look(&api, &id).await?;
    let hooks = decisions::of(&api, &run).await?;
    let definition = words::Definition::of(api.coordination.jobs.get(&run.job).await);
    let job = definition.job();
    let explained = ExplanationDto {
        schedule: job.and_then(ScheduleDto::of),
        why: words::why(&run, &definition),
        attempts: AttemptsDto {
            made: run.attempt,
            allowed: job.map(|job| job.retry.max.saturating_add(1)),
        },
        hooks,
        advice: words::advice(&run, &definition, caller.grant.role),
        run: shown(run, whole),
    };
    Ok(Json(explained))
}
