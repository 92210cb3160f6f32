//! The run log: what ran, how it ended, and what it printed.
//!
//! Only the terminal record matters for correctness, and it is a copy of the store's decision, written
//! once (S8). Chunks are best effort and bounded.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use super::{DoneRecord, Fence, Result, Span};
use crate::access::covers;
use crate::job::JobName;
use crate::ports::{Channel, History, Redacted};
use crate::run::{HookNote, OutputSummary, RunId, RunKey, RunState};
use crate::time::Timestamp;

/// What the run log learns when an attempt begins or when a run goes back to waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHeader {
    /// The run.
    pub id: RunId,
    /// Its job.
    pub job: JobName,
    /// What it stands for.
    pub key: RunKey,
    /// `Running`, or `Queued` between attempts.
    pub state: RunState,
    /// From 1.
    pub attempt: u32,
    /// The worker that has it.
    pub worker: String,
    /// When the attempt began, by the worker's clock.
    pub started_at: Timestamp,
    /// When the next attempt may begin, of a queued run.
    pub next_attempt_at: Option<Timestamp>,
    /// Why it runs or waits.
    pub cause: String,
}

/// A piece of output, in the order of `seq` within its attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputChunk {
    /// From 0 in each attempt, without gaps as sent.
    pub seq: u64,
    /// The pipe.
    pub channel: Channel,
    /// Where the chunk begins in the attempt's redacted output, in bytes.
    pub offset: u64,
    /// The bytes.
    pub bytes: Redacted,
}

/// Writes of the run log.
#[async_trait]
pub trait RunSink: Debug + Send + Sync + 'static {
    /// Records that an attempt begins (or that the run waits again), creating the run's record or
    /// taking it over. Repeating it with the same fence is fine.
    ///
    /// # Errors
    /// `Fenced` if a record with a greater fence or a terminal one is there (S3).
    async fn begin(&self, header: &RunHeader, fence: Fence) -> Result<()>;

    /// Stores chunks, keyed by run, attempt and seq; a repeated seq is ignored. Chunks of the attempt
    /// between the head and `keep_tail_from` are deleted: `keep_tail_from = Some((head_end, tail_start))`
    /// deletes every chunk with `head_end <= seq < tail_start`.
    async fn append(
        &self,
        run: &RunId,
        attempt: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) -> Result<()>;

    /// Writes the terminal record, once. A second call changes nothing, whatever its fence. What the log
    /// has of the run so far need not be readable for it: the end replaces it.
    async fn finish(&self, done: &DoneRecord) -> Result<()>;
}

/// A run as the run log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// The run.
    pub id: RunId,
    /// Its job.
    pub job: JobName,
    /// What it stands for.
    pub key: RunKey,
    /// Set if the record stands for a range of ticks.
    pub span: Option<Span>,
    /// Where it is.
    pub state: RunState,
    /// Why.
    pub cause: String,
    /// The last attempt; 0 if it never started.
    pub attempt: u32,
    /// The last attempt's worker.
    pub worker: String,
    /// When the last attempt began.
    pub started_at: Option<Timestamp>,
    /// When the run ended.
    pub ended_at: Option<Timestamp>,
    /// When the next attempt may begin.
    pub next_attempt_at: Option<Timestamp>,
    /// The exit code, if the process exited.
    pub exit_code: Option<i32>,
    /// The signal, if it died of one.
    pub signal: Option<i32>,
    /// What it printed.
    pub output: OutputSummary,
    /// What the hooks decided.
    pub notes: Vec<HookNote>,
}

impl RunRecord {
    /// What the run log has of a run once an attempt has begun or is waited for.
    pub fn begun(header: &RunHeader) -> Self {
        Self {
            id: header.id.clone(),
            job: header.job.clone(),
            key: header.key.clone(),
            span: None,
            state: header.state,
            cause: header.cause.clone(),
            attempt: header.attempt,
            worker: header.worker.clone(),
            started_at: Some(header.started_at),
            ended_at: None,
            next_attempt_at: header.next_attempt_at,
            exit_code: None,
            signal: None,
            output: OutputSummary::default(),
            notes: Vec::new(),
        }
    }

    /// What the run log has of a run that is over. `began` is when the log had its last attempt begin, for
    /// an end that does not say.
    pub fn ended(done: &DoneRecord, began: Option<Timestamp>) -> Self {
        let outcome = &done.outcome;
        Self {
            id: done.run(),
            job: done.job.clone(),
            key: done.key.clone(),
            span: done.span,
            state: outcome.state,
            cause: outcome.cause.clone(),
            attempt: done.attempts,
            worker: done.worker.clone(),
            started_at: outcome.started_at.or(began),
            ended_at: Some(outcome.ended_at),
            next_attempt_at: None,
            exit_code: outcome.exit_code,
            signal: outcome.signal,
            output: outcome.output,
            notes: outcome.notes.clone(),
        }
    }

