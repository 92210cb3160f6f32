//! A job's fire times, past and to come, each with what became of it.
//!
//! Up to the job's mark every tick is decided and has a record (S7), alone or in a range; what is due after it is not
//! decided yet, and follows from the schedule, as what is to come does. So a page goes from what is latest backwards:
//! first along the schedule down to the mark, then along the run log, which has the runs outside of the schedule, too.

use axum::Json;
use axum::extract::State;
use sandclock_core::Timestamp;
use sandclock_core::backend::{RunFilter, RunRecord};
use sandclock_core::job::{Job, JobName};
use sandclock_core::run::RunState;
use serde::{Deserialize, Serialize};

use super::find;
use crate::api::Api;
use crate::api::dto::run::{ListDto, RunDto, SpanDto};
use crate::api::input::{CURSOR, Name, Paging, Query, instant};
use crate::api::lookup;
use crate::api::problem::Problem;
use crate::document::FieldError;

/// How many fire times to come are shown where nothing says until when.
const AHEAD: usize = 10;

/// How many pages of the run log are read for one page, of runs that may all be of other fire times.
const READS: usize = 20;

/// How much earlier than its fire time a run may be recorded, by another host's clock.
const SKEW: std::time::Duration = std::time::Duration::from_secs(60);

/// The query of `GET /jobs/{name}/timeline`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// From this instant on, RFC 3339; default: as far as the run log goes.
    from: Option<String>,
    /// Before this one; default: the next ten fire times.
    until: Option<String>,
    /// How many at most, from 1 to 1000; default 100.
    limit: Option<u32>,
    /// What `next` of the page before says.
    cursor: Option<String>,
}

/// A fire time of a job, or a run outside of its schedule.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = FireTime)]
pub struct FireDto {
    /// The fire time, of a range the last; of a run outside of the schedule when it began, and none if it has not.
    /// A run that makes up for a fire time stands there.
    at: Option<String>,
    /// `upcoming`, `undecided` (due, and nobody has said what becomes of it), `open` (it runs, or waits to), `ran`,
    /// `skipped` or `missed`.
    fate: String,
    /// The run.
    run: Option<String>,
    /// Its state.
    state: Option<String>,
    /// Why.
    cause: Option<String>,
    /// The request's id, of a run outside of the schedule.
    request: Option<String>,
    /// Set if it stands for a range of fire times.
    ticks: Option<SpanDto>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: usize,
}

/// Where a page continues.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Along the schedule, before this.
    Due(Timestamp),
    /// In the list of runs.
    Runs(Option<String>),
}

impl Place {
    fn parse(text: &str) -> Result<Self, FieldError> {
        let due = |ms: &str| Some(Self::Due(Timestamp::from_millis(ms.parse().ok()?)));
        match text.split_once('-') {
            None if text == "runs" => Some(Self::Runs(None)),
            Some(("due", ms)) => due(ms),
            Some(("runs", token)) => Some(Self::Runs(Some(token.to_owned()))),
            _ => None,
        }
        .ok_or_else(|| FieldError::new("cursor", text, CURSOR))
    }

    fn text(&self) -> String {
        match self {
            Self::Due(before) => format!("due-{}", before.as_millis()),
            Self::Runs(None) => "runs".to_owned(),
            Self::Runs(Some(token)) => format!("runs-{token}"),
        }
    }
}

impl Wanted {
    fn of(query: &TimelineQuery, limit: u32) -> Result<Self, FieldError> {
        let from = instant("from", query.from.as_deref())?;
        let until = instant("until", query.until.as_deref())?;
        if let (Some(from), Some(until)) = (from, until) {
            in_order(from, until)?;
        }
        Ok(Self {
            from,
            until,
            limit: limit as usize,
        })
    }

    fn has(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.until.is_none_or(|until| at < until)
    }
}

