//! A request while it is answered: what it is called, and until when.
//!
//! Every call to a store that is made for a request ends with it ([`crate::wire`] puts that around the stores), so that
//! no answer waits for a store that has stopped. What is said here travels with the task; a task that goes on with a
//! request takes it along ([`Request::carry`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::telemetry::TraceParent;

/// How long the stores may take for a request, from its head or, if it has a body, from that body's end on.
pub(crate) const BUDGET: Duration = Duration::from_secs(10);

/// How long a plugin's module may take on its way from or to a store.
const MODULE_BUDGET: Duration = Duration::from_secs(60);

/// How long it may take after that to write down what came of a change.
pub(crate) const LAST_WORD: Duration = Duration::from_secs(3);

/// How much later the whole answer is given up: what is still done then waits for no store.
const GRACE: Duration = Duration::from_secs(5);

tokio::task_local! {
    static CURRENT: Arc<Request>;
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Request {
    /// What logs and answers call it.
    id: Arc<str>,
    /// It asks for nothing to be changed.
    reads: bool,
    /// Something was changed for it, or may have been.
    changed: AtomicBool,
    /// What is done for it in a trace stands below this.
    place: Option<TraceParent>,
    time: Mutex<Time>,
}

/// Until when.
#[derive(Clone, Copy, Debug)]
struct Time {
    until: Instant,
    /// Reading the body takes none of it.
    stretches: bool,
}

impl Request {
    /// One that has just come.
    pub(crate) fn new(id: &str, reads: bool, place: Option<TraceParent>) -> Arc<Self> {
        Self::until(id.into(), reads, place, Instant::now() + BUDGET)
    }

    fn until(id: Arc<str>, reads: bool, place: Option<TraceParent>, until: Instant) -> Arc<Self> {
        let stretches = true;
        Arc::new(Self {
            id,
            reads,
            changed: AtomicBool::new(false),
            place,
            time: Mutex::new(Time { until, stretches }),
        })
    }

    /// The one that is answered by this task, if one is.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Answers it: what is done until then is done for it.
    pub(crate) async fn carry<T>(self: Arc<Self>, answering: impl Future<Output = T>) -> T {
        CURRENT.scope(self, answering).await
    }

    /// What logs and answers call it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Where what is done for it belongs, if it is traced or its client said so.
    pub(crate) fn place(&self) -> Option<TraceParent> {
        self.place
    }

    /// Whether it asks for nothing to be changed.
    pub(crate) fn reads(&self) -> bool {
        self.reads
    }

    /// Hears that something was changed for it, or may have been.
    pub(crate) fn has_changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Whether something was changed for it, or may have been.
    pub(crate) fn may_have_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Until when a store may take.
    pub(crate) fn deadline(&self) -> Instant {
        self.time().until
    }

    /// Until when a store may take that is sent a module, or sends one.
    pub(crate) fn deadline_of_a_module(&self) -> Instant {
        let mut time = self.time();
        let now = Instant::now();
        if time.stretches && now < time.until {
            time.until = time.until.max(now + MODULE_BUDGET);
        }
        time.until
    }

    /// Gives the stores this long from now on, whatever a body takes.
    pub(crate) fn ends_within(&self, patience: Duration) {
        *self.time() = Time {
            until: Instant::now() + patience,
            stretches: false,
        };
    }

    /// Waits for the body this long, and begins anew once it is there.
    pub(crate) fn waits_for_body(&self, patience: Duration) {
        self.stretch(patience + BUDGET);
    }

    /// Begins anew: the body is there, or of several things that it asks for another one is done.
    pub(crate) fn goes_on(&self) {
        self.stretch(BUDGET);
    }

    fn stretch(&self, patience: Duration) {
        let mut time = self.time();
        if time.stretches {
            time.until = Instant::now() + patience;
        }
    }

    /// Gives the stores time once more, for what must be written down of a request.
    pub(crate) fn has_last_word(&self) {
        let mut time = self.time();
        time.until = time.until.max(Instant::now() + LAST_WORD);
    }

    /// Waits until the time of the whole answer is over.
    pub(crate) async fn given_up(&self) {
        loop {
            let end = self.deadline() + GRACE;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }

    fn time(&self) -> std::sync::MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what a request does beside what it asks for, in its time, so that it does not count as its change.
pub(crate) async fn aside<T>(work: impl Future<Output = T>) -> T {
    let Some(request) = Request::current() else {
        return work.await;
    };
    let beside = Request::until(
        Arc::clone(&request.id),
        request.reads,
        request.place,
        request.deadline(),
    );
    beside.carry(work).await
}

/// Waits for what nobody answers for, and no longer than the stores may take.
pub(crate) async fn in_time(work: impl Future<Output = ()>) {
    match Request::current() {
        Some(request) => drop(timeout_at(request.deadline(), work).await),
        None => work.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_takes_none_of_the_time_of_the_stores() {
        let request = Request::new("a", false, None);
        request.waits_for_body(Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(20)).await;
        request.goes_on();
        assert_eq!(request.deadline(), Instant::now() + BUDGET);
        request.ends_within(Duration::from_secs(2));
        request.goes_on();
        assert_eq!(request.deadline(), Instant::now() + Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_aside_is_no_change_of_the_request() {
        let request = Request::new("a", false, None);
        let asked = Arc::clone(&request);
        let beside = aside(async { Request::current().unwrap().has_changed() });
        asked.carry(beside).await;
        assert!(!request.may_have_changed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_given_up() {
        let request = Request::new("a", true, None);
        let began = Instant::now();
        Arc::clone(&request)
            .carry(in_time(std::future::pending()))
            .await;
        assert_eq!(began.elapsed(), BUDGET);
        request.given_up().await;
        assert_eq!(began.elapsed(), BUDGET + GRACE);
    }
}