    /// How long the last attempt ran; zero if it never started or has not ended.
    pub fn duration(&self) -> Duration {
        match (self.started_at, self.ended_at) {
            (Some(started), Some(ended)) => ended.since(started),
            _ => Duration::ZERO,
        }
    }
}

impl History {
    /// Whether a run in this state ended by itself and so belongs in a history.
    pub fn counts(state: RunState) -> bool {
        matches!(state, RunState::Succeeded | RunState::Failed)
    }

    /// The history of these runs, each by its state and duration. Percentiles are of the successful ones,
    /// by nearest rank.
    pub fn of(runs: impl IntoIterator<Item = (RunState, Duration)>) -> Self {
        let mut history = Self {
            known: true,
            ..Self::default()
        };
        let mut durations = Vec::new();
        for (state, took) in runs.into_iter().filter(|(state, _)| Self::counts(*state)) {
            history.runs += 1;
            if state == RunState::Succeeded {
                durations.push(u32::try_from(took.as_millis()).unwrap_or(u32::MAX));
            } else {
                history.failures += 1;
            }
        }
        durations.sort_unstable();
        let percentile = |p: usize| {
            let rank = (durations.len() * p).div_ceil(100).max(1);
            durations.get(rank - 1).copied().unwrap_or(0)
        };
        history.p50_ms = percentile(50);
        history.p95_ms = percentile(95);
        history.p99_ms = percentile(99);
        history.max_ms = percentile(100);
        history
    }
}

/// Which runs to list. Empty is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this job.
    pub job: Option<JobName>,
    /// Of jobs whose names begin with one of these.
    pub prefixes: Vec<String>,
    /// In one of these states.
    pub states: Vec<RunState>,
    /// Recorded at or after this: by `ended_at`, or `started_at` while it runs.
    pub since: Option<Timestamp>,
    /// And before this.
    pub until: Option<Timestamp>,
}

impl RunFilter {
    /// Whether a run of this job may be one of these.
    pub fn wants(&self, job: &JobName) -> bool {
        self.job.as_ref().is_none_or(|wanted| wanted == job) && covers(&self.prefixes, job)
    }

    /// Whether a run is one of these. One that has not started is after every instant.
    pub fn admits(&self, run: &RunRecord) -> bool {
        let recorded = run.ended_at.or(run.started_at);
        self.wants(&run.job)
            && (self.states.is_empty() || self.states.contains(&run.state))
            && self
                .since
                .is_none_or(|since| recorded.is_none_or(|at| at >= since))
            && self
                .until
                .is_none_or(|until| recorded.is_some_and(|at| at < until))
    }
}

/// Where a list continues. Opaque text; belongs to one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken(pub String);

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where it continues; `None` at the end.
    pub next: Option<PageToken>,
}

/// A part of an output.
#[derive(Clone, Debug)]
pub struct LogPage {
    /// Chunks in order of attempt and seq, each with its attempt.
    pub chunks: Vec<(u32, OutputChunk)>,
    /// Pass it as `after` to read on; `None` if nothing is left now.
    pub next: Option<(u32, u64)>,
}

/// Reads of the run log.
#[async_trait]
pub trait RunQuery: Debug + Send + Sync + 'static {
    /// One run, or `None`.
    ///
    /// # Errors
    /// `Corrupt` with the reason if its record cannot be read.
    async fn get(&self, run: &RunId) -> Result<Option<RunRecord>>;

    /// Runs, newest first by when they were first recorded; stable while others are inserted. A record
    /// that cannot be read is left out, so that a page may have fewer than `limit` runs before the last.
    ///
    /// # Errors
    /// `InvalidConfig` if the token is not one of this backend's.
    async fn list(
        &self,
        filter: &RunFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<RunRecord>>;

    /// Output after `(attempt, seq)`, from the start with `None`; at least one chunk if there is one,
    /// then as many as fit `max_bytes`.
    async fn read_log(
        &self,
        run: &RunId,
        after: Option<(u32, u64)>,
        max_bytes: u32,
    ) -> Result<LogPage>;

    /// How the last `last` runs of the job went that ended by themselves.
    async fn history(&self, job: &JobName, last: u32) -> Result<History>;

    /// Deletes at most `max` terminal runs that ended before `before`, with their output. Returns how
    /// many; call again while it is `max`. Unfinished runs stay.
    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32>;
}
