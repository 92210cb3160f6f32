//! How many ends of runs wait in the coordination store, and when that is too many.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use sandclock_core::backend::DoneRecord;

/// What the worker of this process knows of ends that wait.
pub(super) struct Ends {
    worker: String,
    waiting: Box<dyn Fn() -> usize + Send + Sync>,
    most: usize,
    told_many: AtomicBool,
    told_too_many: AtomicBool,
}

impl fmt::Debug for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ends")
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

impl Ends {
    /// `waiting` says how many there are, of whatever worker; above `most` this worker's own wait elsewhere.
    pub(super) fn new(
        worker: String,
        waiting: impl Fn() -> usize + Send + Sync + 'static,
        most: usize,
    ) -> Self {
        Self {
            worker,
            waiting: Box::new(waiting),
            most,
            told_many: AtomicBool::new(false),
            told_too_many: AtomicBool::new(false),
        }
    }

    /// Whether so many wait that this one should wait elsewhere. From half of that on the process's log says so,
    /// once.
    pub(super) fn too_many(&self, done: &DoneRecord) -> bool {
        let (waiting, most) = ((self.waiting)(), self.most);
        if waiting > most / 2 && !self.told_many.swap(true, Ordering::Relaxed) {
            let then = "above the most, workers keep theirs on their own disks only";
            tracing::error!(
                waiting,
                most,
                then,
                "many ends of runs wait for the run log"
            );
        }
        let too_many = waiting > most && self.worker == done.worker;
        if too_many && !self.told_too_many.swap(true, Ordering::Relaxed) {
            let where_now = "on the disk of this host only";
            tracing::error!(
                waiting,
                most,
                where_now,
                "too many ends of runs wait for the run log"
            );
        }
        too_many
    }

    /// They follow again.
    pub(super) fn follow(&self) {
        self.told_many.store(false, Ordering::Relaxed);
        self.told_too_many.store(false, Ordering::Relaxed);
    }
}