/// A job's fire times, past and to come, each with what became of it, and its runs outside of the schedule; the latest
/// first.
///
/// What is to come and what is not decided yet follow from the schedule as it is now; what was is as it was decided. Fire
/// times that were decided together are one item with `ticks`. A page may have fewer items than asked for before the last.
#[utoipa::path(
    get,
    path = "/jobs/{name}/timeline",
    operation_id = "job.timeline",
    tag = "jobs",
    params(Name, TimelineQuery),
    responses((status = 200, description = "The fire times", body = ListDto<FireDto>)),
)]
pub async fn timeline(
    State(api): State<Api>,
    Name(name): Name,
    Query(query): Query<TimelineQuery>,
) -> Result<Json<ListDto<FireDto>>, Problem> {
    let paging = Paging::new(query.limit, query.cursor.clone());
    let wanted = Wanted::of(&query, paging.limit()?)?;
    let place = paging.cursor().map(Place::parse).transpose()?;
    let stored = find(&api, &name).await?;
    let place = place.unwrap_or(Place::Due(Timestamp::from_millis(i64::MAX)));
    let (mut items, token) = match place {
        Place::Runs(token) => (Vec::new(), token),
        Place::Due(before) => {
            let (view, _) = api.coordination.feed.snapshot().await?;
            let mut marks = view.marks.into_iter();
            let mark = marks.find(|(job, _)| *job == name);
            let mark = mark.map(|(_, seen)| seen.value.at);
            let now = api.clock.now();
            let due = due(&stored.job, mark, now, wanted, before);
            let items: Vec<_> = due.iter().map(|at| FireDto::due(*at, now)).collect();
            if let (Some(last), true) = (due.last(), due.len() >= wanted.limit) {
                let next = Some(Place::Due(*last).text());
                return Ok(Json(ListDto::new(items, next)));
            }
            (items, None)
        }
    };
    let next = decided(&api, name, wanted, token, &mut items).await?;
    Ok(Json(ListDto::new(items, next.map(|place| place.text()))))
}

/// The fire times that are not decided, the latest first.
fn due(
    job: &Job,
    mark: Option<Timestamp>,
    now: Timestamp,
    wanted: Wanted,
    before: Timestamp,
) -> Vec<Timestamp> {
    let spec = job.schedule.as_ref().filter(|_| job.enabled);
    let Some(table) = spec.and_then(|spec| crate::timetable::of(spec).ok()) else {
        return Vec::new();
    };
    // A job without a mark has been seen by no worker yet, and owes nothing from before its schedule was written.
    let since = job
        .schedule_since
        .unwrap_or(Timestamp::from_millis(i64::MIN));
    let decided = mark.or(job.schedule_since).unwrap_or(now).max(since);
    let after = match wanted.from {
        Some(from) => decided.max(just_before(from)),
        None => decided,
    };
    let mut through = match wanted.until {
        Some(until) => just_before(until),
        None => {
            let ahead = table.fire_times(after.max(now), Timestamp::from_millis(i64::MAX));
            ahead.take(AHEAD).last().unwrap_or(now)
        }
    };
    through = through.min(just_before(before));
    let mut found = Vec::new();
    while found.len() < wanted.limit
        && let Some(at) = table.last_at_or_before(through, after)
    {
        found.push(at);
        through = just_before(at);
    }
    found
}

/// Refuses a window that is empty or ends before it begins.
pub(super) fn in_order(from: Timestamp, until: Timestamp) -> Result<(), FieldError> {
    if until > from {
        return Ok(());
    }
    let accepted = format!("an instant after from, which is {from}");
    Err(FieldError::new("until", until.to_string(), accepted))
}

pub(super) fn just_before(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_sub(1))
}

