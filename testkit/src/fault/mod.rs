//! A bad network between one worker and its stores, seeded.
//!
//! [`Line`] decides what becomes of each call and of each event of a watch; [`faulty`] puts it in front of
//! a set of contracts. It only does what the contracts allow a store to do, with one exception that the
//! fleet must survive as well: an event may be lost without a trace (S10).

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use sandclock_core::backend::{Coordination, Events, Records, Result};
use sandclock_core::error::{BackendError, ErrorKind};
use sandclock_core::random::SplitMix64;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

/// Sends a call over the line: the contract, the method, and the arguments, which travel by value.
macro_rules! over_line {
    ($over:ident, $op:literal, $contract:ident . $method:ident ( $($arg:expr),* )) => {{
        let inner = Arc::clone(&$over.inner.$contract);
        let call = async move { inner.$method($($arg),*).await };
        $over.line.call($op, call).await
    }};
}

mod coordination;
mod records;

/// A request that a slow network delivers after its caller has given up.
pub type Late = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whether faults happen, for all lines of a simulation.
#[derive(Debug, Default)]
pub struct Weather {
    bad: AtomicBool,
}

impl Weather {
    /// Lets faults happen, or not.
    pub fn set_bad(&self, bad: bool) {
        self.bad.store(bad, Ordering::Relaxed);
    }

    fn is_bad(&self) -> bool {
        self.bad.load(Ordering::Relaxed)
    }
}

/// The network of one worker.
pub struct Line {
    random: SplitMix64,
    weather: Arc<Weather>,
    cut: AtomicBool,
    mended: Notify,
    late: UnboundedSender<Late>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("cut", &self.cut)
            .finish_non_exhaustive()
    }
}

/// What becomes of a call.
enum Fate {
    Works,
    FailsBefore,
    FailsAfter,
    AppliedLater(Duration),
    NoAnswer,
}

/// What becomes of an event.
enum EventFate {
    Comes,
    Twice,
    Lost,
    Breaks(ErrorKind),
    /// The watch stays silent for ever.
    Silence,
}

impl Line {
    /// A line with faults of its own; requests that arrive late are sent to `late`, to be driven there.
    pub fn new(
        random: SplitMix64,
        weather: Arc<Weather>,
        late: UnboundedSender<Late>,
    ) -> Arc<Self> {
        Arc::new(Self {
            random,
            weather,
            cut: AtomicBool::new(false),
            mended: Notify::new(),
            late,
        })
    }

    /// Cuts the line, or mends it.
    pub fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
        if !cut {
            self.mended.notify_waiters();
        }
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    fn latency(&self) -> Duration {
        let slow = self.weather.is_bad() && self.random.chance(30);
        let (low, high) = if slow { (200, 2500) } else { (1, 5) };
        Duration::from_millis(self.random.between(low, high))
    }

    fn fate(&self) -> Fate {
        if !self.weather.is_bad() {
            return Fate::Works;
        }
        match self.random.below(1000) {
            0..25 => Fate::FailsBefore,
            25..50 => Fate::FailsAfter,
            50..65 => Fate::AppliedLater(Duration::from_millis(self.random.between(1, 20_000))),
            65..75 => Fate::NoAnswer,
            _ => Fate::Works,
        }
    }

    fn event_fate(&self, op: &'static str) -> EventFate {
        if !self.weather.is_bad() {
            return EventFate::Comes;
        }
        // A kill that the watch misses must be seen by the next claim.
        if op == "kills.watch" && self.random.chance(150) {
            return EventFate::Lost;
        }
        match self.random.below(1000) {
            0..10 => EventFate::Twice,
            10..15 => EventFate::Lost,
            15..18 => EventFate::Breaks(ErrorKind::Unavailable),
            18..20 => EventFate::Breaks(ErrorKind::CursorExpired),
            20..21 => EventFate::Silence,
            _ => EventFate::Comes,
        }
    }

    /// A call over the line.
    async fn call<T, F>(&self, op: &'static str, request: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        sleep(self.latency()).await;
        if self.is_cut() {
            if self.random.chance(500) {
                return Err(BackendError::new(op, ErrorKind::Unavailable));
            }
            return pending().await;
        }
        let unknown = || Err(BackendError::new(op, ErrorKind::Timeout).effect_unknown());
        let answer = match self.fate() {
            Fate::Works => request.await,
            Fate::FailsBefore => Err(BackendError::new(op, ErrorKind::Unavailable)),
            Fate::FailsAfter => {
                drop(request.await);
                unknown()
            }
            Fate::AppliedLater(after) => {
                let late = async move {
                    sleep(after).await;
                    drop(request.await);
                };
                drop(self.late.send(Box::pin(late)));
                unknown()
            }
            Fate::NoAnswer => {
                drop(request.await);
                pending().await
            }
        };
        sleep(self.latency()).await;
        if self.is_cut() {
            return unknown();
        }
        answer
    }

    /// A watch over the line.
    fn events<T: Clone + Send + 'static>(
        self: &Arc<Self>,
        op: &'static str,
        inner: Events<T>,
    ) -> Events<T> {
        let watch = Watch {
            line: Arc::clone(self),
            op,
            inner,
            again: VecDeque::new(),
            broken: false,
        };
        Box::pin(stream::unfold(watch, |mut watch| async move {
            Some((watch.next().await?, watch))
        }))
    }
}

struct Watch<T> {
    line: Arc<Line>,
    op: &'static str,
    inner: Events<T>,
    again: VecDeque<T>,
    broken: bool,
}

impl<T: Clone> Watch<T> {
    async fn next(&mut self) -> Option<Result<T>> {
        if self.broken {
            return None;
        }
        loop {
            if let Some(item) = self.again.pop_front() {
                return Some(Ok(item));
            }
            let item = self.inner.next().await?;
            sleep(self.line.latency()).await;
            while self.line.is_cut() {
                self.line.mended.notified().await;
            }
            match (self.line.event_fate(self.op), item) {
                (_, Err(error)) => return Some(Err(error)),
                (EventFate::Comes, item) => return Some(item),
                (EventFate::Twice, Ok(item)) => {
                    self.again.push_back(item.clone());
                    return Some(Ok(item));
                }
                // A list of live sessions that lacks one is a lie, not a fault.
                (EventFate::Lost, item) if self.op == "sessions.live" => return Some(item),
                (EventFate::Lost, _) => {}
                (EventFate::Breaks(kind), _) => {
                    self.broken = true;
                    return Some(Err(BackendError::new(self.op, kind)));
                }
                (EventFate::Silence, _) => return pending().await,
            }
        }
    }
}

/// These contracts over this line.
pub fn faulty(
    line: &Arc<Line>,
    coordination: Coordination,
    records: Records,
) -> (Coordination, Records) {
    (
        coordination::over(line, coordination),
        records::over(line, records),
    )
}
