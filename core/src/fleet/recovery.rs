//! A job succeeds again: those who were told that it fails are told that too.
//!
//! Whoever copies the end of the run puts a notice for each target that had an alert of the failures before. Whether
//! a target wants one is in the configuration of whoever delivers, which drops the others.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::follow::in_time;
use super::state::Shared;
use crate::Timestamp;
use crate::backend::{Alert, AlertKind, AlertState, DoneRecord, Result, RunFilter, RunRecord};
use crate::ports::AlertDraft;
use crate::run::RunState;

/// The name that notices carry where others name their plugin.
const BUILT_IN: &str = "recovery";

/// How many alerts of the failures are looked at.
const ALERTS: u32 = 1_000;

/// How many failed runs are looked at for the first one.
const RUNS: u32 = 500;

/// The notices of a run that has succeeded after others had not. Targets that are `told` of it by an alert of its own
/// get none.
pub(super) async fn notices(
    shared: &Shared,
    done: &DoneRecord,
    told: &[String],
) -> Result<Vec<Alert>> {
    let failures = done.streak_before.failures;
    if done.outcome.state != RunState::Succeeded || failures == 0 {
        return Ok(Vec::new());
    }
    let any = alerts(shared, done, None, 1).await?;
    if any.is_empty() {
        return Ok(Vec::new());
    }
    let since = last_success(shared, done).await?;
    // What went elsewhere told nobody where it was meant for.
    let has_told =
        |alert: &Alert| alert.state != AlertState::Moved && alert.kind != AlertKind::Recovery;
    let alerted = alerts(shared, done, since, ALERTS).await?;
    let targets: BTreeSet<String> = alerted
        .into_iter()
        .filter(has_told)
        .map(|alert| alert.draft.target)
        .filter(|target| !told.contains(target))
        .collect();
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let first = first_failure(shared, done, since).await?;
    let body = Bytes::from(body(done, first));
    let notice = |target| notice(shared, done, target, body.clone());
    Ok(targets.into_iter().map(notice).collect())
}

/// The job's alerts since then, the newest of them.
async fn alerts(
    shared: &Shared,
    done: &DoneRecord,
    since: Option<Timestamp>,
    limit: u32,
) -> Result<Vec<Alert>> {
    let outbox = &shared.records.outbox;
    let of_job = outbox.of_job(&done.job, since.unwrap_or_default(), limit);
    in_time(shared, "outbox.of_job", of_job).await
}

/// When the job succeeded last before this run.
async fn last_success(shared: &Shared, done: &DoneRecord) -> Result<Option<Timestamp>> {
    let (states, this) = (vec![RunState::Succeeded], done.run());
    let runs = runs(shared, done, states, None, 2).await?;
    let before = runs.into_iter().find(|run| run.id != this);
    Ok(before.and_then(|run| run.ended_at))
}

/// When the first of the failures since then ended; nothing if there are too many to look at.
async fn first_failure(
    shared: &Shared,
    done: &DoneRecord,
    since: Option<Timestamp>,
) -> Result<Option<Timestamp>> {
    let failures = done.streak_before.failures;
    if failures > RUNS {
        return Ok(None);
    }
    let states = [
        RunState::Failed,
        RunState::TimedOut,
        RunState::Lost,
        RunState::Missed,
    ];
    let runs = runs(shared, done, states.into(), since, failures).await?;
    Ok(runs.last().and_then(|run| run.ended_at))
}

async fn runs(
    shared: &Shared,
    done: &DoneRecord,
    states: Vec<RunState>,
    since: Option<Timestamp>,
    limit: u32,
) -> Result<Vec<RunRecord>> {
    let filter = RunFilter {
        job: Some(done.job.clone()),
        states,
        since,
        ..RunFilter::default()
    };
    let list = shared.records.runs.list(&filter, None, limit);
    Ok(in_time(shared, "runs.list", list).await?.items)
}

fn body(done: &DoneRecord, first: Option<Timestamp>) -> String {
    let failures = done.streak_before.failures;
    let times = if failures == 1 {
        "run"
    } else {
        "runs in a row"
    };
    let over = first.map(|first| {
        let time = span(done.outcome.ended_at.since(first));
        format!(" over {time}, the first at {first}")
    });
    format!(
        "job {job} succeeds again with run {run}, after {failures} {times} had not{over}\n",
        job = done.job,
        run = done.run(),
        over = over.unwrap_or_default(),
    )
}

/// A span for people, as exact as they need it.
fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

fn notice(shared: &Shared, done: &DoneRecord, target: String, body: Bytes) -> Alert {
    let draft = AlertDraft {
        plugin: BUILT_IN.to_owned(),
        index: 0,
        target,
        dedupe_key: None,
        content_type: "text/plain; charset=utf-8".to_owned(),
        headers: Vec::new(),
        body,
    };
    Alert::new(done.run(), done.job.clone(), draft, shared.now().wall).into_recovery()
}