/// Adds runs of the job, and says where it goes on.
async fn decided(
    api: &Api,
    job: JobName,
    wanted: Wanted,
    mut token: Option<String>,
    items: &mut Vec<FireDto>,
) -> Result<Option<Place>, Problem> {
    // A tick is recorded when it is decided or ends, which may be long after its fire time, but not before it.
    let filter = RunFilter {
        job: Some(job),
        since: wanted.from.map(|from| from.minus(SKEW)),
        ..RunFilter::default()
    };
    for _ in 0..READS {
        let left = wanted.limit.saturating_sub(items.len());
        if left == 0 {
            return Ok(Some(Place::Runs(token)));
        }
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let (page, _) = lookup::page(api, &filter, token.as_deref(), left).await?;
        let now = api.clock.now();
        let mut runs: Vec<_> = page.items.into_iter().map(|run| (at(&run), run)).collect();
        runs.retain(|(at, _)| wanted.has(at.unwrap_or(now)));
        runs.sort_by_key(|(at, _)| std::cmp::Reverse(at.unwrap_or(now)));
        items.extend(runs.into_iter().map(|(at, run)| FireDto::decided(at, run)));
        match page.next {
            None => return Ok(None),
            Some(next) => token = Some(next.0),
        }
    }
    Ok(Some(Place::Runs(token)))
}

/// Where a run stands on the timeline.
fn at(run: &RunRecord) -> Option<Timestamp> {
    match &run.span {
        Some(span) => Some(span.last),
        None => run.key.scheduled_for().or(run.started_at).or(run.ended_at),
    }
}

impl FireDto {
    fn due(at: Timestamp, now: Timestamp) -> Self {
        let fate = if at > now { "upcoming" } else { "undecided" };
        Self {
            at: Some(at.to_string()),
            fate: fate.to_owned(),
            run: None,
            state: None,
            cause: None,
            request: None,
            ticks: None,
        }
    }

    fn decided(at: Option<Timestamp>, run: RunRecord) -> Self {
        let fate = match run.state {
            RunState::Queued | RunState::Running => "open",
            RunState::Skipped => "skipped",
            RunState::Missed => "missed",
            _ => "ran",
        };
        let run = RunDto::from_core(run);
        Self {
            at: at.map(|at| at.to_string()),
            fate: fate.to_owned(),
            run: Some(run.id),
            state: Some(run.state),
            cause: Some(run.cause),
            request: run.request,
            ticks: run.ticks,
        }
    }
}

#[cfg(test)]
mod tests {
    use sandclock_core::job::ScheduleSpec;

    use super::*;

    const S: i64 = 1_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * S)
    }

    fn minutely() -> Job {
        let mut job = Job::shell(JobName::existing("a"), "true");
        job.schedule = Some(ScheduleSpec::utc("* * * * *"));
        job
    }

    fn seconds(job: &Job, mark: Option<i64>, wanted: Wanted, before: i64) -> Vec<i64> {
        let found = due(job, mark.map(at), at(600), wanted, at(before));
        found.into_iter().map(|at| at.as_millis() / S).collect()
    }

    const ALL: Wanted = Wanted {
        from: None,
        until: None,
        limit: 100,
    };

    #[test]
    fn what_is_after_the_mark_follows_from_the_schedule() {
        let job = minutely();
        let late_and_ahead: Vec<_> = (7..=20).rev().map(|minute| minute * 60).collect();
        assert_eq!(seconds(&job, Some(400), ALL, 1 << 40), late_and_ahead);
        let ahead = &late_and_ahead[..10];
        assert_eq!(seconds(&job, None, ALL, 1 << 40), ahead);
        let some = Wanted {
            from: Some(at(540)),
            until: Some(at(720)),
            limit: 2,
        };
        assert_eq!(seconds(&job, Some(400), some, 1 << 40), [660, 600]);
        assert_eq!(seconds(&job, Some(400), some, 600), [540]);
        let changed = Job {
            schedule_since: Some(at(500)),
            ..job.clone()
        };
        assert_eq!(seconds(&changed, Some(400), some, 600), [540]);
        assert_eq!(seconds(&changed, Some(400), ALL, 601), [600, 540]);
        let disabled = Job {
            enabled: false,
            ..job
        };
        assert_eq!(seconds(&disabled, Some(400), ALL, 1 << 40), [0; 0]);
    }

    #[test]
    fn a_place_is_read_back_from_its_cursor() {
        for place in [
            Place::Due(at(-1)),
            Place::Runs(None),
            Place::Runs(Some("log-1-2".to_owned())),
        ] {
            assert_eq!(Place::parse(&place.text()).unwrap(), place);
        }
        for wrong in ["", "due", "due-x", "log-1"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
