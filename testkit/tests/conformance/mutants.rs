//! For every known defect of a store some case must fail; otherwise the suite proves nothing about it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sandclock_core::backend::memory::{MemoryStore, StoreMutant};
use sandclock_testkit::conformance::COORDINATION;
use sandclock_testkit::memory::coordination;

/// The cases that fail on a store with this defect.
async fn caught_by(mutant: StoreMutant) -> Vec<&'static str> {
    let mut caught = Vec::new();
    for case in COORDINATION {
        let env = coordination(&MemoryStore::with_mutant(mutant));
        if AssertUnwindSafe((case.run)(&env))
            .catch_unwind()
            .await
            .is_err()
        {
            caught.push(case.name);
        }
    }
    caught
}

#[tokio::test(start_paused = true)]
async fn every_defect_is_caught() {
    for mutant in StoreMutant::ALL {
        let caught = caught_by(mutant).await;
        println!("{mutant:?}: {caught:?}");
        assert!(!caught.is_empty(), "no case finds {mutant:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_case_fails_without_a_defect() {
    for case in COORDINATION {
        let env = coordination(&MemoryStore::new());
        (case.run)(&env).await;
    }
}
