//! The retry layer over a store that fails on command: what is repeated, and what its caller learns.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandclock_core::backend::layer::{Call, Layer, Observer, Op, Retry};
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{Coordination, Precondition, Request, Result, Triggered};
use sandclock_core::job::{Job, JobName};
use sandclock_core::{BackendError, Effect, ErrorKind};

/// How a call fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It never reaches the store.
    Refused(ErrorKind),
    /// The store does it, but the answer is lost.
    AnswerLost,
}

/// Fails the next calls so, then none.
#[derive(Clone, Debug)]
struct Faulty(Arc<Mutex<VecDeque<Fault>>>);

impl Layer for Faulty {
    async fn call<'a, T: Send + 'a>(
        &'a self,
        op: Op,
        mut call: impl FnMut() -> Call<'a, T> + Send + 'a,
    ) -> Result<T> {
        let fault = self.0.lock().unwrap().pop_front();
        match fault {
            None => call().await,
            Some(Fault::Refused(kind)) => Err(BackendError::new(op.name(), kind)),
            Some(Fault::AnswerLost) => {
                let _ = call().await;
                Err(BackendError::new(op.name(), ErrorKind::Timeout).effect_unknown())
            }
        }
    }
}

const UNAVAILABLE: Fault = Fault::Refused(ErrorKind::Unavailable);

/// A store whose next calls fail so, behind a retry of one second; and how many calls reached the faults.
fn store(faults: &[Fault]) -> (Coordination, Observer) {
    let tries = Observer::new();
    let faulty = Faulty(Arc::new(Mutex::new(faults.iter().copied().collect())));
    let store = MemoryStore::new().coordination();
    let store = store.behind(&faulty).behind(&tries);
    let retry = Retry::within(Duration::from_secs(1));
    (store.behind(&retry), tries)
}

fn tries(observer: &Observer) -> u64 {
    observer.figures().iter().map(|figures| figures.begun).sum()
}

fn job() -> Job {
    Job::shell(JobName::parse("reports").unwrap(), "true")
}

#[tokio::test(start_paused = true)]
async fn a_call_that_changed_nothing_is_repeated() {
    let (store, observer) = store(&[UNAVAILABLE, Fault::Refused(ErrorKind::Throttled)]);
    let put = store.jobs.put(&job(), Precondition::Absent).await;
    assert!(put.is_ok(), "{put:?}");
    assert_eq!(tries(&observer), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lasting_error_is_not_repeated() {
    let (store, observer) = store(&[Fault::Refused(ErrorKind::Denied)]);
    let put = store.jobs.put(&job(), Precondition::Absent).await;
    assert_eq!(put.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(tries(&observer), 1);
}

/// S6: a put that may have been applied is the caller's to look at; the repeat would meet itself.
#[tokio::test(start_paused = true)]
async fn a_put_that_may_have_been_applied_is_not_repeated() {
    let (store, observer) = store(&[UNAVAILABLE, Fault::AnswerLost]);
    let put = store.jobs.put(&job(), Precondition::Absent).await;
    assert_eq!(put.unwrap_err().effect, Effect::Unknown);
    assert_eq!(tries(&observer), 2);
    assert!(store.jobs.get(&job().name).await.unwrap().is_some());
}

/// S6: what is idempotent is repeated until its answer arrives.
#[tokio::test(start_paused = true)]
async fn an_idempotent_call_is_repeated_until_its_answer_arrives() {
    let faults = [
        UNAVAILABLE,
        Fault::AnswerLost,
        UNAVAILABLE,
        Fault::AnswerLost,
    ];
    let (store, observer) = store(&faults);
    let request = Request {
        id: "by-hand".to_owned(),
        by: "ann".to_owned(),
        refuse_if_busy: false,
    };
    let answer = store.fires.trigger(&job().name, &request).await.unwrap();
    assert_eq!(answer, Triggered::NoJob);
    assert_eq!(tries(&observer), 5);
}

/// S6: once one try may have been applied, the error in the end says so, whatever the last try said.
#[tokio::test(start_paused = true)]
async fn an_unknown_effect_stays_unknown_when_the_budget_is_spent() {
    let mut faults = vec![Fault::AnswerLost];
    faults.extend([UNAVAILABLE; 100]);
    let (store, observer) = store(&faults);
    let snapshot = store.feed.snapshot().await;
    let error = snapshot.unwrap_err();
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::Unavailable, Effect::Unknown)
    );
    let tries = tries(&observer);
    assert!((3..20).contains(&tries), "{tries} tries in a second");
}
