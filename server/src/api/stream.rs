//! Live tail: a run's output as server-sent events, from its beginning until it ends.
//!
//! The stream reads the run log, to which a worker's output comes every second or 64 KiB. So any server
//! can follow a run of any worker, and what is shown has passed redaction because only such bytes are
//! ever there (S14).
//!
//! Events: `output` with `{attempt, channel, text}`, and `base64` beside `text` where that cannot say the bytes; `cut`
//! with `{attempt, bytes}` where output is not stored; and at last `end` with the run.

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_core::Stream;
use futures_util::stream;
use sandclock_core::ports::Channel;
use sandclock_core::run::RunId;
use serde::{Deserialize, Serialize};

use super::Api;
use super::dto::run::RunDto;
use super::input::Run;
use super::lookup::find;
use super::problem::Problem;
use super::runs::READ_BYTES;
use crate::exec::{Part, Transcript};

/// How often the run log is asked for more.
const POLL: Duration = Duration::from_millis(300);

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
/// `output` with an `OutputEvent`, `cut` with a `CutEvent` where output is not stored, and at last `end` with the run.
#[utoipa::path(
    get,
    path = "/runs/{id}/stream",
    operation_id = "run.stream",
    tag = "runs",
    params(Run),
    responses((status = 200, description = "The events", body = String, content_type = "text/event-stream")),
)]
pub async fn follow(
    State(api): State<Api>,
    Run(id): Run,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Problem> {
    find(&api, &id).await?;
    let tail = Tail {
        api,
        id,
        after: None,
        transcript: Transcript::default(),
        partial: None,
        over: false,
    };
    let events = stream::try_unfold(tail, Tail::next);
    let events = futures_util::TryStreamExt::try_flatten(events);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

type Batch = stream::Iter<std::vec::IntoIter<Result<Event, axum::Error>>>;

/// Where a reader is in a run's output.
struct Tail {
    api: Api,
    id: RunId,
    after: Option<(u32, u64)>,
    transcript: Transcript,
    /// The beginning of a character whose rest is in the next chunk.
    partial: Option<Partial>,
    over: bool,
}

/// Bytes of one pipe of one attempt.
struct Partial {
    attempt: u32,
    channel: Channel,
    bytes: Vec<u8>,
}

impl Partial {
    fn event(self) -> Result<Event, axum::Error> {
        let text = String::from_utf8_lossy(&self.bytes);
        let base64 = matches!(text, Cow::Owned(_)).then(|| BASE64_STANDARD.encode(&self.bytes));
        Event::default().event("output").json_data(OutputEvent {
            attempt: self.attempt,
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
                for part in self.transcript.next(*attempt, chunk) {
                    self.tell(*attempt, part, &mut events);
                }
                self.after = Some((*attempt, chunk.seq));
            }
            if let (Some(run), true) = (ended, page.next.is_none()) {
                self.over = true;
                for part in self.transcript.end(run.attempt, run.output.bytes) {
                    self.tell(run.attempt, part, &mut events);
                }
                events.extend(self.partial.take().map(Partial::event));
                events.push(
                    Event::default()
                        .event("end")
                        .json_data(RunDto::from_core(run)),
                );
            }
            if !events.is_empty() {
                return Ok(Some((stream::iter(events), self)));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Adds the events of one part. What cannot become a character any more is told as it is.
    fn tell(&mut self, attempt: u32, part: Part<'_>, events: &mut Vec<Result<Event, axum::Error>>) {
        let (channel, new) = match part {
            Part::Attempt(_) => return,
            Part::Cut(bytes) => {
                events.extend(self.partial.take().map(Partial::event));
                let cut = CutEvent { attempt, bytes };
                events.push(Event::default().event("cut").json_data(cut));
                return;
            }
            Part::Chunk(chunk) => (chunk.channel, chunk.bytes.bytes()),
        };
        let goes_on =
            |partial: &mut Partial| (partial.attempt, partial.channel) == (attempt, channel);
        let mut bytes = self
            .partial
            .take_if(goes_on)
            .map_or_else(Vec::new, |partial| partial.bytes);
        events.extend(self.partial.take().map(Partial::event));
        bytes.extend_from_slice(new);
        let rest = bytes.split_off(whole_characters(&bytes));
        let of = |bytes| Partial {
            attempt,
            channel,
            bytes,
        };
        if !bytes.is_empty() {
            events.push(of(bytes).event());
        }
        self.partial = (!rest.is_empty()).then(|| of(rest));
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
    use super::whole_characters;

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
