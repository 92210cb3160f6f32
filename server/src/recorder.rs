//! Recordings of plugin calls on their way to the run log.
//!
//! No call waits for this. While the run log is away the newest recordings are dropped once a few hundred wait: they
//! are for people who look into a decision, and nothing rests on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sandclock_core::backend::{Recording, Recordings};
use sandclock_core::error::WithSources;
use sandclock_hooks::Recorder;
use tokio::sync::{Mutex, mpsc};
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
            batch.clear();
        }
    }

    /// Writes a batch as soon as the store answers.
    async fn write(&self, batch: &[Recording]) {
        let mut is_away = false;
        while let Err(error) = self.store.keep(batch).await {
            let transient = error.is_transient();
            let error = WithSources(&error);
            if !transient {
                let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
                self.dropped.fetch_add(count, Ordering::Relaxed);
                tracing::warn!(%error, "recordings of plugin calls are not kept");
                return;
            }
            if !is_away {
                tracing::warn!(%error, "the run log does not answer; recordings of plugin calls wait");
            }
            is_away = true;
            sleep(PAUSE).await;
        }
    }
}

impl Recorder for RecordingQueue {
    fn record(&self, recording: Recording) {
        if self.queue.try_send(recording).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
