//! Following a run: its output as it comes, then how it ended.
//!
//! A connection that breaks is made again, as a server may be restarted while a run goes on. The stream goes on behind
//! the last event then.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt as _;
use reqwest::Response;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::client::Client;
use super::harmless::Shown;
use super::reach::Refused;
use super::sse::{Event, Events};
use super::table::{self, text};
use super::{Output, Told, out};

/// How long a lost connection is tried again before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before each try.
const PAUSE: Duration = Duration::from_millis(500);

/// Nobody knows how a run ends.
#[derive(Debug, thiserror::Error)]
#[error("the connection was lost ({why}); run {run} may go on: sandclock run logs -f {run}")]
pub(super) struct Lost {
    run: String,
    why: String,
}

/// Prints a run's output until it ends, or the ended run as a document.
///
/// # Errors
/// If the run does not succeed; [`Lost`] if the server goes away.
pub(super) async fn until_end(client: &Client, run: &str, output: Output) -> anyhow::Result<()> {
    table::aside(&format!("run {run} started"));
    let mut watch = Watch::new(client, run);
    if output != Output::Table {
        watch.shown = None;
    }
    let stream = match client.open(&watch.path).await {
        Ok(stream) => stream,
        Err(error) => watch.connect_again(error).await?,
    };
    let end = watch.follow(stream, || false).await?;
    match &mut watch.shown {
        Some(shown) => shown.end_line(),
        None => table::document(output, &end),
    }
    let (state, cause) = (text(&end, "state"), text(&end, "cause"));
    table::aside(&format!("run {run} {state}: {cause}"));
    if state == "succeeded" {
        Ok(())
    } else {
        Err(Told(format!("the run {state}")).into())
    }
}

/// Prints a run's output until it ends or nobody reads it any more.
///
/// # Errors
/// If the server refuses or does not answer; [`Lost`] if it goes away.
pub(super) async fn follow(client: &Client, run: &str) -> anyhow::Result<()> {
    let mut watch = Watch::new(client, run);
    let stream = client.open(&watch.path).await?;
    watch.follow(stream, out::is_closed).await.map(drop)
}

/// A run that is followed.
#[derive(Debug)]
struct Watch<'a> {
    client: &'a Client,
    run: &'a str,
    path: String,
    /// `None` if the output is not shown.
    shown: Option<Shown>,
    /// The id of the last event.
    last: Option<String>,
    /// Until when to connect again, from a break until the stream has gone on.
    until: Option<Instant>,
}

impl<'a> Watch<'a> {
    fn new(client: &'a Client, run: &'a str) -> Self {
        Self {
            client,
            run,
            path: format!("/runs/{run}/stream"),
            shown: Some(Shown::new()),
            last: None,
            until: None,
        }
    }

    /// The ended run; nothing if it is `enough` before.
    async fn follow(
        &mut self,
        mut stream: Response,
        enough: fn() -> bool,
    ) -> anyhow::Result<Value> {
        loop {
            match self.read(stream, enough).await {
                Ok(end) => return Ok(end),
                Err(error) => stream = self.connect_again(error).await?,
            }
        }
    }

    async fn read(&mut self, stream: Response, enough: fn() -> bool) -> anyhow::Result<Value> {
        let mut events = Events::default();
        let mut body = stream.bytes_stream();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| self.client.broken_off(&error))?;
            let told = events.push(&piece);
            if told.is_empty() {
                // A comment, by which a server with nothing to tell shows that it is there.
                self.until = None;
            }
            for Event { kind, id, data } in told {
                let data: Value = serde_json::from_str(&data)?;
                if kind == "end" {
                    return Ok(data);
                }
                self.show(&printed(&kind, &data)?);
                self.last = Some(id);
                if enough() {
                    return Ok(Value::Null);
                }
            }
        }
        Err(Told("the server closed the stream before the run ended".to_owned()).into())
    }

    fn show(&mut self, new: &[u8]) {
        self.until = None;
        if let Some(shown) = &mut self.shown {
            shown.print(new);
        }
    }

    /// The rest of the stream, after a break for this reason.
    async fn connect_again(&mut self, mut why: anyhow::Error) -> anyhow::Result<Response> {
        if self.until.is_none() {
            let patience = PATIENCE.as_secs();
            table::aside(&format!(
                "the connection was lost ({why}); connecting again, for up to {patience} s"
            ));
        }
        let until = *self.until.get_or_insert_with(|| Instant::now() + PATIENCE);
        let open = async |pause| {
            sleep(pause).await;
            self.client.events(&self.path, self.last.as_deref()).await
        };
        let mut pause = PAUSE;
        while let Ok(opened) = timeout_at(until, open(pause)).await {
            match opened {
                Ok(stream) => return Ok(stream),
                Err(error) => why = error,
            }
            let refused = why.downcast_ref::<Refused>();
            if refused.is_some_and(Refused::is_final) {
                break;
            }
            pause = refused.and_then(|refused| refused.wait).unwrap_or(PAUSE);
        }
        let (run, why) = (self.run.to_owned(), format!("{why:#}"));
        Err(Lost { run, why }.into())
    }
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_come_back_leaves_the_run_open() {
        crate::tls();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let _ = client.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            client.write_all(head.as_bytes()).unwrap();
        });
        let client = Client::new(&url, Some("x")).unwrap();
        let error = follow(&client, "r").await.unwrap_err();
        server.join().unwrap();
        assert!(error.is::<Lost>(), "{error:#}");
        let said = error.to_string();
        assert!(
            said.ends_with("run r may go on: sandclock run logs -f r"),
            "{said}"
        );
    }
}
