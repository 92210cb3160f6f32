//! From done records to the run log, the after-run hooks and the alert outbox.
//!
//! The store has decided; this is a copy that anybody may make, any number of times (S8). The worker that
//! recorded the end goes first, because it has the end of the output; others step in after 5 s, or at
//! once if no worker of that name lives. Order: run log, hooks, outbox, and only then the record is
//! cleaned. So a crash in between repeats steps that are idempotent and loses none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, FuturesUnordered, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

use super::follow::{in_time, within};
use super::outage::came_to_nothing;
use super::recovery;
use super::state::{Phase, Shared};
use crate::backend::{Alert, DoneRecord, RecordSeen, Result, Versioned};
use crate::job::JobName;
use crate::ports::AlertDraft;
use crate::run::RunKey;

/// How long the worker that recorded an end is left to copy it.
const OWNER_FIRST: Duration = Duration::from_secs(5);
/// The longest sleep.
const POLL: Duration = Duration::from_secs(1);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// The most records cleaned in one request.
const BATCH: usize = 64;
/// How long what is to be cleaned may wait for company: others copy what has not gone after [`OWNER_FIRST`].
const COMPANY: Duration = Duration::from_secs(3);
/// How many records are copied at the same time.
const AT_ONCE: usize = 8;
/// How long an interrupted copy may hold a request.
const HOOK_CALLS: Duration = Duration::from_secs(30);

/// Copies for ever, and cleans what is copied.
pub(super) async fn copy(shared: &Arc<Shared>) {
    let (tell, copied) = unbounded_channel();
    // A store may let cleaning wait for company; no copy waits with it.
    tokio::join!(copy_all(shared, &tell), clean_all(shared, copied));
}

async fn copy_all(shared: &Arc<Shared>, tell: &UnboundedSender<RecordSeen>) {
    let mut pause = POLL;
    let mut copied = Copied::new();
    loop {
        let due = due(shared, &mut copied);
        let count = due.len();
        let some = copy_batch(shared, due).await;
        let failed = some.len() < count;
        for record in some {
            shared.counters.records_copied.add(1);
            let done = &record.value;
            let ticks = done.span.as_ref().map_or(1, |span| span.count);
            shared.over.add(done.outcome.state, ticks);
            shared.update(|state| state.tails.remove(&record.value.run()));
            let seen = seen(&record);
            copied.insert((seen.job.clone(), seen.key.clone()));
            let _ = tell.send(seen);
        }
        if failed {
            shared.counters.copy_failures.add(1);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            continue;
        }
        pause = POLL;
        tokio::select! {
            biased;
            () = shared.copy.notified() => {}
            () = sleep(POLL) => {}
        }
    }
}

/// What is copied and, as far as this worker sees, not yet cleaned.
type Copied = BTreeSet<(JobName, RunKey)>;

/// The done records that are this worker's to copy now, at most a batch.
fn due(shared: &Shared, copied: &mut Copied) -> Vec<Arc<Versioned<DoneRecord>>> {
    let now = Instant::now();
    shared.update(|state| {
        copied.retain(|id| state.view.done.contains_key(id));
        let is_due = |record: &DoneRecord, since: Instant| {
            record.worker == shared.config.name
                || now.saturating_duration_since(since) >= OWNER_FIRST
                || !state.peers.has_worker(&record.worker)
        };
        state
            .view
            .done
            .iter()
            .filter(|(id, _)| !copied.contains(*id))
            .filter(|(_, seen)| is_due(&seen.record.value, seen.since))
            .map(|(_, seen)| Arc::clone(&seen.record))
            .take(BATCH)
            .collect()
    })
}

