//! The spool: output waits on the worker's disk while the run log is away, and follows in order.
//!
//! ```text
//!            the log answers             it does not, or this run's output waits already
//!  write ──────────────────► run log     write ────────► file ──[`forward`]──► run log
//! ```
//! [`Spool`] stands around a run log's [`RunSink`] and is one itself. A write waits 250 ms for the log and is
//! then in the file, so that no run waits for the log, and none of its output overtakes another. The log is
//! asked again by what waits ([`forward`]); until it answers nothing else tries it ([`contact`]). What comes here
//! has passed redaction (S14).
//!
//! How a run ended stands in the coordination store until the log has it (S8), so it needs no place here: the
//! copy is refused until the run's output is there, and made again later. Only when very many ends wait there
//! (claims.md calls it a long outage) are those of this worker kept here instead, and synced.
//!
//! When the file is full, or cannot be written, output is refused; whoever carries it cuts it and says so.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sandclock_backend_embedded::spool::{Entry, SpoolFile, Waiting};
use sandclock_core::backend::{DoneRecord, Fence, OutputChunk, Result, RunHeader, RunSink};
use sandclock_core::error::WithSources;
use sandclock_core::run::RunId;
use sandclock_core::time::Clock;
use sandclock_core::{BackendError, ErrorKind};
use tokio::sync::Notify;
use tokio::time::timeout;

mod contact;
mod ends;
mod file;
mod forward;
mod mutant;

use contact::Contact;
pub use contact::Outage;
pub(crate) use contact::is_away;
use ends::Ends;
use mutant::Mutant as Fault;
#[cfg(debug_assertions)]
pub use mutant::Mutant;

/// How long a write waits for the log before it goes to the file.
const PATIENCE: Duration = Duration::from_millis(250);

/// How many ends may wait in the coordination store before this worker's own wait here.
const MOST_ENDS: usize = 100_000;

/// How a spool is set up.
#[derive(Clone, Debug)]
pub struct SpoolConfig {
    /// The file. Its folder must exist.
    pub path: PathBuf,
    /// How many bytes may wait in it.
    pub max_bytes: u64,
    /// How many ends may wait in the coordination store before this worker's own wait here.
    pub most_ends: usize,
    #[cfg(debug_assertions)]
    /// A defect to be found by a test.
    pub mutant: Option<Mutant>,
}

impl SpoolConfig {
    /// A spool in `folder`, of so many bytes.
    pub fn new(folder: &Path, max_bytes: u64) -> Self {
        Self {
            path: folder.join("spool.db"),
            max_bytes,
            most_ends: MOST_ENDS,
            #[cfg(debug_assertions)]
            mutant: None,
        }
    }
}

/// A run log whose writes wait on disk while it is away.
#[derive(Debug)]
pub struct Spool {
    log: Arc<dyn RunSink>,
    config: SpoolConfig,
    /// `None` if the file cannot be used: whoever writes is told so.
    file: Arc<Mutex<Option<SpoolFile>>>,
    /// As of the last change of the file, so that nobody has to wait for a disk to know it.
    waiting: Arc<Mutex<Waiting>>,
    contact: Contact,
    /// Something came to wait, or the log came to be away.
    came: Notify,
    /// Something that waited is gone, or was sent in vain.
    went: Notify,
    ends: OnceLock<Ends>,
    refused: AtomicU64,
}

/// What there is to say of a spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolStatus {
    /// What waits.
    pub waiting: Waiting,
    /// How many bytes may.
    pub max_bytes: u64,
    /// The run log does not answer, for more than 2 s.
    pub outage: Option<Outage>,
    /// Writes that were refused because there was no room or the file could not be written.
    pub refused: u64,
}

impl Spool {
    /// Opens the file; what waits in it from a former life goes on waiting. Blocks. One that is damaged is
    /// moved aside, and one that cannot be used for another reason is done without; the process's log says so.
    ///
    /// # Errors
    /// If another process has the file.
    pub fn open(
        log: Arc<dyn RunSink>,
        config: SpoolConfig,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let file = file::open(&config)?;
        let waiting = file.as_ref().map(SpoolFile::waiting).unwrap_or_default();
        let Waiting { entries, bytes } = waiting;
        if entries > 0 {
            tracing::info!(
                entries,
                bytes,
                "output of an earlier process waits for the run log"
            );
        }
        Ok(Self {
            log,
            file: Arc::new(Mutex::new(file)),
            waiting: Arc::new(Mutex::new(waiting)),
            contact: Contact::new(clock),
            came: Notify::new(),
            went: Notify::new(),
            ends: OnceLock::new(),
            refused: AtomicU64::new(0),
            config,
        })
    }

    /// From now on `waiting` says how many ends wait in the coordination store, for the worker of this name. Said
    /// once; later calls change nothing.
    pub fn watch_ends(&self, worker: String, waiting: impl Fn() -> usize + Send + Sync + 'static) {
        let ends = Ends::new(worker, waiting, self.config.most_ends);
        let _set = self.ends.set(ends);
    }

