//! Cases on the run log: fenced beginnings, one end, bounded output, stable lists.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use sandclock_core::backend::{
    DoneRecord, Fence, LogPage, OutputChunk, Page, PageToken, RunFilter, RunHeader, RunRecord,
    Span, Version,
};
use sandclock_core::job::JobName;
use sandclock_core::policy::Streak;
use sandclock_core::ports::{Channel, Redacted};
use sandclock_core::run::{HookNote, Outcome, OutputSummary, RunId, RunKey, RunState};
use sandclock_core::{ErrorKind, Timestamp};

use super::RecordsEnv;
use super::scene::{at, ended, name, tick};

fn fence(n: u64) -> Fence {
    Fence::at(Version(n))
}

fn header(job: &str, seconds: i64) -> RunHeader {
    let job = name(job);
    let key = tick(seconds);
    RunHeader {
        id: RunId::of(&job, &key),
        job,
        key,
        state: RunState::Running,
        attempt: 1,
        worker: "worker-1".to_owned(),
        started_at: at(seconds),
        next_attempt_at: None,
        cause: String::new(),
    }
}

fn done(job: &str, seconds: i64, state: RunState) -> DoneRecord {
    DoneRecord {
        job: name(job),
        key: tick(seconds),
        span: None,
        outcome: Outcome {
            started_at: Some(at(seconds)),
            ended_at: at(seconds + 5),
            ..ended(state)
        },
        attempts: 1,
        fence: 1,
        worker: "worker-1".to_owned(),
        streak_before: Streak::default(),
        streak: Streak::default(),
        pinned: None,
    }
}

async fn begin(env: &RecordsEnv, header: &RunHeader, n: u64) {
    env.sink.begin(header, fence(n)).await.expect("begin");
}

async fn finish(env: &RecordsEnv, done: &DoneRecord) {
    env.sink.finish(done).await.expect("finish");
}

async fn get(env: &RecordsEnv, id: &RunId) -> RunRecord {
    let run = env.runs.get(id).await.expect("get");
    run.expect("the run is recorded")
}

async fn list(env: &RecordsEnv, filter: &RunFilter) -> Vec<RunRecord> {
    let page = env.runs.list(filter, None, 1000).await.expect("list");
    assert_eq!(page.next, None);
    page.items
}

/// Beginning twice with one fence is beginning once; a greater fence takes the run over.
pub async fn a_begin_can_be_repeated(env: &RecordsEnv) {
    let first = header("reports", 60);
    begin(env, &first, 5).await;
    begin(env, &first, 5).await;
    let run = get(env, &first.id).await;
    assert_eq!((run.state, run.attempt), (RunState::Running, 1));
    assert_eq!((run.started_at, run.ended_at), (Some(at(60)), None));
    let second = RunHeader {
        attempt: 2,
        worker: "worker-2".to_owned(),
        started_at: at(90),
        ..first
    };
    begin(env, &second, 9).await;
    let run = get(env, &second.id).await;
    assert_eq!((run.attempt, run.worker.as_str()), (2, "worker-2"));
    assert_eq!(run.started_at, Some(at(90)));
    assert_eq!(list(env, &RunFilter::default()).await.len(), 1);
}

/// S3: whoever comes with a lower fence than the stored one changes nothing.
pub async fn a_lower_fence_is_refused(env: &RecordsEnv) {
    let current = header("reports", 60);
    begin(env, &current, 9).await;
    let before = get(env, &current.id).await;
    let late = RunHeader {
        worker: "worker-2".to_owned(),
        ..current.clone()
    };
    let refused = env.sink.begin(&late, fence(8)).await;
    assert_eq!(refused.expect_err("fenced").kind, ErrorKind::Fenced);
    assert_eq!(get(env, &current.id).await, before);
}

/// S8: no attempt begins in the log once the run has its end, whatever the fence.
pub async fn nothing_begins_after_the_end(env: &RecordsEnv) {
    finish(env, &done("reports", 60, RunState::Lost)).await;
    let late = header("reports", 60);
    let refused = env.sink.begin(&late, fence(1000)).await;
    assert_eq!(refused.expect_err("fenced").kind, ErrorKind::Fenced);
    assert_eq!(get(env, &late.id).await.state, RunState::Lost);
}