/// Copies the records; those that succeeded.
async fn copy_batch(
    shared: &Arc<Shared>,
    due: Vec<Arc<Versioned<DoneRecord>>>,
) -> Vec<Arc<Versioned<DoneRecord>>> {
    stream::iter(due)
        .map(|record| async move {
            match copy_one(shared, &record.value).await {
                Ok(()) => Some(record),
                Err(error) => {
                    came_to_nothing(&error, "cannot copy a run's end", &record.value.run());
                    None
                }
            }
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await
}

/// Cleans what comes, for ever. What comes while others are being cleaned does not wait for them.
async fn clean_all(shared: &Arc<Shared>, mut copied: UnboundedReceiver<RecordSeen>) {
    let mut cleaning = FuturesUnordered::new();
    loop {
        let mut some = Vec::new();
        tokio::select! {
            biased;
            _ = copied.recv_many(&mut some, BATCH) => cleaning.push(Box::pin(clean(shared, some))),
            Some(()) = cleaning.next(), if !cleaning.is_empty() => {}
        }
    }
}

/// Cleans these, again until it works.
async fn clean(shared: &Arc<Shared>, some: Vec<RecordSeen>) {
    let mut pause = POLL;
    loop {
        let mut phases = shared.phase.listen();
        let patience = match phases.get() {
            Phase::Working => COMPANY,
            _ => Duration::ZERO,
        };
        let clean = shared.coordination.feed.clean(&some, patience);
        let limit = shared.config.call_timeout + patience;
        let cleaned = tokio::select! {
            biased;
            // Whoever drains waits for nobody.
            () = phases.changed() => continue,
            cleaned = within(limit, "feed.clean", clean) => cleaned,
        };
        let Err(error) = cleaned else { return };
        tracing::warn!(%error, "cannot clean what is copied");
        shared.counters.copy_failures.add(1);
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn seen(record: &Versioned<DoneRecord>) -> RecordSeen {
    RecordSeen {
        job: record.value.job.clone(),
        key: record.value.key.clone(),
        version: record.version,
    }
}

async fn copy_one(shared: &Shared, done: &DoneRecord) -> Result<()> {
    in_time(shared, "runs.finish", shared.records.sink.finish(done)).await?;
    let tail = shared
        .state()
        .tails
        .get(&done.run())
        .cloned()
        .unwrap_or_default();
    // Hooks always come to a verdict; the bound is for an implementation that does not.
    let drafts = match timeout(HOOK_CALLS, shared.hooks.after_run(done, &tail)).await {
        Ok(drafts) => drafts,
        Err(_) => {
            tracing::error!(run = %done.run(), "the hooks after the run did not come to an end");
            Vec::new()
        }
    };
    let mut alerts: Vec<Alert> = drafts
        .into_iter()
        .map(|draft| alert(shared, done, draft))
        .collect();
    let told: Vec<_> = alerts
        .iter()
        .map(|alert| alert.draft.target.clone())
        .collect();
    alerts.extend(recovery::notices(shared, done, &told).await?);
    if alerts.is_empty() {
        return Ok(());
    }
    in_time(shared, "outbox.put", shared.records.outbox.put(&alerts)).await?;
    shared.counters.alerts_put.add(alerts.len() as u64);
    Ok(())
}

fn alert(shared: &Shared, done: &DoneRecord, draft: AlertDraft) -> Alert {
    let streak = done.streak_before.after(done.outcome.state);
    Alert {
        failures: streak.failures,
        ..Alert::new(done.run(), done.job.clone(), draft, shared.now().wall)
    }
}

/// Lets the run log forget what is older than the retention, an hour apart, by one worker at a time.
pub(super) async fn prune(shared: &Arc<Shared>) {
    const EVERY: Duration = Duration::from_secs(3600);
    const AT_MOST: u32 = 500;
    // Any name will do, as long as every worker ranks by the same.
    let (job, key) = (
        JobName::existing("retention"),
        RunKey::Tick(crate::Timestamp::default()),
    );
    loop {
        sleep(EVERY).await;
        let grace = shared.state().peers.grace(&job, &key);
        if !grace.is_zero() {
            continue;
        }
        let Some(retention) = shared.limits().retention else {
            continue;
        };
        let before = shared.now().wall.minus(retention);
        loop {
            let prune = shared.records.runs.prune(before, AT_MOST);
            match in_time(shared, "runs.prune", prune).await {
                Ok(pruned) if pruned >= AT_MOST => tokio::task::yield_now().await,
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "cannot prune the run log");
                    break;
                }
            }
        }
    }
}
