//! `sandclock events`: what changes in the fleet, as it changes.

use std::time::Duration;

use clap::Args;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::client::{Client, query};
use super::reach::Refused;
use super::sse::{Event, Events};
use super::table::{self, text};
use super::{Output, Told, out};

/// How long a lost connection is tried again before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before each try.
const PAUSE: Duration = Duration::from_millis(500);

/// What to follow.
#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// End after so many; default: go on until interrupted
    #[arg(short, value_name = "COUNT")]
    n: Option<u32>,
}

/// Prints each change as a line: for programs as a JSON document of its own.
///
/// # Errors
/// If the server refuses, or is gone for a minute.
pub(super) async fn main(args: &EventsArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let (mut left, mut last) = (args.n, None);
    let mut until = None;
    while left != Some(0) && !out::is_closed() {
        let query = query(&[("limit", left.map(|left| left.to_string()))]);
        let path = format!("/events{query}");
        let mut why = Told("the server has closed the stream".to_owned()).into();
        match client.events(&path, last.as_deref()).await {
            Ok(stream) => {
                until = None;
                let (mut events, mut body) = (Events::default(), stream.bytes_stream());
                while let Some(Ok(piece)) = body.next().await {
                    for event in events.push(&piece) {
                        print(&event, output)?;
                        last = Some(event.id);
                        left = left.map(|left| left.saturating_sub(1));
                    }
                    if out::is_closed() {
                        return Ok(());
                    }
                }
            }
            Err(error) => why = error,
        }
        let first_try = last.is_none();
        if first_try || why.downcast_ref::<Refused>().is_some_and(Refused::is_final) {
            return Err(why);
        }
        if left != Some(0) {
            let until = *until.get_or_insert_with(|| Instant::now() + PATIENCE);
            if Instant::now() >= until {
                return Err(why);
            }
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

fn print(event: &Event, output: Output) -> anyhow::Result<()> {
    let mut said: Value = serde_json::from_str(&event.data)?;
    if output != Output::Table {
        said["event"] = json!(event.kind);
        table::say(&said.to_string());
        return Ok(());
    }
    let members = ["job", "run", "state", "worker", "id", "cause"];
    let words = members.iter().filter(|member| !said[**member].is_null());
    let words: Vec<_> = words.map(|member| text(&said, member)).collect();
    let at = text(&said, "at");
    table::say(&format!("{at}  {:<15} {}", event.kind, words.join("  ")));
    Ok(())
}
