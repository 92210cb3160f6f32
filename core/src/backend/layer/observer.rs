//! Counting and timing calls, in plain atomics that whoever shows metrics reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Call, Layer, Op};
use crate::backend::Result;

/// Counts and times calls by method. Clones count together.
///
/// A call whose future is dropped is counted as begun but has no end, so that what hangs can be seen as the
/// difference of [`Figures::begun`] and [`Figures::ended`].
#[derive(Clone, Debug)]
pub struct Observer {
    methods: Arc<[Counters]>,
}

#[derive(Debug)]
struct Counters {
    op: Op,
    begun: AtomicU64,
    ended: AtomicU64,
    failed: AtomicU64,
    micros: AtomicU64,
    longest_micros: AtomicU64,
}

/// What an [`Observer`] has seen of one method since the process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The method.
    pub op: Op,
    /// Calls that were made.
    pub begun: u64,
    /// Calls that were answered.
    pub ended: u64,
    /// Answers that were errors.
    pub failed: u64,
    /// The time of all answered calls together.
    pub total: Duration,
    /// The longest answered call.
    pub longest: Duration,
}

impl Observer {
    /// One that has seen nothing.
    pub fn new() -> Self {
        let methods = Op::ALL.iter().map(|op| Counters {
            op: *op,
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            longest_micros: AtomicU64::new(0),
        });
        Self {
            methods: methods.collect(),
        }
    }

    /// The figures of the methods that were called at all.
    pub fn figures(&self) -> Vec<Figures> {
        let all = self.methods.iter().map(Counters::read);
        all.filter(|figures| figures.begun > 0).collect()
    }
}

impl Default for Observer {
    fn default() -> Self {
        Self::new()
    }
}

impl Counters {
    fn read(&self) -> Figures {
        Figures {
            op: self.op,
            begun: self.begun.load(Ordering::Relaxed),
            ended: self.ended.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            total: Duration::from_micros(self.micros.load(Ordering::Relaxed)),
            longest: Duration::from_micros(self.longest_micros.load(Ordering::Relaxed)),
        }
    }

    fn ended(&self, failed: bool, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.longest_micros.fetch_max(micros, Ordering::Relaxed);
    }
}

impl Layer for Observer {
    async fn call<'a, T: Send + 'a>(
        &'a self,
        op: Op,
        mut call: impl FnMut() -> Call<'a, T> + Send + 'a,
    ) -> Result<T> {
        let Some(counters) = self.methods.iter().find(|counters| counters.op == op) else {
            return call().await;
        };
        counters.begun.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let answer = call().await;
        counters.ended(answer.is_err(), began.elapsed());
        answer
    }
}
