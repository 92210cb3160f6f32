//! Runs: the list, one run, and its output.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use sandclock_core::backend::{RunFilter, RunRecord};
use sandclock_core::job::JobName;
use sandclock_core::run::RunState;
use serde::Deserialize;

use super::Api;
use super::dto::run::{ListDto, RunDto};
use super::input::{Paging, Query, Run, instant};
use super::lookup::{self, Whole, find};
use super::problem::Problem;
use crate::access::Caller;
use crate::document::FieldError;
use crate::exec::Transcript;

/// How much of an output is read from the run log at a time, in bytes.
pub const READ_BYTES: u32 = 256 << 10;

/// The query of `GET /runs`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RunsQuery {
    /// Of this job.
    job: Option<String>,
    /// One state, or several with commas.
    state: Option<String>,
    /// Due or asked for from this instant on, RFC 3339.
    since: Option<String>,
    /// And before this one.
    until: Option<String>,
    /// How many at most, from 1 to 1000; default 100.
    limit: Option<u32>,
    /// What `next` of the page before says.
    cursor: Option<String>,
}

impl RunsQuery {
    /// What the caller asks for, as far as it is the caller's.
    fn filter(&self, caller: &Caller) -> Result<RunFilter, Problem> {
        let states = self.state.as_deref().unwrap_or_default();
        let state = |text: &str| {
            let names = RunState::ALL.map(RunState::as_str).join(", ");
            RunState::parse(text).ok_or_else(|| FieldError::new("state", text, names))
        };
        let job = self.job.clone().map(JobName::existing);
        if let Some(job) = &job {
            caller.check(job)?;
        }
        Ok(RunFilter {
            job,
            prefixes: caller.grant.prefixes.clone(),
            states: states
                .split(',')
                .filter(|text| !text.is_empty())
                .map(state)
                .collect::<Result<_, _>>()?,
            since: instant("since", self.since.as_deref())?,
            until: instant("until", self.until.as_deref())?,
        })
    }
}

/// The runs, newest first.
///
/// While the coordination store is away, those that have ended, and `incomplete`.
#[utoipa::path(
    get,
    path = "/runs",
    operation_id = "run.list",
    tag = "runs",
    params(RunsQuery),
    responses((status = 200, description = "The runs", body = ListDto<RunDto>)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<RunsQuery>,
) -> Result<Json<ListDto<RunDto>>, Problem> {
    let filter = query.filter(&caller)?;
    let paging = Paging::new(query.limit, query.cursor);
    let (page, whole) = lookup::page(&api, &filter, paging.cursor(), paging.limit()?).await?;
    let items = page.items.into_iter().map(RunDto::from_core).collect();
    let mut list = ListDto::new(items, page.next.map(|token| token.0));
    if whole == Whole::No {
        let missing =
            "the coordination store does not answer: runs that have not ended are not included";
        list.incomplete = Some(missing.to_owned());
    }
    Ok(Json(list))
}

/// One run.
///
/// While the coordination store is away, a run that has not ended as the run log knew it last, and `incomplete`.
#[utoipa::path(
    get,
    path = "/runs/{id}",
    operation_id = "run.get",
    tag = "runs",
    params(Run),
    responses((status = 200, description = "The run", body = RunDto)),
)]
pub async fn get(State(api): State<Api>, Run(id): Run) -> Result<Json<RunDto>, Problem> {
    let (run, whole) = lookup::look(&api, &id).await?;
    Ok(Json(shown(run, whole)))
}

/// A run as it is shown.
pub(super) fn shown(run: RunRecord, whole: Whole) -> RunDto {
    let mut run = RunDto::from_core(run);
    if whole == Whole::No {
        let outdated =
            "the coordination store does not answer: this is how the run log knew the run last";
        run.incomplete = Some(outdated.to_owned());
    }
    run
}

/// What a run printed: text, whole or a range of bytes (RFC 9110, one range).
#[utoipa::path(
    get,
    path = "/runs/{id}/output",
    operation_id = "run.output",
    tag = "runs",
    params(Run, ("Range" = Option<String>, Header, description = "`bytes=` and one range")),
    responses((status = 200, description = "All of it", body = String, content_type = "text/plain; charset=utf-8"),
        (status = 206, description = "The range", body = String, content_type = "text/plain; charset=utf-8")),
)]
pub async fn output(
    State(api): State<Api>,
    Run(id): Run,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // What ended before this line has all its output in the log.
    let logged = api.records.runs.get(&id).await?;
    if logged.is_none() {
        find(&api, &id).await?;
    }
    let (mut transcript, mut text) = (Transcript::default(), BytesMut::new());
    let mut after = None;
    loop {
        let page = api.records.runs.read_log(&id, after, READ_BYTES).await?;
        for (attempt, chunk) in &page.chunks {
            let parts = transcript.next(*attempt, chunk);
            parts.for_each(|part| part.write_to(&mut text));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if let Some(run) = logged.filter(|run| run.state.is_terminal()) {
        let end = transcript.end(run.attempt, run.output.bytes);
        end.for_each(|part| part.write_to(&mut text));
    }
    Ok(ranged(text.freeze(), &headers))
}

fn ranged(text: Bytes, headers: &HeaderMap) -> Response {
    let kind = (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned());
    let accept = (header::ACCEPT_RANGES, "bytes".to_owned());
    let total = text.len();
    let asked = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    match asked.and_then(|value| byte_range(value, total)) {
        None => (StatusCode::OK, [kind, accept], text).into_response(),
        Some(Err(())) => {
            let range = (header::CONTENT_RANGE, format!("bytes */{total}"));
            ([range], Problem::no_such_range(total)).into_response()
        }
        Some(Ok((first, last))) => {
            let range = (
                header::CONTENT_RANGE,
                format!("bytes {first}-{last}/{total}"),
            );
            (
                StatusCode::PARTIAL_CONTENT,
                [kind, range],
                text.slice(first..=last),
            )
                .into_response()
        }
    }
}

/// The first and last byte of a range header. `None` if it is not one range of bytes: then it is ignored,
/// as the RFC says; `Err` if it lies outside.
fn byte_range(value: &str, total: usize) -> Option<Result<(usize, usize), ()>> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let range = if first.is_empty() {
        let suffix: usize = last.parse().ok()?;
        (total.saturating_sub(suffix), total.checked_sub(1))
    } else {
        let last = if last.is_empty() {
            usize::MAX
        } else {
            last.parse().ok()?
        };
        (
            first.parse().ok()?,
            total.checked_sub(1).map(|end| end.min(last)),
        )
    };
    Some(match range {
        (first, Some(last)) if first <= last => Ok((first, last)),
        _ => Err(()),
    })
}

#[cfg(test)]
mod tests {
    use super::byte_range;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        let cases = [
            ("bytes=0-3", Some(Ok((0, 3)))),
            ("bytes=4-", Some(Ok((4, 9)))),
            ("bytes=-3", Some(Ok((7, 9)))),
            ("bytes=8-100", Some(Ok((8, 9)))),
            ("bytes=10-", Some(Err(()))),
            ("bytes=5-4", Some(Err(()))),
            ("lines=1-2", None),
            ("bytes=a-b", None),
        ];
        for (value, expected) in cases {
            assert_eq!(byte_range(value, 10), expected, "{value}");
        }
        assert_eq!(byte_range("bytes=0-", 0), Some(Err(())));
    }
}
