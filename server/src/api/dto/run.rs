//! Runs, alerts and workers on the wire.

use sandclock_core::backend::{Alert, RunRecord, SessionId, WorkerInfo};
use sandclock_core::run::RunKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A part of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = List)]
pub struct ListDto<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass it as `cursor` to read on.
    pub next: Option<String>,
    /// Set if something is missing: what, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

impl<T> ListDto<T> {
    /// Items of which none is missing.
    pub fn new(items: Vec<T>, next: Option<String>) -> Self {
        Self {
            items,
            next,
            incomplete: None,
        }
    }
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Run)]
#[expect(missing_docs, reason = "the members are those of the run record")]
pub struct RunDto {
    pub id: String,
    pub job: String,
    /// The fire time of the schedule that it is for.
    pub fire_time: Option<String>,
    /// By what it came to be.
    pub trigger: Trigger,
    /// The request's id, of a run outside the schedule.
    pub request: Option<String>,
    pub state: String,
    pub cause: String,
    pub attempt: u32,
    pub worker: String,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub next_attempt_at: Option<String>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub output_bytes: u64,
    pub output_cut: u64,
    /// Set if the record stands for a range of ticks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticks: Option<SpanDto>,
    /// Set if this may be outdated: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

/// By what a run came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// Its job was due.
    Schedule,
    /// Somebody asked for it.
    Request,
    /// Somebody asked to make up for its fire time, which had passed.
    Backfill,
}

/// A range of ticks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TickRange)]
#[expect(missing_docs, reason = "the members are those of the span")]
pub struct SpanDto {
    pub first: String,
    pub last: String,
    pub count: u64,
}

impl RunDto {
    /// From core.
    pub fn from_core(run: RunRecord) -> Self {
        let (trigger, request) = match &run.key {
            RunKey::Tick(_) => (Trigger::Schedule, None),
            key if key.backfilled().is_some() => (Trigger::Backfill, key.request()),
            key => (Trigger::Request, key.request()),
        };
        Self {
            id: run.id.to_string(),
            job: run.job.to_string(),
            fire_time: run.key.scheduled_for().map(|at| at.to_string()),
            trigger,
            request: request.map(str::to_owned),
            state: run.state.to_string(),
            cause: run.cause,
            attempt: run.attempt,
            worker: run.worker,
            started_at: run.started_at.map(|at| at.to_string()),
            ended_at: run.ended_at.map(|at| at.to_string()),
            next_attempt_at: run.next_attempt_at.map(|at| at.to_string()),
            exit_code: run.exit_code,
            signal: run.signal,
            output_bytes: run.output.bytes,
            output_cut: run.output.cut,
            ticks: run.span.map(|span| SpanDto {
                first: span.first.to_string(),
                last: span.last.to_string(),
                count: span.count,
            }),
            incomplete: None,
        }
    }
}

/// An alert.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Alert)]
#[expect(missing_docs, reason = "the members are those of the alert")]
pub struct AlertDto {
    pub id: String,
    pub run: String,
    pub job: String,
    pub plugin: String,
    pub target: String,
    pub state: String,
    pub tries: u32,
    pub last_error: Option<String>,
    pub created_at: String,
    pub folded: u32,
    /// `raised`, `escalation`, `diversion` or `recovery`.
    pub kind: String,
    /// How many runs of the job in a row had not succeeded.
    pub failures: u32,
    /// Why it waits, or was moved.
    pub waits: Option<String>,
    /// When it is tried next.
    pub next_try: Option<String>,
    /// The alert whose message it is in, or that goes in its place.
    pub part_of: Option<String>,
    /// How many others its message holds.
    pub parts: u32,
    pub content_type: String,
    pub body: String,
}

impl AlertDto {
    /// From core.
    pub fn from_core(alert: Alert) -> Self {
        Self {
            id: alert.id.to_string(),
            run: alert.run.to_string(),
            job: alert.job.to_string(),
            plugin: alert.draft.plugin,
            target: alert.draft.target,
            state: alert.state.as_str().to_owned(),
            tries: alert.tries,
            last_error: alert.last_error,
            created_at: alert.created_at.to_string(),
            folded: alert.folded,
            kind: alert.kind.as_str().to_owned(),
            failures: alert.failures,
            waits: alert.waits,
            next_try: alert.next_try.map(|at| at.to_string()),
            part_of: alert.part_of.map(|id| id.to_string()),
            parts: alert.parts,
            content_type: alert.draft.content_type,
            body: String::from_utf8_lossy(&alert.draft.body).into_owned(),
        }
    }
}

/// A worker.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Worker)]
#[expect(missing_docs, reason = "the members are those of the registration")]
pub struct WorkerDto {
    /// Of its session: another one after each start.
    pub id: String,
    pub name: String,
    pub host: String,
    pub labels: std::collections::BTreeMap<String, String>,
    pub max_concurrent_runs: u32,
    pub running: u32,
    pub draining: bool,
    pub clock_doubted: bool,
    pub started_at: String,
    pub version: String,
    /// In which it reads jobs that name no zone; absent of older programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    pub zone_differs: bool,
}

impl WorkerDto {
    /// From core.
    pub fn from_core(id: &SessionId, info: WorkerInfo) -> Self {
        Self {
            id: id.to_string(),
            name: info.name,
            host: info.host,
            labels: info.labels,
            max_concurrent_runs: info.max_concurrent_runs,
            running: info.running,
            draining: info.draining,
            clock_doubted: info.clock_doubted,
            started_at: info.started_at.to_string(),
            version: info.version,
            time_zone: info.time_zone,
            zone_differs: info.zone_differs,
        }
    }
}
