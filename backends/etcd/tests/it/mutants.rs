//! Every guard is missed by some case of the conformance suite when it is taken out.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sandclock_backend_etcd::Guard;
use sandclock_testkit::conformance::{COORDINATION, CoordinationBackend, CoordinationEnv};

use crate::fresh::{Fresh, without};

/// The guard, and a case that fails without it.
const MISSED_BY: [(Guard, &str); 15] = [
    (Guard::Session, "decide::a_decide_needs_a_live_session"),
    (Guard::Mark, "decide::a_stale_mark_changes_nothing"),
    (Guard::Job, "decide::a_decide_needs_the_jobs_version"),
    (Guard::Record, "take::a_waiting_run_is_taken_once"),
    (Guard::Kill, "decide::a_kill_comes_with_the_claim"),
    (Guard::Owner, "settle::a_settle_needs_the_owner_gone"),
    (Guard::Request, "trigger::one_request_is_one_run"),
    (Guard::Free, "policy::forbid_skips_beside_every_open_record"),
    (Guard::NoneWaits, "policy::queue_lets_one_tick_wait"),
    (Guard::Saved, "jobs::absent_put_wins_once"),
    (Guard::Deleted, "jobs::delete_needs_what_it_names"),
    (Guard::Cleaned, "feed::done_stays_until_it_is_cleaned"),
    (Guard::FirstKill, "kills::a_second_kill_changes_nothing"),
    (Guard::Leader, "leadership::one_of_many_leads"),
    (Guard::Document, "docs::a_write_needs_what_it_replaces"),
];

async fn passes(case: &str, env: &CoordinationEnv) -> bool {
    let found = COORDINATION.iter().find(|listed| listed.name == case);
    let run = found.expect("a case of the suite").run;
    AssertUnwindSafe(run(env)).catch_unwind().await.is_ok()
}

#[tokio::test]
async fn every_guard_is_missed() {
    for (guard, case) in MISSED_BY {
        assert!(
            passes(case, &Fresh::fresh().await).await,
            "{case} fails by itself"
        );
        let missed = !passes(case, &without(guard).await).await;
        println!("without {guard:?}: {case} fails: {missed}");
        assert!(missed, "{case} does not miss {guard:?}");
    }
}
