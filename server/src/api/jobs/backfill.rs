//! Backfill: runs that make up for fire times that have passed, one for each, however often it is asked for.
//!
//! A backfill's run has its id of job and fire time (S9), so that a repeat finds it instead of making another. Only fire
//! times are taken that the schedule cannot run any more: those up to the job's mark, which never goes back (S2), or of a
//! job that is disabled those that passed [`SETTLED`] ago, since the schedule begins anew when that is enabled again.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sandclock_core::Timestamp;
use sandclock_core::backend::{InProgress, Request, RunRecord, Triggered};
use sandclock_core::job::{Job, JobName};
use sandclock_core::run::{RunId, RunKey, RunState, backfill_id};
use serde::{Deserialize, Serialize};

use super::timeline::{in_order, just_before};
use super::{find, no_job, no_schedule};
use crate::access::Caller;
use crate::api::Api;
use crate::api::broken;
use crate::api::input::{Body, Name, RequestKey, body, some_instant};
use crate::api::problem::Problem;
use crate::document::FieldError;

/// How many fire times one request may be about.
const MOST: usize = 1000;

/// How many runs of a job may wait once a backfill is added to them: all of them are in the view of every worker.
const MOST_WAITING: usize = 1000;

/// How long ago a fire time of a disabled job has passed for every server: their clocks may differ, and the one that enables
/// the job says from when its schedule counts again.
const SETTLED: Duration = Duration::from_secs(300);

/// How many of them are looked up or asked for at the same time.
const AT_ONCE: usize = 16;

/// The body of `POST /jobs/{name}/backfill`.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = BackfillRequest, example = json!({
    "from": "2026-11-20T00:00:00Z",
    "until": "2026-11-21T00:00:00Z",
    "dry_run": true,
}))]
#[serde(deny_unknown_fields)]
pub struct BackfillBody {
    /// From this instant on, RFC 3339.
    from: String,
    /// Before this one, which has passed.
    until: String,
    /// Whether it is only said what would run; default false.
    #[serde(default)]
    dry_run: bool,
}

/// What became of the fire times, or in a dry run what would.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Backfill {
    /// Whether nothing was asked for.
    dry_run: bool,
    /// How many runs were asked for.
    asked: usize,
    /// How many fire times were left out.
    left_out: usize,
    /// All of them, in order.
    items: Vec<BackfillItem>,
}

/// What became of a fire time.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BackfillItem {
    /// The fire time.
    fire_time: String,
    /// What is done about it.
    outcome: BackfillOutcome,
    /// The run that it has, or that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    /// The state of the run that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip)]
    at: Timestamp,
}

/// What is done about a fire time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackfillOutcome {
    /// A run is asked for.
    Asked,
    /// Nothing: it has a run, by the schedule or an earlier backfill.
    HasRun,
    /// Nothing: the schedule has yet to decide what becomes of it, or may have if the job is enabled.
    Undecided,
}

