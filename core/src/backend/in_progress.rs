//! Runs in progress, as people see them: what the store knows of a run, over what the run log has.
//!
//! The run log learns of a run when its first attempt begins, and of its end when somebody has copied it.
//! Before, between and shortly after, only the store's records say where a run is: it waits, it is held, it
//! is over. A terminal record of the log is final and needs no second opinion (S8).

use std::collections::BTreeMap;

use super::{
    DoneRecord, FireView, OpenRecord, OpenState, RunRecord, Version, Versioned, WaitRecord,
};
use crate::job::JobName;
use crate::run::{OutputSummary, RunId, RunKey, RunState};
use crate::time::Timestamp;

/// The runs of which the store has a record.
#[derive(Debug, Default)]
pub struct InProgress {
    runs: BTreeMap<RunId, Versioned<Stored>>,
}

#[derive(Debug)]
enum Stored {
    Wait(WaitRecord),
    Open(Box<OpenRecord>),
    Done(Box<DoneRecord>),
}

impl InProgress {
    /// The runs of a snapshot.
    pub fn of(view: FireView) -> Self {
        let wait = view
            .wait
            .into_iter()
            .map(|seen| (seen.version, Stored::Wait(seen.value)));
        let open = view
            .open
            .into_iter()
            .map(|seen| (seen.version, Stored::Open(Box::new(seen.value))));
        let done = view
            .done
            .into_iter()
            .map(|seen| (seen.version, Stored::Done(Box::new(seen.value))));
        let runs = wait
            .chain(open)
            .chain(done)
            .map(|(version, value)| (value.run(), Versioned { version, value }));
        Self {
            runs: runs.collect(),
        }
    }

    /// The runs whose records are older than `before`, the newest record first.
    pub fn newest(&self, before: Version) -> Vec<(Version, RunId)> {
        let older = self
            .runs
            .iter()
            .map(|(run, seen)| (seen.version, run.clone()));
        let mut older: Vec<_> = older.filter(|(version, _)| *version < before).collect();
        older.sort_unstable_by(|a, b| b.cmp(a));
        older
    }

    /// The run as it is, given what the run log has of it. `None` if neither knows it.
    pub fn join(&self, run: &RunId, log: Option<RunRecord>) -> Option<RunRecord> {
        if log.as_ref().is_some_and(|log| log.state.is_terminal()) {
            return log;
        }
        match self.runs.get(run).map(|seen| &seen.value) {
            None => log,
            Some(Stored::Wait(wait)) => Some(waiting(wait)),
            Some(Stored::Open(open)) => Some(opened(open, log)),
            Some(Stored::Done(done)) => {
                Some(RunRecord::ended(done, log.and_then(|log| log.started_at)))
            }
        }
    }
}

impl Stored {
    fn run(&self) -> RunId {
        match self {
            Self::Wait(wait) => RunId::of(&wait.job, &wait.key),
            Self::Open(open) => open.run(),
            Self::Done(done) => done.run(),
        }
    }
}

/// A run of which nothing is known but that it is `state`.
fn bare(job: &JobName, key: &RunKey, state: RunState, cause: String) -> RunRecord {
    RunRecord {
        id: RunId::of(job, key),
        job: job.clone(),
        key: key.clone(),
        span: None,
        state,
        cause,
        attempt: 0,
        worker: String::new(),
        started_at: None,
        ended_at: None,
        next_attempt_at: None,
        exit_code: None,
        signal: None,
        output: OutputSummary::default(),
        notes: Vec::new(),
    }
}

fn waiting(wait: &WaitRecord) -> RunRecord {
    let cause = match &wait.key {
        RunKey::Request(_) => format!("{} asked for it, and it has not started yet", wait.cause),
        RunKey::Tick(_) => wait.cause.clone(),
    };
    bare(&wait.job, &wait.key, RunState::Queued, cause)
}

fn opened(open: &OpenRecord, log: Option<RunRecord>) -> RunRecord {
    match &open.state {
        OpenState::Claimed { worker, .. } => {
            let begun = |log: &RunRecord| {
                (log.state, log.attempt, &log.worker) == (RunState::Running, open.attempt, worker)
            };
            log.filter(begun).unwrap_or_else(|| RunRecord {
                attempt: open.attempt,
                worker: worker.clone(),
                ..bare(&open.job, &open.key, RunState::Running, open.cause.clone())
            })
        }
        OpenState::Waiting { not_before, .. } => {
            // The record counts the attempt that is to come.
            let before = open.attempt.saturating_sub(1);
            let cause = if log.is_some() || before > 0 {
                "it waits for its next attempt"
            } else {
                "it waits for a worker"
            };
            let bare = bare(&open.job, &open.key, RunState::Queued, cause.to_owned());
            let (attempt, worker, started_at) = log.map_or((before, String::new(), None), |log| {
                (log.attempt, log.worker, log.started_at)
            });
            RunRecord {
                attempt,
                worker,
                started_at,
                // What was handed back may start at once.
                next_attempt_at: Some(*not_before).filter(|at| *at > Timestamp::default()),
                ..bare
            }
        }
    }
}
