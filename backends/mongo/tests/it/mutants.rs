//! Each promise of the store with its guard taken out: the test of the promise must find it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use sandclock_backend_mongo::{Mutant, connect_with_mutant};
use sandclock_core::backend::Records;
use sandclock_testkit::conformance::{RecordsEnv, kv, outbox, output, plugins, runs};

use crate::fresh::Own;
use crate::{foreign, large, wire};

async fn defective(own: &Own, mutant: Mutant) -> Records {
    connect_with_mutant(&own.config, mutant)
        .await
        .expect("connect")
}

async fn env(mutant: Mutant) -> RecordsEnv {
    let own = Own::new();
    RecordsEnv {
        store: defective(&own, mutant).await,
        keep: Arc::new(own),
    }
}

async fn is_caught(mutant: Mutant, test: impl Future<Output = ()>) {
    let outcome = AssertUnwindSafe(test).catch_unwind().await;
    assert!(outcome.is_err(), "{mutant:?} was not caught");
}

#[tokio::test]
async fn a_fence_that_is_ignored_is_caught() {
    let mutant = Mutant::FenceIgnored;
    let env = env(mutant).await;
    is_caught(mutant, runs::a_lower_fence_is_refused(&env)).await;
}

#[tokio::test]
async fn an_end_that_is_overwritten_is_caught() {
    let mutant = Mutant::EndOverwritten;
    let second = env(mutant).await;
    is_caught(mutant, runs::a_run_is_finished_once(&second)).await;
    let late = env(mutant).await;
    is_caught(mutant, runs::nothing_begins_after_the_end(&late)).await;
}

#[tokio::test]
async fn a_strict_reader_is_caught() {
    let mutant = Mutant::StrictReader;
    let own = Own::new();
    let store = defective(&own, mutant).await;
    is_caught(mutant, foreign::what_is_broken_hides_nothing(&own, &store)).await;
}

#[tokio::test]
async fn a_middle_that_stays_is_caught() {
    let mutant = Mutant::MiddleKept;
    let env = env(mutant).await;
    is_caught(mutant, output::the_middle_of_an_output_can_be_cut(&env)).await;
}

#[tokio::test]
async fn a_claim_without_a_lease_is_caught() {
    let mutant = Mutant::NoLease;
    let env = env(mutant).await;
    is_caught(
        mutant,
        outbox::a_claim_excludes_others_until_it_runs_out(&env),
    )
    .await;
}

#[tokio::test]
async fn requests_without_a_bound_are_caught() {
    let mutant = Mutant::Unbounded;
    let own = Own::new();
    let store = defective(&own, mutant).await;
    is_caught(
        mutant,
        large::a_record_that_does_not_fit_fails_alone(&store),
    )
    .await;
}

#[tokio::test]
async fn late_output_that_is_hidden_is_caught() {
    let mutant = Mutant::LateOutputHidden;
    let own = Own::new();
    let store = defective(&own, mutant).await;
    is_caught(mutant, wire::late_output_is_shown(&own, &store)).await;
}

#[tokio::test]
async fn a_release_that_serves_blindly_is_caught() {
    let mutant = Mutant::ServedBlindly;
    let env = env(mutant).await;
    is_caught(mutant, plugins::one_of_many_serves(&env)).await;
}

#[tokio::test]
async fn a_module_that_nobody_verified_is_caught() {
    let mutant = Mutant::Unverified;
    let own = Own::new();
    let store = defective(&own, mutant).await;
    is_caught(
        mutant,
        crate::modules::a_changed_module_is_refused(&own, &store),
    )
    .await;
}

#[tokio::test]
async fn a_swap_that_looks_at_nothing_is_caught() {
    let mutant = Mutant::SwappedBlindly;
    let env = env(mutant).await;
    is_caught(mutant, kv::a_swap_needs_what_it_expects(&env)).await;
}

#[tokio::test]
async fn a_value_that_never_goes_is_caught() {
    let mutant = Mutant::NoExpiry;
    let env = env(mutant).await;
    is_caught(mutant, kv::a_value_goes_when_its_time_runs_out(&env)).await;
}
