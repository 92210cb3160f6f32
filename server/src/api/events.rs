//! The fleet's changes as server-sent events, as far as they are the caller's.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{TryStreamExt as _, stream};
use serde::Deserialize;
use tokio::time::timeout;

use super::Api;
use super::input::Query;
use super::problem::Problem;
use super::stream::ServerSentEvent;
use crate::access::Caller;
use crate::events::{Change, ChangeDto, Changes, RESYNC};

/// How many changes are looked at together.
const BATCH: usize = 256;

/// How often it is looked whether the reader may still read.
const CHECK: Duration = Duration::from_secs(2);

/// The query of `GET /events`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// After how many events the stream ends; default: it does not.
    limit: Option<u32>,
}

/// What changes, as it changes, as server-sent events with a `Change` each.
///
/// `job.saved`, `job.broken`, `job.deleted`; `run.queued`, `run.claimed`, `run.ended` (ticks that were skipped or missed
/// among them); `worker.came`, `worker.draining`, `worker.went`. `resync` says that what was before it may not have been
/// told, and that all after it is: a stream begins with it unless it goes on after `Last-Event-ID`, which it can at the
/// same server as long as that has not forgotten what came after. A change may be told twice. A caller who is for some jobs
/// hears of these.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "event.stream",
    tag = "events",
    params(EventsQuery, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the reader has")),
    responses((status = 200, description = "The events", body = ServerSentEvent, content_type = "text/event-stream")),
)]
pub async fn follow(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let changes = api.watches.join().await?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let place = last.and_then(|id| changes.place(id));
    let reader = Reader {
        had: place.unwrap_or_else(|| changes.newest()),
        goes_on: place.is_some(),
        left: query.limit,
        caller,
        changes,
        api,
    };
    let events = stream::try_unfold(reader, Reader::next).try_flatten();
    let events = Sse::new(events).keep_alive(KeepAlive::default());
    Ok(events.into_response())
}

/// Who reads, and how far.
struct Reader {
    api: Api,
    changes: Arc<Changes>,
    /// Whose token may be revoked meanwhile.
    caller: Caller,
    /// The last change that was looked at.
    had: u64,
    /// Whether nothing was left out before the next one.
    goes_on: bool,
    /// How many more events are wanted.
    left: Option<u32>,
}

type Batch = stream::Iter<std::vec::IntoIter<Result<Event, axum::Error>>>;

impl Reader {
    /// The next events, waiting until there are some; `None` at the end.
    async fn next(mut self) -> Result<Option<(Batch, Self)>, axum::Error> {
        while self.left != Some(0) && self.api.gate.still_admits(&self.caller).await {
            let mut events = Vec::new();
            let found = self.changes.after(self.had, BATCH);
            if found.is_none() {
                self.had = self.changes.newest();
                self.goes_on = false;
            }
            if !self.goes_on {
                self.goes_on = true;
                events.push(self.resync());
            }
            for change in found.iter().flatten() {
                self.had = change.seq;
                if self.is_of_caller(change) {
                    events.push(self.event(change.seq, change.kind, &change.said));
                }
            }
            if let Some(left) = &mut self.left {
                events.truncate(*left as usize);
                *left -= u32::try_from(events.len()).unwrap_or(*left);
            }
            if !events.is_empty() {
                return Ok(Some((stream::iter(events), self)));
            }
            // Late or not, it is looked again.
            let _ = timeout(CHECK, self.changes.changed(self.had)).await;
        }
        Ok(None)
    }

    fn is_of_caller(&self, change: &Change) -> bool {
        let covers = |job| self.caller.grant.covers(job);
        change.job.as_ref().is_none_or(covers)
    }

    fn resync(&self) -> Result<Event, axum::Error> {
        let said = ChangeDto {
            at: self.api.clock.now().to_string(),
            ..ChangeDto::default()
        };
        self.event(self.had, RESYNC, &said)
    }

    fn event(&self, seq: u64, kind: &str, said: &ChangeDto) -> Result<Event, axum::Error> {
        let id = self.changes.id(seq);
        Event::default().event(kind).id(id).json_data(said)
    }
}
