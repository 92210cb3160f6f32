//! From the first request to the last: serving, signals, and the order of the end.
//!
//! On SIGTERM or SIGINT the worker drains first (nothing new is claimed, what runs may finish within the
//! drain's deadline) while the API still answers, so that people can watch; then the API closes (L3). A
//! second signal does not wait for running jobs: it ends the process, and its supervisors end the jobs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use sandclock_core::fleet::Worker;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::deliver::Delivery;
use crate::front::{self, Tls};
use crate::leader::Chores;
use crate::recorder::RecordingQueue;
use crate::reload::Reload;
use crate::rollout::Rollout;
use crate::spool::Spool;
use crate::telemetry::Telemetry;
use crate::wire::{Certificates, RunLog, open_later};

/// How long open connections may take to end, streams among them.
const CLOSE: Duration = Duration::from_secs(3);

/// How long what waits for a run log that answers may take to follow before the end. The rest follows after the
/// next start.
const FLUSH: Duration = Duration::from_secs(5);

/// What answers requests, and where.
#[derive(Debug)]
pub struct Front {
    /// Where clients come.
    pub listener: TcpListener,
    /// What they are shown, unless they come without encryption.
    pub tls: Option<Arc<Tls>>,
    /// What they get, until another takes its place.
    pub router: watch::Receiver<Router>,
}

/// What this process runs, whichever of it its role has.
#[derive(Debug)]
pub struct Running {
    /// What asks for the end, received from before anybody was told that this process is ready.
    pub signals: Signals,
    /// The API.
    pub front: Option<Front>,
    /// What decides and runs.
    pub worker: Option<Worker>,
    /// What it does if it leads.
    pub chores: Option<Chores>,
    /// What sends alerts, until another takes its place.
    pub delivery: Option<watch::Receiver<Arc<Delivery>>>,
    /// Where its output waits while the run log is away.
    pub spool: Option<Arc<Spool>>,
    /// What keeps its plugins as the fleet has them.
    pub rollout: Arc<Rollout>,
    /// Where its plugins' calls are told.
    pub recorder: Option<Arc<RecordingQueue>>,
    /// A run log that was away when it started.
    pub away: Option<Arc<RunLog>>,
    /// Those of its connection to etcd.
    pub certificates: Option<Certificates>,
    /// What reads its configuration again.
    pub reload: Option<Reload>,
    /// Where traces go, if they do.
    pub telemetry: Option<Telemetry>,
}

impl Running {
    /// Serves until a signal, then ends in order.
    ///
    /// # Errors
    /// If the API ends before it is asked to.
    pub async fn serve(self) -> anyhow::Result<()> {
        let mut signals = self.signals;
        let (close, closing) = oneshot::channel::<()>();
        let mut server = Box::pin(answer(self.front, closing));
        let (asked, drain) = oneshot::channel::<()>();
        let mut worker = Box::pin(work(self.worker, drain));
        let (leave, leaving) = oneshot::channel::<()>();
        let mut chores = Box::pin(do_chores(self.chores, leaving));
        let (end, ending) = oneshot::channel::<()>();
        let mut delivering = Box::pin(deliver(self.delivery, ending));
        let mut forwarding = Box::pin(forward(self.spool.as_deref()));
        let mut opening = Box::pin(open(self.away.as_deref()));
        let mut following = Box::pin(self.rollout.run());
        let mut renewing = Box::pin(renew(self.certificates.as_ref()));
        let mut recording = Box::pin(record(self.recorder.as_deref()));
        let mut reload = self.reload;
        let mut reading = Box::pin(read_again(reload.as_mut()));
        let mut asked = Some(asked);
        let unfinished = loop {
            tokio::select! {
                biased;
                name = signals.next() => match asked.take() {
                    Some(asked) => ask_to_drain(name, asked),
                    None => {
                        tracing::warn!(signal = name, "ending at once");
                        return Ok(());
                    }
                },
                unfinished = &mut worker => break unfinished,
                () = &mut server => bail!("the API ended"),
                () = &mut chores => bail!("the chores ended"),
                () = &mut delivering => bail!("the delivery of alerts ended"),
                () = &mut forwarding => {}
                () = &mut opening => {}
                () = &mut renewing => {}
                () = &mut reading => {}
                () = &mut following => {}
                () = &mut recording => {}
            }
        };
        if let Some(spool) = &self.spool {
            tokio::select! {
                biased;
                () = &mut forwarding => {}
                _ = timeout(FLUSH, spool.settled()) => {}
            }
        }
        if let Some(recorder) = &self.recorder {
            let settled = async {
                // What shadows say is recorded with what they were asked.
                self.rollout.settled().await;
                recorder.settled().await;
            };
            tokio::select! {
                biased;
                () = &mut following => {}
                () = &mut recording => {}
                _ = timeout(FLUSH, settled) => {}
            }
        }
        if unfinished > 0 {
            tracing::warn!(runs = unfinished, "ended with runs that others will settle");
        }
        let _ = (close.send(()), leave.send(()), end.send(()));
        // Streams do not end by themselves. An alert on its way does, within its target's time; cut off, it would be
        // sent again by another server.
        let _ = tokio::join!(timeout(CLOSE, server), timeout(CLOSE, chores), delivering);
        if let Some(telemetry) = self.telemetry {
            // It waits for the exporter's own thread, which needs this runtime.
            let _ = tokio::task::spawn_blocking(move || telemetry.stop()).await;
        }
        Ok(())
    }
}

