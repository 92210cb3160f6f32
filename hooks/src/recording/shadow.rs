//! Asking those that decide nothing, beside everything else: shadows, and alert plugins that are only monitored.
//!
//! Runs and streams hand over what was asked, and go on: one that is slow loses what it cannot take in time, and the
//! recording says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinSet;

use super::{Call, Journal};
use crate::calls::EndOf;
use crate::failure::{Failure, FailureCode};
use crate::instance::Scope;
use crate::plugin::Plugin;
use crate::redaction::{Fed, Feed, PluginStage};

/// Questions that may wait. Beyond them calls are kept without a shadow's answer, and monitored plugins are not asked.
const WAITING: usize = 256;
/// Questions that are asked at once.
const AT_ONCE: usize = 4;
/// Ends of runs that monitored plugins are asked about at once: as they may wait for what they get, they would else take
/// all threads that alerts have.
const ENDS_AT_ONCE: usize = 2;
/// Streams that are shown at once.
const STREAMS: usize = 16;

/// Something for a shadow.
#[derive(Debug)]
enum Work {
    Question(Call, Arc<Plugin>, Open),
    /// For a plugin that is only monitored, and the shadow beside it.
    End(Box<EndOf>, Option<Arc<Plugin>>, Open),
    Stream(Stream),
}

/// How much is handed over and not dealt with.
#[derive(Debug, Default)]
struct Opened {
    count: AtomicUsize,
    ended: Notify,
}

/// One thing of these, while it is there.
#[derive(Debug)]
struct Open(Arc<Opened>);

impl Open {
    fn new(opened: &Arc<Opened>) -> Self {
        opened.count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(opened))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.notify_waiters();
    }
}

/// A stream as a shadow gets it.
#[derive(Debug)]
struct Stream {
    shadow: Arc<Plugin>,
    fed: Fed,
    /// What the plugin that decides did to it, at its end.
    decided: oneshot::Receiver<Call>,
    _open: Open,
}

impl Stream {
    async fn follow(self, journal: Journal) {
        let stage = self.fed.follow().await;
        // Whoever shows the stream has given up, or the plugin was never asked.
        let Ok(call) = self.decided.await else { return };
        journal.write(&call, Some((&self.shadow, stage.hidden())));
    }
}

/// A stream that is shown to a shadow.
#[derive(Debug)]
pub(crate) struct Shown {
    shadow: Arc<Plugin>,
    feed: Feed,
    decided: oneshot::Sender<Call>,
}

impl Shown {
    pub(crate) fn push(&mut self, piece: &Bytes) {
        self.feed.push(piece);
    }

    /// The stream has ended, and this came of it.
    pub(crate) fn end(self, call: Option<Call>, journal: &Journal) {
        let Some(call) = call else { return };
        let unsent = match self.feed.is_behind() {
            true => Some(call),
            false => self.decided.send(call).err(),
        };
        if let Some(call) = unsent {
            let said = json!({ "error": "overloaded" });
            journal.write(&call, Some((&self.shadow, said)));
        }
    }
}

/// What waits for shadows.
#[derive(Clone, Debug)]
pub(super) struct Shadows {
    work: mpsc::Sender<Work>,
    waiting: Arc<Mutex<mpsc::Receiver<Work>>>,
    opened: Arc<Opened>,
}

impl Default for Shadows {
    fn default() -> Self {
        let (work, waiting) = mpsc::channel(WAITING);
        Self {
            work,
            waiting: Arc::new(Mutex::new(waiting)),
            opened: Arc::default(),
        }
    }
}

impl Shadows {
    /// Hands over a question; gives it back if too many wait.
    pub(super) fn ask(&self, call: Call, shadow: Arc<Plugin>) -> Option<Call> {
        let open = Open::new(&self.opened);
        match self.work.try_send(Work::Question(call, shadow, open)) {
            Ok(()) => None,
            Err(TrySendError::Full(work) | TrySendError::Closed(work)) => match work {
                Work::Question(call, ..) => Some(call),
                Work::End(..) | Work::Stream(_) => None,
            },
        }
    }

    /// Hands over a question to a plugin that is only monitored; if too many wait, the call that comes of it at once.
    pub(super) fn ask_aside(&self, about: EndOf, shadow: Option<Arc<Plugin>>) -> Option<Call> {
        let open = Open::new(&self.opened);
        let handed = self.work.try_send(Work::End(Box::new(about), shadow, open));
        match handed.err()?.into_inner() {
            Work::End(about, ..) => {
                let text = format!("{WAITING} questions are waiting already");
                Some(about.not_asked(Failure::new(FailureCode::Overloaded, text)))
            }
            Work::Question(..) | Work::Stream(_) => None,
        }
    }

    pub(super) fn show(&self, shadow: Arc<Plugin>, stage: PluginStage) -> Shown {
        let (feed, fed) = Feed::new(stage);
        let (decided, told) = oneshot::channel();
        let stream = Stream {
            shadow: Arc::clone(&shadow),
            fed,
            decided: told,
            _open: Open::new(&self.opened),
        };
        // One that is not taken is dropped, and counts as one that did not keep up.
        let _ = self.work.try_send(Work::Stream(stream));
        Shown {
            shadow,
            feed,
            decided,
        }
    }

    /// Comes back when nothing is left to be asked.
    pub(super) async fn settled(&self) {
        loop {
            let ended = self.opened.ended.notified();
            if self.opened.count.load(Ordering::Relaxed) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Asks for ever.
    pub(super) async fn run(&self, journal: &Journal) {
        let mut waiting = self.waiting.lock().await;
        let (mut questions, mut streams) = (JoinSet::new(), JoinSet::new());
        let mut ends = JoinSet::new();
        loop {
            let work = tokio::select! {
                biased;
                Some(_) = questions.join_next() => continue,
                Some(_) = streams.join_next() => continue,
                Some(_) = ends.join_next() => continue,
                Some(work) = waiting.recv(), if questions.len() < AT_ONCE && ends.len() < ENDS_AT_ONCE => work,
                else => return,
            };
            let journal = journal.clone();
            match work {
                Work::Question(call, shadow, open) => {
                    questions.spawn(async move {
                        ask(call, &shadow, &journal).await;
                        drop(open);
                    });
                }
                Work::End(about, shadow, open) => {
                    ends.spawn(async move {
                        if let Some(call) = about.ask_aside().await {
                            journal.keep(call, shadow);
                        }
                        drop(open);
                    });
                }
                Work::Stream(stream) if streams.len() < STREAMS => {
                    streams.spawn(stream.follow(journal));
                }
                // Dropped, it counts as one that did not keep up.
                Work::Stream(_) => {}
            }
        }
    }
}

async fn ask(call: Call, shadow: &Arc<Plugin>, journal: &Journal) {
    let scope = Scope::of(Arc::clone(&call.config), &call.run).again(&call.effects);
    let answer = call.question.ask(shadow, &call.run, scope).await;
    journal.write(&call, Some((shadow, answer)));
}
