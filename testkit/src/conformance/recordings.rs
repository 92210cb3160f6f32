//! Cases on recordings: they come back in order, once, and only so many of them.

use bytes::Bytes;
use sandclock_core::ErrorKind;
use sandclock_core::backend::Recording;
use sandclock_core::backend::recordings::{MAX_RECORDING_BYTES, RECORDINGS_KEPT};
use sandclock_core::run::{RunId, RunState};

use super::RecordsEnv;
use super::run_log::{done, finish};
use super::scene::at;

fn recording(plugin: &str, run: &RunId, number: u32) -> Recording {
    Recording {
        id: format!("{run}-{plugin}-{number}"),
        plugin: plugin.to_owned(),
        run: run.clone(),
        body: Bytes::from(format!("{{\"number\":{number}}}")),
    }
}

/// The run of this number.
fn run(number: i64) -> RunId {
    done("recorded", number, RunState::Succeeded).run()
}

async fn keep(env: &RecordsEnv, recordings: &[Recording]) {
    env.recordings.keep(recordings).await.expect("keep");
}

async fn of_run(env: &RecordsEnv, run: &RunId) -> Vec<Recording> {
    env.recordings.of_run(run).await.expect("of run")
}

async fn latest(env: &RecordsEnv, plugin: &str, limit: u32) -> Vec<Recording> {
    let latest = env.recordings.latest(plugin, limit).await;
    latest.expect("latest")
}

/// Of a run in the order in which they were kept, of a plugin the last one first.
pub async fn recordings_come_back_in_order(env: &RecordsEnv) {
    assert_eq!(latest(env, "a", 10).await, []);
    assert_eq!(of_run(env, &run(0)).await, []);
    let first = recording("a", &run(0), 1);
    let mut second = recording("b", &run(0), 2);
    second.body = Bytes::from_iter((0..MAX_RECORDING_BYTES).map(|byte| byte.to_le_bytes()[0]));
    let third = recording("a", &run(1), 3);
    keep(env, &[first.clone(), second.clone()]).await;
    keep(env, std::slice::from_ref(&third)).await;
    assert_eq!(of_run(env, &run(0)).await, [first.clone(), second.clone()]);
    assert_eq!(of_run(env, &run(1)).await, std::slice::from_ref(&third));
    assert_eq!(latest(env, "a", 10).await, [third.clone(), first]);
    assert_eq!(latest(env, "a", 1).await, [third]);
    assert_eq!(latest(env, "b", 10).await, [second]);
    assert_eq!(latest(env, "a", 0).await, []);
}

/// Whoever records a call again changes nothing.
pub async fn a_recording_is_kept_once(env: &RecordsEnv) {
    let first = recording("a", &run(0), 1);
    let mut again = first.clone();
    again.body = Bytes::from_static(b"{}");
    keep(env, &[first.clone(), again.clone()]).await;
    keep(env, &[again]).await;
    assert_eq!(latest(env, "a", 10).await, [first]);
}

/// Of a plugin only the last ones are kept, whatever others have.
pub async fn the_oldest_of_a_plugin_go(env: &RecordsEnv) {
    let rare = recording("rare", &run(0), 0);
    keep(env, std::slice::from_ref(&rare)).await;
    let busy: Vec<_> = (0..RECORDINGS_KEPT + 5)
        .map(|number| recording("busy", &run(0), number))
        .collect();
    for some in busy.chunks(100) {
        keep(env, some).await;
    }
    let mut kept = latest(env, "busy", RECORDINGS_KEPT * 2).await;
    kept.reverse();
    assert_eq!(kept.len(), RECORDINGS_KEPT as usize);
    assert!(kept[..] == busy[5..], "the last ones are there");
    assert_eq!(latest(env, "rare", 10).await, [rare]);
}

/// What is too large is refused, with all that comes with it.
pub async fn a_large_recording_is_refused(env: &RecordsEnv) {
    let small = recording("a", &run(0), 1);
    let mut large = recording("a", &run(0), 2);
    large.body = Bytes::from(vec![0; MAX_RECORDING_BYTES + 1]);
    let unnamed = recording("a/b", &run(0), 3);
    for (refused, named) in [(large, "65536"), (unnamed, "a/b")] {
        let error = env.recordings.keep(&[small.clone(), refused]).await;
        let error = error.expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(named), "{error}");
    }
    assert_eq!(of_run(env, &run(0)).await, []);
}

/// A recording is part of what is known of its run.
pub async fn recordings_go_with_their_run(env: &RecordsEnv) {
    let old = done("recorded", 0, RunState::Succeeded);
    let young = done("recorded", 100, RunState::Succeeded);
    for (number, done) in [&old, &young].into_iter().enumerate() {
        finish(env, done).await;
        let number = u32::try_from(number).expect("small");
        keep(env, &[recording("a", &done.run(), number)]).await;
    }
    assert_eq!(env.runs.prune(at(105), 10).await.expect("prune"), 1);
    assert_eq!(of_run(env, &old.run()).await, []);
    assert_eq!(of_run(env, &young.run()).await.len(), 1);
}