fn ask_to_drain(signal: &'static str, asked: oneshot::Sender<()>) {
    tracing::info!(
        signal,
        "draining: no new runs; a second signal ends at once"
    );
    // The worker may have stopped by itself.
    let _ = asked.send(());
}

/// Answers requests until it is told to close.
async fn answer(front: Option<Front>, closing: oneshot::Receiver<()>) {
    let closed = async {
        // An error says that the sender is gone, which is the end as well.
        let _ = closing.await;
    };
    match front {
        Some(Front {
            listener,
            tls,
            router,
        }) => front::serve(listener, tls, router, closed).await,
        None => closed.await,
    }
}

/// Works until it is asked to drain and has drained; returns how many runs others have to settle.
async fn work(worker: Option<Worker>, drain: oneshot::Receiver<()>) -> usize {
    let asked = async {
        let _ = drain.await;
    };
    match worker {
        Some(worker) => worker.run(asked).await.unfinished,
        None => {
            asked.await;
            0
        }
    }
}

/// Writes what plugins were asked and said, if that is recorded.
async fn record(recorder: Option<&RecordingQueue>) {
    match recorder {
        Some(recorder) => recorder.run().await,
        None => std::future::pending().await,
    }
}

/// Leads, or would, until it is told to leave.
async fn do_chores(chores: Option<Chores>, leaving: oneshot::Receiver<()>) {
    let left = async {
        let _ = leaving.await;
    };
    match chores {
        Some(chores) => chores.run(left).await,
        None => left.await,
    }
}

/// Sends alerts until it is told to end. What another takes the place of ends what it has begun, beside that.
async fn deliver(
    delivery: Option<watch::Receiver<Arc<Delivery>>>,
    mut ending: oneshot::Receiver<()>,
) {
    let Some(mut current) = delivery else {
        let _ = ending.await;
        return;
    };
    let mut all = FuturesUnordered::new();
    loop {
        let (end, ended) = oneshot::channel::<()>();
        let delivery = Arc::clone(&current.borrow_and_update());
        all.push(async move {
            let ended = async {
                let _ = ended.await;
            };
            delivery.run(ended).await;
        });
        let another = tokio::select! {
            biased;
            _ = &mut ending => false,
            another = next(&mut current, &mut all) => another,
        };
        // Ends it.
        drop(end);
        if !another {
            break;
        }
    }
    while all.next().await.is_some() {}
}

/// Lets all go on until another is to begin; whether one is.
async fn next<T, F: Future<Output = ()>>(
    current: &mut watch::Receiver<T>,
    all: &mut FuturesUnordered<F>,
) -> bool {
    loop {
        tokio::select! {
            biased;
            changed = current.changed() => match changed {
                Ok(()) => return true,
                // There will be no other.
                Err(_) => {
                    while all.next().await.is_some() {}
                    return false;
                }
            },
            Some(()) = all.next() => {}
        }
    }
}

/// Forwards for ever.
async fn forward(spool: Option<&Spool>) {
    match spool {
        Some(spool) => spool.forward().await,
        None => std::future::pending().await,
    }
}

/// Follows the certificates of the connection to etcd, if it has any.
async fn renew(certificates: Option<&Certificates>) {
    match certificates {
        Some(certificates) => certificates.follow().await,
        None => std::future::pending().await,
    }
}

/// Reads the configuration whenever it is asked to.
async fn read_again(reload: Option<&mut Reload>) {
    match reload {
        Some(reload) => reload.run().await,
        None => std::future::pending().await,
    }
}

/// Opens the run log if that is still to be done, and then has nothing to do for ever.
async fn open(away: Option<&RunLog>) {
    if let Some(log) = away {
        open_later(log).await;
    }
    std::future::pending().await
}

/// The signals that ask for an end.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on these signals end nothing by themselves.
    ///
    /// # Errors
    /// If signals cannot be received.
    pub fn new() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("receive signals");
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
