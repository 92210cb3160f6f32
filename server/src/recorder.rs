//! Recordings of plugin calls on their way to the run log.
//!
//! No call waits for this. While the run log is away the newest recordings are dropped once a few hundred wait: they
//! are for people who look into a decision, and nothing rests on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use sandclock_core::backend::{Recording, Recordings};
use sandclock_core::error::WithSources;
use sandclock_hooks::Recorder;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::time::sleep;

/// How many may wait.
const WAITING: usize = 512;

/// How many are written at once.
const BATCH: usize = 64;

/// How long a run log that does not answer is left alone.
const PAUSE: Duration = Duration::from_secs(2);

/// Takes recordings, and writes them while it runs.
#[derive(Debug)]
pub struct RecordingQueue {
    store: Arc<dyn Recordings>,
    queue: mpsc::Sender<Recording>,
    waiting: Mutex<mpsc::Receiver<Recording>>,
    dropped: AtomicU64,
    /// Taken, and neither written nor dropped.
    unwritten: AtomicUsize,
    /// Whether the store did not answer the last time.
    is_away: AtomicBool,
    written: Notify,
}

impl RecordingQueue {
    /// For this store.
    pub fn new(store: Arc<dyn Recordings>) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        Self {
            store,
            queue,
            waiting: Mutex::new(waiting),
            dropped: AtomicU64::new(0),
            unwritten: AtomicUsize::new(0),
            is_away: AtomicBool::new(false),
            written: Notify::new(),
        }
    }

    /// How many were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes what it is given, for ever.
    pub async fn run(&self) {
        let mut waiting = self.waiting.lock().await;
        let mut batch = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            self.write(&batch).await;
            self.unwritten.fetch_sub(batch.len(), Ordering::Relaxed);
            self.written.notify_waiters();
            batch.clear();
        }
    }

    /// Comes back when nothing waits that could be written now. It is written while [`RecordingQueue::run`] runs.
    pub async fn settled(&self) {
        loop {
            let written = self.written.notified();
            let is_away = self.is_away.load(Ordering::Relaxed);
            if is_away || self.unwritten.load(Ordering::Relaxed) == 0 {
                return;
            }
            written.await;
        }
    }

    /// Writes a batch as soon as the store answers.
    async fn write(&self, batch: &[Recording]) {
        while let Err(error) = self.store.keep(batch).await {
            let transient = error.is_transient();
            let error = WithSources(&error);
            if !transient {
                let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
                self.dropped.fetch_add(count, Ordering::Relaxed);
                tracing::warn!(%error, "recordings of plugin calls are not kept");
                return;
            }
            if !self.is_away.swap(true, Ordering::Relaxed) {
                tracing::warn!(%error, "the run log does not answer; recordings of plugin calls wait");
                self.written.notify_waiters();
            }
            sleep(PAUSE).await;
        }
        self.is_away.store(false, Ordering::Relaxed);
    }
}

impl Recorder for RecordingQueue {
    fn record(&self, recording: Recording) {
        self.unwritten.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(recording).is_err() {
            self.unwritten.fetch_sub(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
