//! The conformance suite once more through the layers: they change nothing that a caller can see.

use std::time::Duration;

use sandclock_core::backend::layer::{Observer, Op, Retry};
use sandclock_testkit::conformance;
use sandclock_testkit::conformance::{
    CoordinationBackend, CoordinationEnv, RecordsBackend, RecordsEnv, jobs,
};
use sandclock_testkit::memory::Memory;

/// The reference model, observed and retried.
struct Layered;

const RETRY: Retry = Retry::within(Duration::from_secs(1));

impl CoordinationBackend for Layered {
    async fn fresh() -> CoordinationEnv {
        let env = <Memory as CoordinationBackend>::fresh().await;
        CoordinationEnv {
            store: env.store.behind(&RETRY).behind(&Observer::new()),
            ..env
        }
    }
}

impl RecordsBackend for Layered {
    async fn fresh() -> RecordsEnv {
        let env = <Memory as RecordsBackend>::fresh().await;
        RecordsEnv {
            store: env.store.behind(&RETRY).behind(&Observer::new()),
            ..env
        }
    }
}

mod cases {
    use super::{Layered, conformance};

    conformance!(coordination: Layered, (start_paused = true));
    conformance!(records: Layered, (start_paused = true));
}

#[tokio::test(start_paused = true)]
async fn an_observer_counts_calls_and_errors_by_method() {
    let observer = Observer::new();
    let env = <Memory as CoordinationBackend>::fresh().await;
    let env = CoordinationEnv {
        store: env.store.behind(&observer),
        ..env
    };
    jobs::absent_put_wins_once(&env).await;
    let figures = observer.figures();
    let ops: Vec<_> = figures.iter().map(|figures| figures.op).collect();
    assert_eq!(ops, [Op::JobsGet, Op::JobsPut]);
    let puts = figures[1];
    assert_eq!((puts.begun, puts.ended, puts.failed), (32, 32, 31));
    assert_eq!((figures[0].begun, figures[0].failed), (1, 0));
}
