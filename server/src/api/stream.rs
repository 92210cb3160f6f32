//! Live tail: a run's output as server-sent events, from its beginning until it ends.
//!
//! The stream reads the run log, to which a worker's output comes every second or 64 KiB. So any server
//! can follow a run of any worker, and what is shown has passed redaction because only such bytes are
//! ever there (S14).
//!
//! Events: `output` with `{attempt, channel, text}`, and `base64` beside `text` where that cannot say the bytes; `cut`
//! with `{attempt, bytes}` where output is not stored; and at last `end` with the run. Each has an id, which says how far
//! the reader is: one that was cut off sends it as `Last-Event-ID` and goes on there, at any server.

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream;
use sandclock_core::backend::OutputChunk;
use sandclock_core::ports::Channel;
use sandclock_core::run::RunId;
use serde::{Deserialize, Serialize};

use super::Api;
use super::dto::run::RunDto;
use super::input::Run;
use super::lookup::find;
use super::problem::Problem;
use super::runs::READ_BYTES;
use crate::access::Caller;
use crate::document::FieldError;
use crate::exec::{Part, Transcript};

/// How often the run log is asked for more.
const POLL: Duration = Duration::from_millis(300);

/// One of the events of a stream, for the document (HTML, section 9.2).
#[derive(Debug, utoipa::ToSchema)]
#[expect(
    dead_code,
    reason = "events are written by axum; this says what they are"
)]
pub struct ServerSentEvent {
    /// What kind it is.
    event: String,
    /// How far a reader is that has it.
    id: String,
    /// A JSON document, which depends on the kind.
    data: String,
}

/// The data of an `output` event.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OutputEvent {
    /// From 1.
    pub attempt: u32,
    /// The pipe.
    pub channel: String,
    /// The text; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// If some are: the bytes as they are, in base64 (RFC 4648, section 4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// The data of a `cut` event.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CutEvent {
    /// From 1.
    pub attempt: u32,
    /// How much is not stored here.
    pub bytes: u64,
}

/// What a run prints, from its beginning until it ends, as server-sent events.
///
/// `output` with an `OutputEvent`, `cut` with a `CutEvent` where output is not stored, and at last `end` with the run. A
/// reader that was cut off goes on where it was with `Last-Event-ID`; one that has had the `end` gets 204.
#[utoipa::path(
    get,
    path = "/runs/{id}/stream",
    operation_id = "run.stream",
    tag = "runs",
    params(Run, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the reader has")),
    responses((status = 200, description = "The events", body = ServerSentEvent, content_type = "text/event-stream"),
        (status = 204, description = "There are none after this id")),
)]
pub async fn follow(
    State(api): State<Api>,
    reader: Caller,
    Run(id): Run,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    find(&api, &id).await?;
    let told = match headers.get("last-event-id").map(|id| id.to_str()) {
        None => Position::default(),
        // Whoever reads events by the book connects again until told not to.
        Some(Ok(END)) => return Ok(StatusCode::NO_CONTENT.into_response()),
        Some(id) => {
            let id = id.unwrap_or_default();
            Position::parse(id).ok_or_else(|| {
                FieldError::new("Last-Event-ID", id, "the id of an event of this stream")
            })?
        }
    };
    let tail = Tail {
        api,
        reader,
        id,
        after: None,
        transcript: Transcript::from(told.attempt, told.offset),
        told,
        partial: None,
        over: false,
    };
    let events = stream::try_unfold(tail, Tail::next);
    let events = futures_util::TryStreamExt::try_flatten(events);
    let events = Sse::new(events).keep_alive(KeepAlive::default());
    Ok(events.into_response())
}

/// The id of the last event.
const END: &str = "end";

/// How far a reader is: before this byte of this attempt's output. At first there is no attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    attempt: u32,
    offset: u64,
}