/// Between attempts a run is queued and says until when.
pub async fn a_run_goes_back_to_waiting(env: &RecordsEnv) {
    let running = header("reports", 60);
    begin(env, &running, 5).await;
    let queued = RunHeader {
        state: RunState::Queued,
        next_attempt_at: Some(at(90)),
        cause: "exit code 1; attempt 2 follows".to_owned(),
        ..running
    };
    begin(env, &queued, 5).await;
    let run = get(env, &queued.id).await;
    assert_eq!(
        (run.state, run.next_attempt_at),
        (RunState::Queued, Some(at(90)))
    );
    assert_eq!(run.cause, queued.cause);
    finish(env, &done("reports", 60, RunState::Failed)).await;
    let run = get(env, &queued.id).await;
    assert_eq!((run.state, run.next_attempt_at), (RunState::Failed, None));
}

/// S8: the first end stays; a repeat and a different end change nothing.
pub async fn a_run_is_finished_once(env: &RecordsEnv) {
    let running = header("reports", 60);
    begin(env, &running, 1).await;
    let first = done("reports", 60, RunState::Succeeded);
    finish(env, &first).await;
    let recorded = get(env, &running.id).await;
    assert_eq!(recorded.state, RunState::Succeeded);
    finish(env, &first).await;
    let different = DoneRecord {
        fence: 1000,
        ..done("reports", 60, RunState::Lost)
    };
    finish(env, &different).await;
    assert_eq!(get(env, &running.id).await, recorded);
    assert_eq!(list(env, &RunFilter::default()).await, [recorded]);
}

/// A skipped tick and a range of missed ones are recorded without ever having begun.
pub async fn a_run_that_never_began_is_recorded(env: &RecordsEnv) {
    let span = Span {
        first: at(60),
        last: at(180),
        count: 3,
    };
    let range = DoneRecord {
        span: Some(span),
        attempts: 0,
        fence: 0,
        outcome: ended(RunState::Missed),
        ..done("reports", 180, RunState::Missed)
    };
    finish(env, &range).await;
    let run = get(env, &range.run()).await;
    assert_eq!(
        (run.state, run.span, run.attempt),
        (RunState::Missed, Some(span), 0)
    );
    assert_eq!((run.started_at, run.ended_at), (None, Some(at(1))));
    let absent = RunId::of(&name("reports"), &tick(60));
    assert_eq!(env.runs.get(&absent).await.expect("get"), None);
}

/// Everything that the store's decision says is in the log.
pub async fn a_record_comes_back_as_it_was(env: &RecordsEnv) {
    let outcome = Outcome {
        state: RunState::Killed,
        cause: "by ann: \"zu spät\"\n\u{1F552}".to_owned(),
        started_at: Some(at(61)),
        ended_at: at(66),
        exit_code: Some(-1),
        signal: Some(9),
        output: OutputSummary {
            bytes: 5_000_000_000,
            cut: 4_999_000_000,
        },
        notes: vec![
            HookNote {
                plugin: "timeout-ladder".to_owned(),
                hook: "timeout-policy".to_owned(),
                decision: "5 s".to_owned(),
                failed: false,
                took: Duration::from_micros(180),
            },
            HookNote {
                plugin: "redact-secrets".to_owned(),
                hook: "output-redaction".to_owned(),
                decision: "trapped; 12 bytes withheld".to_owned(),
                failed: true,
                took: Duration::from_millis(1_000),
            },
        ],
    };
    let record = DoneRecord {
        job: JobName::existing("ä/odd name"),
        key: RunKey::Request("by-hand_1".to_owned()),
        outcome: outcome.clone(),
        attempts: 3,
        fence: 77,
        worker: "worker-3".to_owned(),
        ..done("reports", 0, RunState::Killed)
    };
    finish(env, &record).await;
    let want = RunRecord {
        id: record.run(),
        job: record.job.clone(),
        key: record.key.clone(),
        span: None,
        state: outcome.state,
        cause: outcome.cause,
        attempt: 3,
        worker: "worker-3".to_owned(),
        started_at: outcome.started_at,
        ended_at: Some(outcome.ended_at),
        next_attempt_at: None,
        exit_code: outcome.exit_code,
        signal: outcome.signal,
        output: outcome.output,
        notes: outcome.notes,
    };
    assert_eq!(get(env, &record.run()).await, want);
    assert_eq!(list(env, &RunFilter::default()).await, [want]);
}

