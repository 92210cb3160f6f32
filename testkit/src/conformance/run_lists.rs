//! Cases on reading the run log: lists, histories, and what is pruned.

use std::collections::BTreeSet;

use sandclock_core::backend::{DoneRecord, Page, PageToken, RunFilter, RunRecord};
use sandclock_core::run::RunState;
use sandclock_core::{ErrorKind, Timestamp};

use super::RecordsEnv;
use super::run_log::{append, begin, chunk, done, finish, header, list, read};
use super::scene::{at, name, tick};

/// A list read page by page holds every run that was there once, newest first, while others come.
pub async fn a_list_is_stable_while_runs_come(env: &RecordsEnv) {
    for i in 0..20 {
        begin(env, &header("reports", 60 + i), 1).await;
    }
    let filter = RunFilter::default();
    let mut seen: Vec<RunRecord> = Vec::new();
    let mut token: Option<PageToken> = None;
    let mut pages = 0;
    loop {
        let page: Page<_> = (env.runs.list(&filter, token.as_ref(), 6).await).expect("list");
        assert!(page.items.len() <= 6, "{} items", page.items.len());
        seen.extend(page.items);
        token = page.next;
        pages += 1;
        begin(env, &header("reports", 1000 + pages), 1).await;
        finish(env, &done("reports", 60 + pages, RunState::Succeeded)).await;
        if token.is_none() {
            break;
        }
    }
    let keys: Vec<_> = seen.iter().map(|run| run.key.clone()).collect();
    let want: Vec<_> = (0..20).rev().map(|i| tick(60 + i)).collect();
    assert_eq!(keys, want);
}

/// A list holds exactly the runs of its job, states and time.
pub async fn a_list_is_filtered(env: &RecordsEnv) {
    begin(env, &header("a", 100), 1).await;
    finish(env, &done("a", 200, RunState::Succeeded)).await;
    finish(env, &done("a", 300, RunState::Failed)).await;
    finish(env, &done("b", 200, RunState::Succeeded)).await;
    finish(env, &done("c/d", 400, RunState::Skipped)).await;
    finish(env, &done("cd", 400, RunState::Skipped)).await;
    let all = RunFilter::default();
    let of_a = RunFilter {
        job: Some(name("a")),
        ..all.clone()
    };
    let ended_well = RunFilter {
        states: vec![RunState::Succeeded, RunState::Running],
        ..all.clone()
    };
    let middle = RunFilter {
        since: Some(at(205)),
        until: Some(at(305)),
        ..all.clone()
    };
    let early = RunFilter {
        until: Some(at(205)),
        ..all.clone()
    };
    let failed_b = RunFilter {
        job: Some(name("b")),
        states: vec![RunState::Failed],
        ..all.clone()
    };
    let beginning = |prefixes: &[&str]| RunFilter {
        prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        ..all.clone()
    };
    let (with_c, with_a_or_c) = (beginning(&["c"]), beginning(&["a", "c/"]));
    let b_with_a = RunFilter {
        job: Some(name("b")),
        ..beginning(&["a"])
    };
    let cases: [(RunFilter, &[(&str, i64)]); 9] = [
        (with_c, &[("c/d", 400), ("cd", 400)]),
        (
            with_a_or_c,
            &[("a", 100), ("a", 200), ("a", 300), ("c/d", 400)],
        ),
        (b_with_a, &[]),
        (
            all,
            &[
                ("a", 100),
                ("a", 200),
                ("a", 300),
                ("b", 200),
                ("c/d", 400),
                ("cd", 400),
            ],
        ),
        (of_a, &[("a", 100), ("a", 200), ("a", 300)]),
        (ended_well, &[("a", 100), ("a", 200), ("b", 200)]),
        (middle, &[("a", 200), ("b", 200)]),
        (early, &[("a", 100)]),
        (failed_b, &[]),
    ];
    for (filter, want) in cases {
        let runs = list(env, &filter).await.into_iter();
        let found: BTreeSet<_> = runs.map(|run| (run.job, run.key)).collect();
        let want = want.iter().map(|(job, s)| (name(job), tick(*s)));
        assert_eq!(found, want.collect(), "{filter:?}");
    }
}

/// A page token that is not the store's own is refused.
pub async fn a_foreign_page_token_is_refused(env: &RecordsEnv) {
    let foreign = PageToken("not one of ours".to_owned());
    let filter = RunFilter::default();
    let refused = env.runs.list(&filter, Some(&foreign), 10).await;
    assert_eq!(refused.expect_err("foreign").kind, ErrorKind::InvalidConfig);
}

/// Prune deletes a bounded number of old ended runs with their output, and nothing else.
pub async fn prune_is_bounded_and_spares_what_runs(env: &RecordsEnv) {
    begin(env, &header("running", 0), 1).await;
    for i in 0..5 {
        let header = header("old", i);
        begin(env, &header, 1).await;
        append(env, &header.id, 1, &[chunk(0, "x")], None).await;
        finish(env, &done("old", i, RunState::Succeeded)).await;
    }
    finish(env, &done("young", 100, RunState::Succeeded)).await;
    let prune = |max| env.runs.prune(at(105), max);
    assert_eq!(prune(3).await.expect("prune"), 3);
    assert_eq!(prune(3).await.expect("prune"), 2);
    assert_eq!(prune(3).await.expect("prune"), 0);
    let left = list(env, &RunFilter::default()).await.into_iter();
    let left: BTreeSet<_> = left.map(|run| run.job).collect();
    assert_eq!(left, BTreeSet::from([name("running"), name("young")]));
    let pruned = header("old", 0).id;
    let page = read(env, &pruned, None, 100).await;
    assert!(page.chunks.is_empty(), "the output goes with its run");
}

/// A history is of the newest runs of the job that succeeded or failed, with durations of the successes.
pub async fn a_history_counts_what_ended_by_itself(env: &RecordsEnv) {
    let unknown = env.runs.history(&name("reports"), 100).await;
    let unknown = unknown.expect("history");
    assert!(unknown.known);
    assert_eq!((unknown.runs, unknown.p50_ms, unknown.max_ms), (0, 0, 0));
    let took = |seconds: i64, ms: i64, state| {
        let mut done = done("reports", seconds, state);
        done.outcome.ended_at = Timestamp::from_millis(at(seconds).as_millis() + ms);
        done
    };
    for i in 1..=100 {
        finish(env, &took(i * 60, i * 10, RunState::Succeeded)).await;
    }
    let history = env
        .runs
        .history(&name("reports"), 100)
        .await
        .expect("history");
    assert_eq!((history.runs, history.failures), (100, 0));
    let percentiles = (
        history.p50_ms,
        history.p95_ms,
        history.p99_ms,
        history.max_ms,
    );
    assert_eq!(percentiles, (500, 950, 990, 1000));
    finish(env, &took(6060, 99_999, RunState::Failed)).await;
    for (seconds, state) in [
        (6120, RunState::Killed),
        (6180, RunState::Skipped),
        (6240, RunState::TimedOut),
    ] {
        finish(env, &took(seconds, 77_777, state)).await;
    }
    finish(
        env,
        &DoneRecord {
            job: name("other"),
            ..took(6300, 5, RunState::Failed)
        },
    )
    .await;
    begin(env, &header("reports", 6360), 1).await;
    let history = env
        .runs
        .history(&name("reports"), 10)
        .await
        .expect("history");
    assert_eq!((history.runs, history.failures), (10, 1));
    assert_eq!((history.p50_ms, history.max_ms), (960, 1000));
}
