//! The audit trail on its way to the run log.
//!
//! A change is made only once its entry stands somewhere: in the run log, or, while that is away, as a document of
//! coordination, from where the server that leads moves it. So jobs can be changed while the run log is away, and
//! nothing is changed that leaves no trace. What came of a change is written afterwards, in the same way.

mod moved;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sandclock_core::backend::{
    AuditEntry, AuditLog, AuditOutcome, DocKind, Docs, Precondition, Result,
};
use sandclock_core::error::WithSources;
use sandclock_core::time::Clock;
use sandclock_core::{BackendError, ErrorKind, stored};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::leader::Leads;
use crate::{request, spool};

/// How long the run log may take for an entry before that waits elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a run log that did not answer is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// How many changes of this server may wait for the run log; further ones are refused. With what was before and after,
/// one takes some kilobytes of coordination.
pub const MAX_WAITING: u32 = 1_000;

/// What the trail rests on.
#[derive(Debug)]
pub struct Places {
    /// Where entries belong.
    pub log: Arc<dyn AuditLog>,
    /// Where they wait while it is away.
    pub docs: Arc<dyn Docs>,
}

/// Writes entries, and moves those that had to wait.
#[derive(Debug)]
pub struct Trail {
    log: Arc<dyn AuditLog>,
    docs: Arc<dyn Docs>,
    leads: Leads,
    clock: Arc<dyn Clock>,
    /// How long entries are kept; `None` is for ever.
    keep: Mutex<Option<Duration>>,
    /// The run log did not answer, and is left alone until then.
    away_until: Mutex<Option<Instant>>,
    /// How many changes have begun to wait since the run log answered last.
    waiting: AtomicU32,
    /// Changes that are being made, which do not end with their clients' patience.
    going_on: Mutex<JoinSet<()>>,
}

impl Trail {
    /// For these places; `keep` is how long entries are kept, `None` for ever.
    pub fn new(
        places: Places,
        leads: Leads,
        clock: Arc<dyn Clock>,
        keep: Option<Duration>,
    ) -> Self {
        Self {
            log: places.log,
            docs: places.docs,
            leads,
            clock,
            keep: Mutex::new(keep),
            away_until: Mutex::new(None),
            waiting: AtomicU32::new(0),
            going_on: Mutex::new(JoinSet::new()),
        }
    }

    /// Keeps entries for as long as this from now on; `None` is for ever.
    pub fn keep(&self, keep: Option<Duration>) {
        *self.keep.lock().unwrap_or_else(PoisonError::into_inner) = keep;
    }

    /// Makes a change to its end, whether anybody still waits for its answer or not.
    pub fn go_on(&self, change: impl Future<Output = ()> + Send + 'static) {
        let mut all = self.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        while all.try_join_next().is_some() {}
        all.spawn(change);
    }

    /// Writes an entry, or what came of it.
    ///
    /// # Errors
    /// If it stands nowhere then, or it is not known whether it does.
    pub async fn write(&self, entry: &AuditEntry) -> Result<()> {
        request::aside(self.put(entry)).await
    }

    async fn put(&self, entry: &AuditEntry) -> Result<()> {
        if !self.is_away() {
            match self.ask(self.log.put(entry)).await {
                Err(error) if spool::is_away(&error) => {}
                answer => return answer,
            }
        }
        self.wait(entry).await
    }

    /// Puts an entry where it waits.
    async fn wait(&self, entry: &AuditEntry) -> Result<()> {
        const OP: &str = "audit.put";
        let begun = entry.outcome == AuditOutcome::Begun;
        // What came of a change that was let through has to be written.
        if begun && self.waiting.load(Ordering::Relaxed) >= MAX_WAITING {
            let full = BackendError::new(OP, ErrorKind::Throttled);
            return Err(full.context(format!(
                "{MAX_WAITING} changes wait for the run log already"
            )));
        }
        let body = stored::encode(entry)
            .map_err(|error| BackendError::new(OP, ErrorKind::InvalidConfig).source(error))?;
        (self.docs)
            .put(
                DocKind::Audit,
                &entry.id,
                &Bytes::from(body),
                Precondition::Any,
            )
            .await?;
        self.waiting.fetch_add(u32::from(begun), Ordering::Relaxed);
        Ok(())
    }

    /// Asks the run log, and learns whether it is there.
    async fn ask<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let late = || BackendError::new("audit", ErrorKind::Timeout).effect_unknown();
        let answer = timeout(PATIENCE, call).await;
        let answer = answer.unwrap_or_else(|_| Err(late()));
        let mut away = (self.away_until.lock()).unwrap_or_else(PoisonError::into_inner);
        match &answer {
            Err(error) if spool::is_away(error) => {
                if away.replace(Instant::now() + PAUSE).is_none() {
                    let error = WithSources(error);
                    tracing::warn!(%error, "the run log does not answer; the audit trail waits in the coordination store");
                }
            }
            _ => {
                self.waiting.store(0, Ordering::Relaxed);
                if away.take().is_some() {
                    tracing::info!("the run log takes the audit trail again");
                }
            }
        }
        answer
    }

    /// Whether the run log is left alone now.
    fn is_away(&self) -> bool {
        let away = (self.away_until.lock()).unwrap_or_else(PoisonError::into_inner);
        away.is_some_and(|until| Instant::now() < until)
    }
}