fn chunk(seq: u64, text: &'static str) -> OutputChunk {
    OutputChunk {
        seq,
        channel: Channel::Combined,
        offset: seq * 10,
        bytes: Redacted::vouch(Bytes::from_static(text.as_bytes())),
    }
}

async fn read(env: &RecordsEnv, run: &RunId, after: Option<(u32, u64)>, max: u32) -> LogPage {
    env.runs.read_log(run, after, max).await.expect("read")
}

async fn append(
    env: &RecordsEnv,
    run: &RunId,
    attempt: u32,
    chunks: &[OutputChunk],
    cut: Option<(u64, u64)>,
) {
    let appended = env.sink.append(run, attempt, chunks, cut).await;
    appended.expect("append");
}

/// A chunk that was stored stays as it was, whatever comes under its number again.
pub async fn a_repeated_chunk_is_ignored(env: &RecordsEnv) {
    let header = header("reports", 60);
    begin(env, &header, 1).await;
    let run = &header.id;
    let stderr = OutputChunk {
        channel: Channel::Stderr,
        ..chunk(1, "two")
    };
    append(env, run, 1, &[chunk(0, "one"), stderr.clone()], None).await;
    append(env, run, 1, &[chunk(1, "TWO"), chunk(2, "three")], None).await;
    append(env, run, 2, &[chunk(0, "again")], None).await;
    let page = read(env, run, None, 1 << 20).await;
    let want = [
        (1, chunk(0, "one")),
        (1, stderr),
        (1, chunk(2, "three")),
        (2, chunk(0, "again")),
    ];
    assert_eq!(page.chunks, want);
    assert_eq!(page.next, None);
}

/// What lies between head and tail of one attempt can be cut, so that output has a bound.
pub async fn the_middle_of_an_output_can_be_cut(env: &RecordsEnv) {
    let header = header("reports", 60);
    begin(env, &header, 1).await;
    let run = &header.id;
    let first: Vec<_> = (0..6).map(|seq| chunk(seq, "x")).collect();
    append(env, run, 1, &first, None).await;
    append(env, run, 2, &first, None).await;
    append(env, run, 1, &[chunk(6, "x")], Some((2, 5))).await;
    append(env, run, 1, &[chunk(7, "x")], Some((2, 7))).await;
    let page = read(env, run, None, 1 << 20).await;
    let places: Vec<_> = page
        .chunks
        .iter()
        .map(|(n, chunk)| (*n, chunk.seq))
        .collect();
    let whole = (0..6).map(|seq| (2, seq));
    let want: Vec<_> = [(1, 0), (1, 1), (1, 7)].into_iter().chain(whole).collect();
    assert_eq!(places, want);
}

/// Output is read in pages that hold at least one chunk, from any place on.
pub async fn an_output_is_read_in_pages(env: &RecordsEnv) {
    let header = header("reports", 60);
    begin(env, &header, 1).await;
    let run = &header.id;
    let empty = read(env, run, None, 10).await;
    assert!(empty.chunks.is_empty() && empty.next.is_none());
    let chunks = [
        chunk(0, "aaaa"),
        chunk(1, "bbbb"),
        chunk(2, "cccccccccccccccc"),
    ];
    append(env, run, 1, &chunks, None).await;
    append(env, run, 2, &[chunk(0, "dd")], None).await;
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = read(env, run, after, 9).await;
        let seqs: Vec<_> = page
            .chunks
            .iter()
            .map(|(n, chunk)| (*n, chunk.seq))
            .collect();
        pages.push(seqs);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec![(1, 0), (1, 1)], vec![(1, 2)], vec![(2, 0)]]);
    let end = read(env, run, Some((2, 0)), 9).await;
    assert!(end.chunks.is_empty() && end.next.is_none());
    append(env, run, 2, &[chunk(1, "ee")], None).await;
    let tail = read(env, run, Some((2, 0)), 9).await;
    assert_eq!(tail.chunks, [(2, chunk(1, "ee"))], "a tail goes on");
}

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
    let cases: [(RunFilter, &[(&str, i64)]); 6] = [
        (all, &[("a", 100), ("a", 200), ("a", 300), ("b", 200)]),
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