    /// How it is now.
    pub fn status(&self) -> SpoolStatus {
        SpoolStatus {
            waiting: self.waiting(),
            max_bytes: self.config.max_bytes,
            outage: self.contact.outage(),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    fn waiting(&self) -> Waiting {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(debug_assertions)]
    fn is(&self, mutant: Fault) -> bool {
        self.config.mutant == Some(mutant)
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, reason = "the same call as with debug assertions")]
    const fn is(&self, _mutant: Fault) -> bool {
        false
    }

    /// Does something with the file, beside the runtime. It is done even if the caller is dropped meanwhile.
    async fn with_file<T: Send + 'static>(
        &self,
        op: &'static str,
        work: impl FnOnce(&mut SpoolFile) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (file, waiting) = (Arc::clone(&self.file), Arc::clone(&self.waiting));
        let working = tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let unusable = || {
                let why = "the spool's file could not be opened; see the log of the worker's start";
                BackendError::new(op, ErrorKind::Unavailable).context(why)
            };
            let file = file.as_mut().ok_or_else(unusable)?;
            let done = work(file);
            *waiting.lock().unwrap_or_else(PoisonError::into_inner) = file.waiting();
            done
        });
        working
            .await
            .map_err(|error| BackendError::new(op, ErrorKind::Unexpected).source(error))?
    }

    /// Whether something of this run waits. What nobody can tell does not stop a run.
    async fn has(&self, run: &RunId) -> bool {
        if self.waiting().entries == 0 {
            return false;
        }
        let run = run.clone();
        self.with_file("spool.has", move |file| file.has(&run))
            .await
            .unwrap_or_default()
    }

    /// Lets the log do it if it answers and nothing of the run waits; else the entries wait.
    async fn write(
        &self,
        run: &RunId,
        direct: impl Future<Output = Result<()>> + Send,
        entries: impl FnOnce() -> Vec<Entry> + Send,
    ) -> Result<()> {
        let behind = !self.is(Fault::Overtaking) && self.has(run).await;
        if !self.contact.is_away() && !behind {
            match self.contact.heed(timeout(PATIENCE, direct).await) {
                Err(error) if is_away(&error) => {}
                answered => return answered,
            }
        }
        self.keep(run, entries()).await
    }

    /// Puts entries into the file.
    async fn keep(&self, run: &RunId, entries: Vec<Entry>) -> Result<()> {
        let (of, max_bytes) = (run.clone(), self.config.max_bytes);
        let kept = self
            .with_file("spool.push", move |file| file.push(&of, &entries))
            .await;
        self.came.notify_one();
        let Err(error) = kept else { return Ok(()) };
        self.refused.fetch_add(1, Ordering::Relaxed);
        if self.contact.no_room() {
            let error = WithSources(&error);
            tracing::error!(%error, max_bytes, "output cannot wait for the run log; it is cut until it can");
        }
        Err(error)
    }
}

#[async_trait]
impl RunSink for Spool {
    async fn begin(&self, header: &RunHeader, fence: Fence) -> Result<()> {
        let direct = self.log.begin(header, fence);
        self.write(&header.id, direct, || {
            vec![Entry::Begin(header.clone(), fence)]
        })
        .await
    }

    async fn append(
        &self,
        run: &RunId,
        attempt: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) -> Result<()> {
        let direct = self.log.append(run, attempt, chunks, cut);
        self.write(run, direct, || {
            // The cut comes last: it may be about chunks that come with it.
            let chunks = chunks.iter().cloned();
            let chunks = chunks.map(|chunk| Entry::Chunk(attempt, chunk));
            chunks
                .chain(cut.map(|cut| Entry::Cut(attempt, cut)))
                .collect()
        })
        .await
    }

    /// Refused with `Unavailable` while the log is away or the run's output waits: whoever copies ends asks
    /// again.
    async fn finish(&self, done: &DoneRecord) -> Result<()> {
        let run = done.run();
        let behind = !self.is(Fault::EndFirst) && self.has(&run).await;
        if self.contact.is_away() || behind {
            if self.ends.get().is_some_and(|ends| ends.too_many(done)) {
                return self.keep_end(&run, done).await;
            }
            let waits = BackendError::new("sink.finish", ErrorKind::Unavailable);
            return Err(
                waits.context("the run's output waits for the run log, and its end follows it")
            );
        }
        let finished = self.contact.heed(Ok(self.log.finish(done).await));
        if finished.is_ok() {
            self.ends.get().inspect(|ends| ends.follow());
        }
        self.came.notify_one();
        finished
    }
}

impl Spool {
    async fn keep_end(&self, run: &RunId, done: &DoneRecord) -> Result<()> {
        let kept = self
            .keep(run, vec![Entry::End(Box::new(done.clone()))])
            .await;
        if kept.is_err() && self.is(Fault::EndDroppedWhenFull) {
            return Ok(());
        }
        kept
    }
}