/// Runs a job for the fire times of its schedule, as it is now, that lie in a window of the past.
///
/// Left out are those that have a run, by the schedule (unless it was skipped or missed) or by an earlier backfill, whatever
/// became of it; so the same request again, with or without `Idempotency-Key`, runs nothing twice as long as runs are kept.
/// The runs wait for the job as those do that are asked for by hand, behind these, in the order of their fire times. At most
/// 1000 fire times.
#[utoipa::path(
    post,
    path = "/jobs/{name}/backfill",
    operation_id = "job.backfill",
    tag = "jobs",
    params(Name, RequestKey),
    request_body = BackfillBody,
    responses((status = 202, description = "The runs, which may have to wait", body = Backfill),
        (status = 200, description = "What would run, of a dry run", body = Backfill)),
)]
pub async fn backfill(
    State(api): State<Api>,
    who: Caller,
    Name(name): Name,
    // What is asked for is its own key.
    RequestKey(_): RequestKey,
    Body(bytes): Body,
) -> Result<Response, Problem> {
    let BackfillBody {
        from,
        until,
        dry_run,
    } = body(&bytes)?;
    let window = window(&from, &until, api.clock.now())?;
    let stored = find(&api, &name).await?;
    let fires = fire_times(&stored.job, window)?;
    let (items, waiting) = plan(&api, &stored.job, fires).await?;
    let is_asked = |item: &&BackfillItem| item.outcome == BackfillOutcome::Asked;
    let asked = items.iter().filter(is_asked).count();
    if waiting + asked > MOST_WAITING {
        return Err(Problem::conflict(format!(
            "{waiting} runs of job {name} wait already, and with {asked} more there would be more than {MOST_WAITING}: \
             wait until they have run, or end them with sandclock job kill {name}"
        )));
    }
    if !dry_run {
        let fires = items.iter().filter(is_asked).map(|item| item.at);
        ask(&api, &name, &who.name, fires.collect()).await?;
    }
    let status = if dry_run {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let left_out = items.len() - asked;
    let said = Backfill {
        dry_run,
        asked,
        left_out,
        items,
    };
    Ok((status, Json(said)).into_response())
}

/// From when until before when.
fn window(from: &str, until: &str, now: Timestamp) -> Result<(Timestamp, Timestamp), FieldError> {
    let (from, until) = (some_instant("from", from)?, some_instant("until", until)?);
    in_order(from, until)?;
    if until > now {
        let accepted = format!("an instant that has passed: it is {now}");
        return Err(FieldError::new("until", until.to_string(), accepted));
    }
    Ok((from, until))
}

/// The fire times in the window, in order.
fn fire_times(job: &Job, (from, until): (Timestamp, Timestamp)) -> Result<Vec<Timestamp>, Problem> {
    let spec = job
        .schedule
        .as_ref()
        .ok_or_else(|| no_schedule(&job.name))?;
    let table = crate::timetable::of(spec)?;
    let mut fires: Vec<_> = table
        .fire_times(just_before(from), just_before(until))
        .take(MOST + 1)
        .collect();
    if fires.len() > MOST
        && let Some(beyond) = fires.pop()
    {
        let accepted = format!("at most {MOST} fire times at once: here an instant up to {beyond}");
        return Err(FieldError::new("until", until.to_string(), accepted).into());
    }
    Ok(fires)
}

/// What is to be done about each, and how many runs of the job wait. The job has been read before: what was decided under
/// it is in the store now, or in the run log after that.
async fn plan(
    api: &Api,
    job: &Job,
    fires: Vec<Timestamp>,
) -> Result<(Vec<BackfillItem>, usize), Problem> {
    let settled = api.clock.now().minus(SETTLED);
    let (view, _) = api.coordination.feed.snapshot().await?;
    let mark = view.marks.iter().find(|(marked, _)| *marked == job.name);
    let mark = mark.map(|(_, seen)| seen.value.at);
    let is_over = |at| mark.is_some_and(|mark| at <= mark) || !job.enabled && at <= settled;
    let of_job = view.wait.iter().filter(|wait| wait.value.job == job.name);
    let waiting = of_job.count();
    let stored = InProgress::of(view);
    let items = fires.into_iter().map(|at| {
        let stored = &stored;
        async move {
            if !is_over(at) {
                return Ok(BackfillItem::of(at, BackfillOutcome::Undecided));
            }
            Ok::<_, Problem>(match run_of(api, stored, &job.name, at).await? {
                Some(run) => BackfillItem {
                    run: Some(run.id.to_string()),
                    state: Some(run.state.to_string()),
                    ..BackfillItem::of(at, BackfillOutcome::HasRun)
                },
                None => BackfillItem {
                    run: Some(RunId::of(&job.name, &RunKey::Request(backfill_id(at))).to_string()),
                    ..BackfillItem::of(at, BackfillOutcome::Asked)
                },
            })
        }
    });
    let items = stream::iter(items).buffered(AT_ONCE).try_collect();
    Ok((items.await?, waiting))
}

/// The run that a fire time has. A tick that was not run has none; a backfill has its one id and is not asked for again.
async fn run_of(
    api: &Api,
    stored: &InProgress,
    job: &JobName,
    at: Timestamp,
) -> Result<Option<RunRecord>, Problem> {
    let (tick, backfill) = (RunKey::Tick(at), RunKey::Request(backfill_id(at)));
    for key in [backfill, tick] {
        let id = RunId::of(job, &key);
        let log = api.records.runs.get(&id).await?;
        let ran = stored.join(&id, log).filter(|run| {
            let idle = matches!(run.state, RunState::Skipped | RunState::Missed);
            key.backfilled().is_some() || !idle
        });
        if ran.is_some() {
            return Ok(ran);
        }
    }
    Ok(None)
}

/// Asks for the runs, in order.
async fn ask(api: &Api, job: &JobName, by: &str, fires: Vec<Timestamp>) -> Result<(), Problem> {
    let asked = fires.into_iter().map(|at| async move {
        let request = Request {
            id: backfill_id(at),
            by: by.to_owned(),
            refuse_if_busy: false,
        };
        match api.coordination.fires.trigger(job, &request).await {
            Ok(Triggered::NoJob) => Err(no_job(job)),
            Ok(_) => Ok(()),
            Err(error) => Err(broken::refusal(api, job, error).await),
        }
    });
    stream::iter(asked).buffered(AT_ONCE).try_collect().await
}

impl BackfillItem {
    fn of(at: Timestamp, outcome: BackfillOutcome) -> Self {
        Self {
            fire_time: at.to_string(),
            outcome,
            run: None,
            state: None,
            at,
        }
    }
}

#[cfg(test)]
mod tests {
    use sandclock_core::job::ScheduleSpec;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_window_takes_its_beginning_and_not_its_end() {
        let mut job = Job::shell(JobName::existing("a"), "true");
        assert!(fire_times(&job, (at(0), at(60))).is_err());
        job.schedule = Some(ScheduleSpec::utc("* * * * *"));
        let found = fire_times(&job, (at(60), at(180))).unwrap();
        assert_eq!(found, [at(60), at(120)]);
    }

    #[test]
    fn a_window_of_too_much_is_refused_with_the_end_that_would_do() {
        let mut job = Job::shell(JobName::existing("a"), "true");
        job.schedule = Some(ScheduleSpec::utc("@every 1s"));
        assert_eq!(fire_times(&job, (at(5), at(1005))).unwrap().len(), MOST);
        let refused = fire_times(&job, (at(5), at(1006))).unwrap_err().told();
        assert!(refused.contains("until"), "{refused}");
        assert!(refused.contains(&at(1005).to_string()), "{refused}");
    }

    #[test]
    fn a_window_lies_in_the_past() {
        let text = |seconds| at(seconds).to_string();
        assert!(window(&text(1), &text(9), at(9)).is_ok());
        for (from, until, field) in [
            (text(1), text(10), "until"),
            (text(5), text(5), "until"),
            (text(6), text(5), "until"),
            ("today".to_owned(), text(5), "from"),
        ] {
            let refused = window(&from, &until, at(9)).unwrap_err();
            assert_eq!(refused.field, field, "{from} {until}");
        }
    }
}
