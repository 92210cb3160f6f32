//! Ends that come close together share a request.
//!
//! When many runs began in the same second, many end in the same second; one transaction each would make the
//! ends cost far more than the starts. An end that comes alone is sent at once. One that comes within
//! [`APART`] of the last request waits for the rest of that time, together with all others.
//!
//! Nobody is spawned: whoever gets the turn sends for all who wait. If that caller is dropped in the middle,
//! the others notice and send their own ends again, which is safe at any time (S6).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sandclock_core::BackendError;
use sandclock_core::backend::protocol::MAX_BATCH;
use sandclock_core::backend::{End, Ended, Result};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::store::Store;

/// The least time from one request to the next.
const APART: Duration = Duration::from_millis(20);

/// An end and who waits for its answer.
type Waiting = (End, oneshot::Sender<Result<Ended>>);

/// The ends that wait, and the turn to send them.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    waiting: Mutex<Vec<Waiting>>,
    /// Whoever holds this sends. It knows when the last request began.
    turn: tokio::sync::Mutex<Option<Instant>>,
}

impl Ends {
    fn push(&self, end: &End) -> oneshot::Receiver<Result<Ended>> {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((end.clone(), tell));
        told
    }

    /// What one request takes, oldest first: one end of each job, because each writes the job's mark. Ends that
    /// nobody waits for any more are sent all the same.
    fn next(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut jobs, mut next, mut later) = (BTreeSet::new(), Vec::new(), Vec::new());
        for one in waiting.drain(..) {
            if next.len() < MAX_BATCH && jobs.insert(one.0.job.clone()) {
                next.push(one);
            } else {
                later.push(one);
            }
        }
        *waiting = later;
        next
    }
}

impl Store {
    /// Ends a run, together with others that end now.
    pub(crate) async fn end_together(&self, end: &End) -> Result<Ended> {
        let mut told = self.ends.push(end);
        loop {
            let mut turn = tokio::select! {
                biased;
                answer = &mut told => match answer {
                    Ok(answer) => return answer,
                    // Whoever sent it was dropped.
                    Err(_) => {
                        told = self.ends.push(end);
                        continue;
                    }
                },
                turn = self.ends.turn.lock() => turn,
            };
            if let Some(last) = *turn {
                sleep_until(last + APART).await;
            }
            *turn = Some(Instant::now());
            self.send_ends(self.ends.next()).await;
        }
    }

    async fn send_ends(&self, all: Vec<Waiting>) {
        let (ends, tell): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let items = ends.iter().map(|end| self.end_one(end)).collect();
        let answers = match self.carry_out("fires.end", None, items).await {
            Ok(answers) => answers,
            Err(error) => same_for_all(error, tell.len()),
        };
        for (tell, answer) in tell.into_iter().zip(answers) {
            // Whoever waited may be gone.
            let _ = tell.send(answer);
        }
    }
}

/// One failure as many callers see it.
fn same_for_all(error: BackendError, callers: usize) -> Vec<Result<Ended>> {
    let BackendError {
        kind,
        effect,
        op,
        context,
        part,
        source,
    } = error;
    let source: Option<Arc<dyn std::error::Error + Send + Sync>> = source.map(Arc::from);
    let one = || BackendError {
        kind,
        effect,
        op,
        context: context.clone(),
        part,
        source: source.clone().map(|source| Box::new(source) as _),
    };
    (0..callers).map(|_| Err(one())).collect()
}
