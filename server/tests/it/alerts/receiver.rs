//! What alerts are sent to by HTTP: it remembers what it has heard, and answers as it is told, or not at all.
#![expect(
    clippy::disallowed_methods,
    reason = "a test runs a server and what it talks to beside each other"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::product::wait_for;

/// No state that a test waits for may take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A request that it has heard.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn key(&self) -> &str {
        &self.headers["idempotency-key"]
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What it does with a request once it has heard it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Take,
    Refuse(u16),
    /// It answers once it is told another mode.
    Hold,
}

#[derive(Clone, Debug)]
struct Ears {
    heard: Arc<Mutex<Vec<Heard>>>,
    mode: watch::Receiver<Mode>,
}

/// A receiver on a port of its own. Dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    ears: Ears,
    mode: watch::Sender<Mode>,
    serving: Option<JoinHandle<()>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let (mode, listens) = watch::channel(Mode::Take);
        let ears = Ears {
            heard: Arc::default(),
            mode: listens,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Some(serve(listener, ears.clone()));
        Self {
            address,
            ears,
            mode,
            serving,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// From now on it does this, with those that wait for an answer as well.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Nobody listens any more.
    pub(crate) async fn down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// It listens again, at the same address.
    pub(crate) async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serving = Some(serve(listener, self.ears.clone()));
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.ears.heard.lock().unwrap().clone()
    }

    /// Waits until it has heard so many requests, and returns all.
    pub(crate) async fn hears(&self, count: usize) -> Vec<Heard> {
        let what = format!("the receiver has heard {count}");
        wait_for(&what, PATIENCE, async || self.heard().len() >= count).await;
        self.heard()
    }
}

fn serve(listener: TcpListener, ears: Ears) -> JoinHandle<()> {
    let router = Router::new().fallback(hear).with_state(ears);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() })
}

async fn hear(State(mut ears): State<Ears>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    ears.heard.lock().unwrap().push(Heard {
        headers: headers.iter().map(header).collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let mode = ears.mode.wait_for(|mode| *mode != Mode::Hold).await;
    match *mode.unwrap() {
        Mode::Refuse(status) => StatusCode::from_u16(status).unwrap(),
        Mode::Take | Mode::Hold => StatusCode::OK,
    }
}
