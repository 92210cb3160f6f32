//! Following a run: its output as it comes, then how it ended.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt as _;
use serde_json::Value;

use super::Told;
use super::client::Client;
use super::harmless::Shown;
use super::table::{self, text};

/// Prints a run's output until it ends.
///
/// # Errors
/// If the run does not succeed, or the server goes away.
pub(super) async fn until_end(client: &Client, run: &str) -> anyhow::Result<()> {
    let end = follow(client, run).await?;
    let (state, cause) = (text(&end, "state"), text(&end, "cause"));
    table::aside(&format!("run {run} {state}: {cause}"));
    if state == "succeeded" {
        Ok(())
    } else {
        Err(Told(format!("the run {state}")).into())
    }
}

/// Prints a run's output until it ends, and returns the ended run.
///
/// # Errors
/// If the server goes away.
pub(super) async fn follow(client: &Client, run: &str) -> anyhow::Result<Value> {
    let path = format!("/runs/{run}/stream");
    let response = client.open(&path).await?;
    let mut events = Events::default();
    let mut shown = Shown::new();
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| client.broken_off(&error))?;
        for (kind, data) in events.push(&piece) {
            let data: Value = serde_json::from_str(&data)?;
            if kind == "end" {
                return Ok(data);
            }
            shown.print(&printed(&kind, &data)?);
        }
    }
    Err(Told("the server closed the stream before the run ended".to_owned()).into())
}

/// What an event adds to the output.
///
/// # Errors
/// If the server sent what is no base64.
fn printed(kind: &str, data: &Value) -> anyhow::Result<Vec<u8>> {
    if kind == "cut" {
        let bytes = data["bytes"].as_u64().unwrap_or_default();
        return Ok(crate::exec::cut_marker(bytes).into_bytes());
    }
    match data["base64"].as_str() {
        Some(bytes) => Ok(BASE64_STANDARD.decode(bytes)?),
        None => Ok(data["text"].as_str().unwrap_or_default().into()),
    }
}

/// Server-sent events from the bytes of a stream (WHATWG HTML, 9.2.6), as far as our server writes them.
#[derive(Debug, Default)]
struct Events {
    rest: Vec<u8>,
    kind: String,
    data: Vec<String>,
}

impl Events {
    fn push(&mut self, piece: &[u8]) -> Vec<(String, String)> {
        self.rest.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if !self.data.is_empty() {
                    events.push((std::mem::take(&mut self.kind), self.data.join("\n")));
                    self.data.clear();
                }
            } else if let Some((field, value)) = line.split_once(':') {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => value.clone_into(&mut self.kind),
                    "data" => self.data.push(value.to_owned()),
                    _ => {}
                }
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::Events;

    #[test]
    fn events_are_whole_however_the_bytes_are_cut() {
        let stream =
            b": hello\n\nevent: output\ndata: {\"a\":1}\n\nevent: end\ndata: x\ndata: y\n\n";
        let whole = vec![
            ("output".to_owned(), "{\"a\":1}".to_owned()),
            ("end".to_owned(), "x\ny".to_owned()),
        ];
        for size in 1..stream.len() {
            let mut events = Events::default();
            let got: Vec<_> = stream
                .chunks(size)
                .flat_map(|piece| events.push(piece))
                .collect();
            assert_eq!(got, whole, "pieces of {size}");
        }
    }
}
