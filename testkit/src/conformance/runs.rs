//! Cases on the run log: fenced beginnings, one end, bounded output, stable lists.

use std::time::Duration;

use sandclock_core::ErrorKind;
use sandclock_core::backend::{DoneRecord, RunFilter, RunHeader, RunRecord, Span};
use sandclock_core::job::JobName;
use sandclock_core::run::{HookNote, Outcome, OutputSummary, RunId, RunKey, RunState};

use super::RecordsEnv;
use super::run_log::{begin, done, fence, finish, get, header, list};
use super::scene::{at, ended, name, tick};

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
                version: Some("1.2.0+ci".to_owned()),
                hook: "timeout-policy".to_owned(),
                decision: "5 s".to_owned(),
                failed: false,
                monitored: true,
                took: Duration::from_micros(180),
            },
            HookNote {
                plugin: "redact-secrets".to_owned(),
                version: None,
                hook: "output-redaction".to_owned(),
                decision: "trapped; 12 bytes withheld".to_owned(),
                failed: true,
                monitored: false,
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
