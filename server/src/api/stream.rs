//! Live tail: a run's output as server-sent events, from its beginning until it ends.
//!
//! The stream reads the run log, to which a worker's output comes every second or 64 KiB. So any server
//! can follow a run of any worker, and what is shown has passed redaction because only such bytes are
//! ever there (S14).
//!
//! Events: `output` with `{attempt, channel, text}`, `cut` with `{bytes}`, and at last `end` with the run.

use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_core::Stream;
use futures_util::stream;
use sandclock_core::backend::OutputChunk;
use sandclock_core::run::RunId;
use serde::{Deserialize, Serialize};

use super::Api;
use super::dto::run::RunDto;
use super::input::Run;
use super::problem::Problem;
use super::runs::{READ_BYTES, find};

/// How often the run log is asked for more.
const POLL: Duration = Duration::from_millis(300);

/// The data of an `output` event.
#[derive(Debug, Serialize, Deserialize)]
pub struct OutputEvent {
    /// From 1.
    pub attempt: u32,
    /// The pipe.
    pub channel: String,
    /// The text; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Bytes that were cut before this text.
    pub cut: u64,
}

/// `GET /runs/{id}/stream`
pub async fn follow(
    State(api): State<Api>,
    Run(id): Run,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Problem> {
    find(&api, &id).await?;
    let tail = Tail {
        api,
        id,
        after: None,
        attempt: 0,
        end: 0,
        partial: Vec::new(),
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
    attempt: u32,
    end: u64,
    /// The beginning of a character whose rest is in the next chunk.
    partial: Vec<u8>,
    over: bool,
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
            let mut events: Vec<_> = page
                .chunks
                .iter()
                .map(|(attempt, chunk)| self.event(*attempt, chunk))
                .collect();
            if let Some((attempt, chunk)) = page.chunks.last() {
                self.after = Some((*attempt, chunk.seq));
            }
            if let (Some(run), true) = (ended, page.next.is_none()) {
                self.over = true;
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

    fn event(&mut self, attempt: u32, chunk: &OutputChunk) -> Result<Event, axum::Error> {
        if attempt != self.attempt {
            (self.attempt, self.end) = (attempt, 0);
            self.partial.clear();
        }
        let cut = chunk.offset.saturating_sub(self.end);
        self.end = chunk.offset + chunk.bytes.bytes().len() as u64;
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.extend_from_slice(chunk.bytes.bytes());
        let whole = whole_characters(&bytes);
        self.partial = bytes.split_off(whole);
        Event::default().event("output").json_data(OutputEvent {
            attempt,
            channel: chunk.channel.as_str().to_owned(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
            cut,
        })
    }
}

/// How many of the bytes do not belong to a character that the end cuts in two.
fn whole_characters(bytes: &[u8]) -> usize {
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
