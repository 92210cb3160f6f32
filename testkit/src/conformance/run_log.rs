//! What cases on the run log begin with: runs to record, and short ways to record and read them.

use bytes::Bytes;
use sandclock_core::backend::{
    DoneRecord, Fence, LogPage, OutputChunk, RunFilter, RunHeader, RunRecord, Version,
};
use sandclock_core::policy::Streak;
use sandclock_core::ports::{Channel, Redacted};
use sandclock_core::run::{Outcome, RunId, RunState};

use super::RecordsEnv;
use super::scene::{at, ended, name, tick};

pub(super) fn fence(n: u64) -> Fence {
    Fence::at(Version(n))
}

pub(super) fn header(job: &str, seconds: i64) -> RunHeader {
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

pub(super) fn done(job: &str, seconds: i64, state: RunState) -> DoneRecord {
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

pub(super) async fn begin(env: &RecordsEnv, header: &RunHeader, n: u64) {
    env.sink.begin(header, fence(n)).await.expect("begin");
}

pub(super) async fn finish(env: &RecordsEnv, done: &DoneRecord) {
    env.sink.finish(done).await.expect("finish");
}

pub(super) async fn get(env: &RecordsEnv, id: &RunId) -> RunRecord {
    let run = env.runs.get(id).await.expect("get");
    run.expect("the run is recorded")
}

pub(super) async fn list(env: &RecordsEnv, filter: &RunFilter) -> Vec<RunRecord> {
    let page = env.runs.list(filter, None, 1000).await.expect("list");
    assert_eq!(page.next, None);
    page.items
}

pub(super) fn chunk(seq: u64, text: &'static str) -> OutputChunk {
    OutputChunk {
        seq,
        channel: Channel::Combined,
        offset: seq * 10,
        bytes: Redacted::vouch(Bytes::from_static(text.as_bytes())),
    }
}

pub(super) async fn read(
    env: &RecordsEnv,
    run: &RunId,
    after: Option<(u32, u64)>,
    max: u32,
) -> LogPage {
    env.runs.read_log(run, after, max).await.expect("read")
}

pub(super) async fn append(
    env: &RecordsEnv,
    run: &RunId,
    attempt: u32,
    chunks: &[OutputChunk],
    cut: Option<(u64, u64)>,
) {
    let appended = env.sink.append(run, attempt, chunks, cut).await;
    appended.expect("append");
}
