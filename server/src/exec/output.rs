//! The one way from a process to anything else: pipe, redaction, limit, and only then store and
//! followers (S14).
//!
//! Three things go on at once: reading each pipe, and storing. Reading never waits for the store,
//! so a store that is away cannot block a job; what does not fit the limit meanwhile is counted and
//! dropped from the middle. Memory is bounded by the job's limit and one piece per pipe, however
//! much is printed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use sandclock_core::backend::runs::RunSink;
use sandclock_core::ports::{Channel, Redacted, Redactor};
use sandclock_core::run::{HookNote, OutputSummary, RunId};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::intake::Intake;
use super::window::{Batch, Window};

/// Output reaches the run log after this at the latest.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// As long as the head is not full, this much is stored at once.
const STORE_AT_BYTES: usize = 64 << 10;

/// One attempt to store may take this long.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is known of an attempt's output when it is over.
#[derive(Debug)]
pub(super) struct OutputEnd {
    pub(super) summary: OutputSummary,
    /// The end of it, at most 16 KiB.
    pub(super) tail: Bytes,
    pub(super) notes: Vec<HookNote>,
}

/// The output of one attempt.
#[derive(Debug)]
pub(super) struct Output {
    run: RunId,
    attempt: u32,
    sink: Arc<dyn RunSink>,
    /// How long the end waits for a store that does not take the last output.
    patience: Duration,
    window: Mutex<Window>,
    /// There is enough to be stored before its time.
    enough: Notify,
}

impl Output {
    /// `limit` is what may be stored, in bytes; `patience` is how long the end waits for a store that does not
    /// take the last of it.
    pub(super) fn new(
        run: RunId,
        attempt: u32,
        limit: u64,
        sink: Arc<dyn RunSink>,
        patience: Duration,
    ) -> Output {
        Output {
            run,
            attempt,
            sink,
            patience,
            window: Mutex::new(Window::new(limit)),
            enough: Notify::new(),
        }
    }

    /// Carries everything from the pipes to the store; returns when the pipes have ended (see
    /// [`Intake::next`]) and the store has all, or has refused for as long as there is patience.
    pub(super) async fn carry(
        self,
        pipes: Vec<(Channel, Intake, Box<dyn Redactor>)>,
        ended: watch::Receiver<bool>,
    ) -> OutputEnd {
        let (read, all_read) = watch::channel(false);
        let reading = async {
            let notes =
                join_all(pipes.into_iter().map(|pipe| self.read(pipe, ended.clone()))).await;
            read.send_replace(true);
            notes
        };
        let (notes, not_stored) = tokio::join!(reading, self.store(all_read));
        let mut notes: Vec<HookNote> = notes.into_iter().flatten().collect();
        notes.extend(not_stored);
        let window = self.window();
        OutputEnd {
            summary: window.summary(),
            tail: window.last_words(),
            notes,
        }
    }

    /// Reads one pipe to its end.
    async fn read(
        &self,
        (channel, mut intake, mut redactor): (Channel, Intake, Box<dyn Redactor>),
        mut ended: watch::Receiver<bool>,
    ) -> Vec<HookNote> {
        while let Some(raw) = intake.next(&mut ended).await {
            let redacted = redactor.push(raw).await;
            self.take_in(channel, redacted);
        }
        let redacted = redactor.finish().await;
        self.take_in(channel, redacted);
        redactor.notes()
    }

    fn take_in(&self, channel: Channel, bytes: Redacted) {
        if bytes.bytes().is_empty() {
            return;
        }
        if self.window().push(channel, &bytes) >= STORE_AT_BYTES {
            self.enough.notify_one();
        }
    }

    /// Stores what comes in until all is read and stored. Returns a note if some of it could not
    /// be.
    async fn store(&self, mut all_read: watch::Receiver<bool>) -> Option<HookNote> {
        let mut over = false;
        loop {
            if !over {
                tokio::select! {
                    biased;
                    _ = all_read.wait_for(|all| *all) => over = true,
                    () = self.enough.notified() => {}
                    () = sleep(STORE_EVERY) => {}
                }
            }
            let batch = self.window().take();
            match batch {
                Some(batch) => {
                    if let Err(note) = self.store_batch(&batch, &mut all_read).await {
                        return Some(note);
                    }
                }
                None if over => return None,
                None => {}
            }
        }
    }

    /// Repeats one batch until the store has it: for ever while the job runs, and as long as there is
    /// patience afterwards.
    async fn store_batch(
        &self,
        batch: &Batch,
        all_read: &mut watch::Receiver<bool>,
    ) -> Result<(), HookNote> {
        let mut give_up_at = None;
        let mut quiet = false;
        loop {
            // Later output may have overtaken this one meanwhile.
            let cut = self.window().cut_range();
            let append = self
                .sink
                .append(&self.run, self.attempt, &batch.chunks, cut);
            let error = match timeout(STORE_TIMEOUT, append).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("run log: no answer in {} s", STORE_TIMEOUT.as_secs()),
            };
            if !std::mem::replace(&mut quiet, true) {
                tracing::warn!(run = %self.run, %error, "output is not stored; repeating");
            }
            if *all_read.borrow() {
                let give_up_at = *give_up_at.get_or_insert_with(|| Instant::now() + self.patience);
                if Instant::now() >= give_up_at {
                    self.window().give_up(batch);
                    return Err(self.not_stored(batch, &error));
                }
                sleep(STORE_EVERY).await;
            } else {
                // The end of the job is not to wait for the next try.
                let _over = timeout(STORE_EVERY, all_read.wait_for(|all| *all)).await;
            }
        }
    }

    /// What the record says of output that the store did not take.
    fn not_stored(&self, batch: &Batch, error: &str) -> HookNote {
        let from = batch.chunks.first().map_or(0, |chunk| chunk.offset);
        HookNote {
            plugin: "sandclock".to_owned(),
            version: None,
            hook: "output".to_owned(),
            decision: format!("output from byte {from} on is not stored: {error}"),
            failed: true,
            monitored: false,
            took: self.patience,
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
