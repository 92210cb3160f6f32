//! The threads that run plugins.
//!
//! A guest computes without yielding, and a runtime's worker that computes delays every timer of
//! its runtime. So plugin calls have threads of their own, one per core and at least two, with two
//! lanes: what a run waits for, and what nobody waits for. The patient lane never takes the last
//! thread, so that slow alerts do not hold up output.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::failure::{Failure, FailureCode};

/// Calls that may wait in a lane.
const QUEUE: usize = 1024;

/// How urgent a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A run waits for it.
    Urgent,
    /// Nobody waits for it.
    Patient,
}

type Work = Box<dyn FnOnce() + Send>;

/// The threads. They end when the value is dropped and what they run is done.
#[derive(Debug)]
pub(crate) struct CallThreads {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Queue {
    urgent: VecDeque<Work>,
    patient: VecDeque<Work>,
    /// Threads that run patient work now.
    patient_running: usize,
    patient_threads: usize,
    stopped: bool,
}

impl Queue {
    fn next(&mut self) -> Option<(Work, Lane)> {
        if let Some(work) = self.urgent.pop_front() {
            return Some((work, Lane::Urgent));
        }
        if self.patient_running == self.patient_threads {
            return None;
        }
        let work = self.patient.pop_front()?;
        self.patient_running += 1;
        Some((work, Lane::Patient))
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallThreads {
    /// Starts `threads` threads, at least two.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let threads = threads.max(2);
        let queue = Queue {
            patient_threads: threads - 1,
            ..Queue::default()
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            wake: Condvar::new(),
        });
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("plugin-{number}"))
                .spawn(move || serve(&shared))?;
        }
        Ok(Self { shared })
    }

    /// Runs `work` on one of the threads. If nobody waits any more by the time it could start, it
    /// does not.
    ///
    /// # Errors
    /// `overloaded` if the lane is full, `wall_deadline` if there is no answer within `wall`.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        lane: Lane,
        wall: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(
            lane,
            Box::new(move || {
                if !answer.is_closed() {
                    // Whoever waited may be gone by now; then the answer is not needed.
                    drop(answer.send(work()));
                }
            }),
        )?;
        match tokio::time::timeout(wall, answered).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(Failure::new(FailureCode::Host, "the call broke off")),
            Err(_) => Err(Failure::new(
                FailureCode::Wall,
                format!("no answer within {} ms", wall.as_millis()),
            )),
        }
    }

    fn enqueue(&self, lane: Lane, work: Work) -> Result<(), Failure> {
        let mut queue = self.shared.queue();
        let queue_of_lane = match lane {
            Lane::Urgent => &mut queue.urgent,
            Lane::Patient => &mut queue.patient,
        };
        if queue_of_lane.len() >= QUEUE {
            let text = format!("{QUEUE} calls are waiting already");
            return Err(Failure::new(FailureCode::Overloaded, text));
        }
        queue_of_lane.push_back(work);
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }
}

impl Drop for CallThreads {
    fn drop(&mut self) {
        self.shared.queue().stopped = true;
        self.shared.wake.notify_all();
    }
}

fn serve(shared: &Shared) {
    let mut queue = shared.queue();
    loop {
        if let Some((work, lane)) = queue.next() {
            drop(queue);
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                tracing::error!("a plugin call broke off in the host");
            }
            queue = shared.queue();
            if lane == Lane::Patient {
                queue.patient_running -= 1;
            }
        } else if queue.stopped {
            return;
        } else {
            queue = shared
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
