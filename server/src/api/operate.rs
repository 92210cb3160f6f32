//! Operation: run now, kill.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sandclock_core::backend::{Kill, Request, Triggered, kills};
use sandclock_core::job::JobName;
use sandclock_core::run::{RunId, RunKey};
use serde::{Deserialize, Serialize};

use super::Api;
use super::dto::run::ListDto;
use super::input::{Body, Name, RequestKey, Run, optional_body};
use super::lookup::find;
use super::problem::Problem;
use super::{broken, jobs};
use crate::access::Caller;
use crate::document::FieldError;

/// How many kills are sent at the same time: of a backfill there may be a thousand.
const AT_ONCE: usize = 16;

/// The body of `POST /jobs/{name}/run`; may be empty.
#[derive(Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = RunRequest)]
#[serde(deny_unknown_fields, default)]
pub struct RunBody {
    /// `wait` (default) or `reject`.
    if_busy: Option<IfBusy>,
}

/// What happens if the job admits one run at a time and one is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum IfBusy {
    /// The run starts afterwards.
    Wait,
    /// The request is refused.
    Reject,
}

/// The answer: which run it is.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Started {
    /// The run's id.
    pub run: String,
}

/// Runs a job now.
///
/// With `Idempotency-Key`, the same key is the same run for 24 hours.
#[utoipa::path(
    post,
    path = "/jobs/{name}/run",
    operation_id = "job.run",
    tag = "jobs",
    params(Name, RequestKey),
    request_body = Option<RunBody>,
    responses((status = 202, description = "The run, which may have to wait", body = Started)),
)]
pub async fn run(
    State(api): State<Api>,
    who: Caller,
    Name(name): Name,
    RequestKey(id): RequestKey,
    Body(body): Body,
) -> Result<Response, Problem> {
    let body: RunBody = optional_body(&body)?;
    let request = Request {
        id,
        by: who.name,
        refuse_if_busy: body.if_busy == Some(IfBusy::Reject),
    };
    match api.coordination.fires.trigger(&name, &request).await {
        Ok(Triggered::Run(run)) => Ok((
            StatusCode::ACCEPTED,
            Json(Started {
                run: run.to_string(),
            }),
        )
            .into_response()),
        Ok(Triggered::Busy) => Err(Problem::conflict(format!("job {name} is busy"))),
        Ok(Triggered::NoJob) => Err(jobs::no_job(&name)),
        Err(error) => Err(broken::refusal(&api, &name, error).await),
    }
}

/// The body of a kill; may be empty.
#[derive(Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = KillRequest)]
#[serde(deny_unknown_fields, default)]
pub struct KillBody {
    /// For the record.
    reason: Option<String>,
}

fn reason(body: &Bytes) -> Result<String, FieldError> {
    let body: KillBody = optional_body(body)?;
    let why = body.reason.unwrap_or_else(|| "no reason given".to_owned());
    if why.len() > 1000 {
        return Err(FieldError::new("reason", why, "at most 1000 bytes"));
    }
    Ok(why)
}

/// Kills a run. The acknowledgement is its terminal state.
#[utoipa::path(
    post,
    path = "/runs/{id}/kill",
    operation_id = "run.kill",
    tag = "runs",
    params(Run),
    request_body = Option<KillBody>,
    responses((status = 202, description = "It is asked to end")),
)]
pub async fn kill_run(
    State(api): State<Api>,
    who: Caller,
    Run(id): Run,
    Body(body): Body,
) -> Result<StatusCode, Problem> {
    let kill = Kill {
        run: id,
        by: who.name,
        why: reason(&body)?,
    };
    let run = find(&api, &kill.run).await?;
    if run.state.is_terminal() {
        return Err(Problem::conflict(format!(
            "run {} has ended: it {}",
            kill.run, run.state
        )));
    }
    api.coordination.kills.send(&kill, kills::RETAIN).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Kills every run of a job that is open or waits, whether the job can be read or not.
#[utoipa::path(
    post,
    path = "/jobs/{name}/kill",
    operation_id = "job.kill",
    tag = "jobs",
    params(Name),
    request_body = Option<KillBody>,
    responses((status = 202, description = "The runs that are killed", body = ListDto<Started>)),
)]
pub async fn kill_job(
    State(api): State<Api>,
    who: Caller,
    Name(name): Name,
    Body(body): Body,
) -> Result<Response, Problem> {
    if broken::look(&api, &name).await?.is_none() {
        return Err(jobs::no_job(&name));
    }
    let runs = kill_runs(&api, &name, &who.name, &reason(&body)?).await?;
    let items = runs.iter().map(|run| Started {
        run: run.to_string(),
    });
    let (items, next) = (items.collect(), None);
    Ok((StatusCode::ACCEPTED, Json(ListDto::new(items, next))).into_response())
}

/// Kills every run of a job that is open or waits; returns which.
pub(super) async fn kill_runs(
    api: &Api,
    name: &JobName,
    by: &str,
    why: &str,
) -> Result<Vec<RunId>, Problem> {
    let (view, _) = api.coordination.feed.snapshot().await?;
    let open = view
        .open
        .iter()
        .map(|record| (&record.value.job, &record.value.key));
    let wait = view
        .wait
        .iter()
        .map(|record| (&record.value.job, &record.value.key));
    let of_job = |(job, key): (_, &RunKey)| (job == name).then(|| RunId::of(name, key));
    // What waits comes first: it would begin when an open one ends.
    let runs = wait.chain(open).filter_map(of_job).map(|run| async {
        let kill = Kill {
            run,
            by: by.to_owned(),
            why: why.to_owned(),
        };
        api.coordination.kills.send(&kill, kills::RETAIN).await?;
        Ok(kill.run)
    });
    let runs: Vec<_> = runs.collect();
    stream::iter(runs).buffered(AT_ONCE).try_collect().await
}