impl Position {
    /// What an event's id says.
    fn parse(id: &str) -> Option<Self> {
        let (attempt, offset) = id.split_once('-')?;
        Some(Self {
            attempt: attempt.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    }

    fn id(self) -> String {
        format!("{}-{}", self.attempt, self.offset)
    }
}

type Batch = stream::Iter<std::vec::IntoIter<Result<Event, axum::Error>>>;

/// Where a reader is in a run's output.
struct Tail {
    api: Api,
    /// Whose token may be revoked meanwhile.
    reader: Caller,
    id: RunId,
    after: Option<(u32, u64)>,
    transcript: Transcript,
    /// What the reader has, without what is held back.
    told: Position,
    /// The beginning of a character whose rest is in the next chunk.
    partial: Option<Partial>,
    over: bool,
}

/// Bytes of one pipe of one attempt.
struct Partial {
    channel: Channel,
    bytes: Vec<u8>,
    /// Behind them.
    end: Position,
}

impl Partial {
    fn event(self) -> Result<Event, axum::Error> {
        let text = String::from_utf8_lossy(&self.bytes);
        let base64 = matches!(text, Cow::Owned(_)).then(|| BASE64_STANDARD.encode(&self.bytes));
        let event = Event::default().event("output").id(self.end.id());
        event.json_data(OutputEvent {
            attempt: self.end.attempt,
            channel: self.channel.as_str().to_owned(),
            text: text.into_owned(),
            base64,
        })
    }
}

impl Tail {
    /// The next events, waiting until there are some; `None` after the end.
    async fn next(mut self) -> Result<Option<(Batch, Self)>, axum::Error> {
        if self.over {
            return Ok(None);
        }
        loop {
            if !self.api.gate.still_admits(&self.reader).await {
                return Ok(None);
            }
            // The state is read before the output: what ended before this line has all its output there.
            let run = self
                .api
                .records
                .runs
                .get(&self.id)
                .await
                .map_err(axum::Error::new)?;
            let ended = run.filter(|run| run.state.is_terminal());
            let page = self
                .api
                .records
                .runs
                .read_log(&self.id, self.after, READ_BYTES)
                .await;
            let page = page.map_err(axum::Error::new)?;
            let mut events = Vec::new();
            for (attempt, chunk) in &page.chunks {
                self.after = Some((*attempt, chunk.seq));
                if end_of(*attempt, chunk) <= self.told {
                    continue;
                }
                for part in self.transcript.next(*attempt, chunk) {
                    self.tell(*attempt, part, &mut events);
                }
            }
            if let (Some(run), true) = (ended, page.next.is_none()) {
                self.over = true;
                for part in self.transcript.end(run.attempt, run.output.bytes) {
                    self.tell(run.attempt, part, &mut events);
                }
                self.release(&mut events);
                let end = Event::default().event("end").id(END);
                events.push(end.json_data(RunDto::from_core(run)));
            }
            if !events.is_empty() {
                return Ok(Some((stream::iter(events), self)));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Adds the events of one part. What cannot become a character any more is told as it is.
    fn tell(&mut self, attempt: u32, part: Part<'_>, events: &mut Vec<Result<Event, axum::Error>>) {
        let chunk = match part {
            Part::Attempt(_) => return,
            Part::Cut(bytes) => {
                self.release(events);
                let before = match self.told.attempt == attempt {
                    true => self.told.offset,
                    false => 0,
                };
                let offset = before + bytes;
                self.told = Position { attempt, offset };
                let cut = Event::default().event("cut").id(self.told.id());
                events.push(cut.json_data(CutEvent { attempt, bytes }));
                return;
            }
            Part::Chunk(chunk) => chunk,
        };
        let (channel, end) = (chunk.channel, end_of(attempt, chunk));
        let goes_on =
            |partial: &mut Partial| (partial.end.attempt, partial.channel) == (attempt, channel);
        let mut bytes = self
            .partial
            .take_if(goes_on)
            .map_or_else(Vec::new, |partial| partial.bytes);
        self.release(events);
        // A reader may have had the beginning of it.
        let had = match self.told.attempt == attempt && bytes.is_empty() {
            true => self.told.offset.saturating_sub(chunk.offset),
            false => 0,
        };
        let new = chunk.bytes.bytes();
        let had = usize::try_from(had).unwrap_or(usize::MAX).min(new.len());
        bytes.extend_from_slice(new.get(had..).unwrap_or_default());
        let rest = bytes.split_off(whole_characters(&bytes));
        let held = rest.len() as u64;
        if !bytes.is_empty() {
            let offset = end.offset - held;
            let end = Position { attempt, offset };
            self.told = end;
            events.push(
                Partial {
                    channel,
                    bytes,
                    end,
                }
                .event(),
            );
        }
        self.partial = (held > 0).then_some(Partial {
            channel,
            bytes: rest,
            end,
        });
    }

    /// Tells what is held back.
    fn release(&mut self, events: &mut Vec<Result<Event, axum::Error>>) {
        if let Some(partial) = self.partial.take() {
            self.told = partial.end;
            events.push(partial.event());
        }
    }
}

/// Behind the chunk.
fn end_of(attempt: u32, chunk: &OutputChunk) -> Position {
    Position {
        attempt,
        offset: chunk.offset + chunk.bytes.bytes().len() as u64,
    }
}

/// How many of the bytes do not belong to a character that the end cuts in two.
pub(crate) fn whole_characters(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    let last = bytes.get(tail..).unwrap_or_default();
    for (at, byte) in last.iter().enumerate().rev() {
        let length = match byte {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            0x80..=0xBF => continue,
            _ => return bytes.len(),
        };
        return if at + length > last.len() {
            tail + at
        } else {
            bytes.len()
        };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::{Position, whole_characters};

    #[test]
    fn a_position_is_read_back_from_its_id() {
        let position = Position {
            attempt: 3,
            offset: 17,
        };
        assert_eq!(Position::parse(&position.id()), Some(position));
        for wrong in ["", "3", "-", "3-", "-17", "3-17-1", "a-b", "3--1"] {
            assert_eq!(Position::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_character_is_never_cut_in_two() {
        let text = "aß€😀z".as_bytes();
        for cut in 0..=text.len() {
            let whole = whole_characters(&text[..cut]);
            assert!(std::str::from_utf8(&text[..whole]).is_ok(), "at {cut}");
            assert!(cut - whole < 4, "at {cut}");
        }
        assert_eq!(whole_characters(b"\xff\xff"), 2);
    }
}
