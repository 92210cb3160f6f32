//! Liveness and readiness, for those who watch the process; open to all, and they tell nothing else.

use std::future::Future;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sandclock_core::backend::Result;
use sandclock_core::fleet::{WorkerHandle, WorkerStatus};
use sandclock_core::job::JobName;
use sandclock_core::run::{RunId, RunKey};
use sandclock_core::{ErrorKind, Timestamp};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Api;
use crate::spool::SpoolStatus;

/// `GET /healthz`: the process answers.
pub async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// How long a store may take to answer before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which stores answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    /// Coordination is read, and carries out what the worker in this process asks.
    pub(super) coordination: bool,
    /// The run log is read, and takes what the worker in this process writes.
    pub(super) run_log: bool,
}

impl Contact {
    /// Asks both stores, for at most [`PATIENCE`].
    pub(super) async fn ask(api: &Api) -> Self {
        let nothing = JobName::existing("");
        let no_run = RunId::of(&nothing, &RunKey::Tick(Timestamp::from_millis(0)));
        let (coordination, run_log) = tokio::join!(
            answers(api.coordination.jobs.get(&nothing)),
            answers(api.records.runs.get(&no_run)),
        );
        let stuck = api
            .worker
            .as_ref()
            .is_some_and(|worker| worker.status().outage.is_some());
        let waits = api
            .spool
            .as_ref()
            .is_some_and(|spool| spool.status().outage.is_some());
        Self {
            coordination: coordination && !stuck,
            run_log: run_log && !waits,
        }
    }
}

/// `GET /readyz`: 200 if coordination answers and the worker in this process, if there is one, trusts its
/// session, knows the jobs and records, has its requests carried out, and reads schedules as the fleet does;
/// else 503, with the reason. A run log that is away is said, and what waits for it, but jobs go on without it.
/// So are workers of a Go fleet.
pub async fn ready(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    let (contact, go_workers) = tokio::join!(Contact::ask(&api), go_workers(&api));
    let status = api.worker.as_ref().map(WorkerHandle::status);
    let spool = api.spool.as_ref().map(|spool| spool.status());
    let (code, Json(mut body)) = judge(contact, status.as_ref());
    if let (Some(spool), Some(body)) = (&spool, body.as_object_mut()) {
        body.insert("spool".to_owned(), said_of_spool(spool));
    }
    if let (Some(count), Some(body)) = (go_workers, body.as_object_mut()) {
        body.insert("go_workers".to_owned(), count.into());
    }
    (code, Json(body))
}

/// How many workers of a Go fleet are registered, where there may be some and the store says so.
pub(super) async fn go_workers(api: &Api) -> Option<u64> {
    let fleet = &api.go.as_ref()?.stores.fleet;
    let workers = timeout(PATIENCE, fleet.go_workers()).await.ok()?.ok()?;
    u64::try_from(workers.len()).ok()
}

/// What is said of stores that answer or do not, and of a worker in this state.
fn judge(contact: Contact, worker: Option<&WorkerStatus>) -> (StatusCode, Json<Value>) {
    let outage = worker.and_then(|worker| worker.outage.as_ref());
    let reason = match (worker, outage) {
        // It may be read and yet carry nothing out, with a full disk for one.
        (_, Some(outage)) => Some(format!(
            "the coordination store has not carried out requests since {}: {}",
            outage.since, outage.error
        )),
        _ if !contact.coordination => Some("the coordination store does not answer".to_owned()),
        (Some(worker), _) if !worker.ready => {
            Some("the worker has not yet read all jobs and records".to_owned())
        }
        (Some(worker), _) if !worker.trusted => {
            Some("the worker could not renew its session in time".to_owned())
        }
        (Some(WorkerStatus { elder, .. }), _) => elder
            .as_ref()
            .map(|elder| format!("the worker takes nothing new: {elder}")),
        _ => None,
    };
    let code = match reason {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let said = |is_there| if is_there { "ok" } else { "away" };
    let coordination = contact.coordination && outage.is_none();
    let parts = [("coordination", coordination), ("run_log", contact.run_log)];
    let away: Vec<_> = parts.iter().filter(|(_, is_there)| !is_there).collect();
    let away: Vec<_> = away.iter().map(|(part, _)| *part).collect();
    let mut body = json!({
        "ready": reason.is_none(),
        "draining": worker.is_some_and(|worker| worker.draining),
        "coordination": said(coordination),
        "run_log": said(contact.run_log),
        "away": away,
    });
    if let (Some(reason), Some(body)) = (reason, body.as_object_mut()) {
        body.insert("reason".to_owned(), reason.into());
    }
    (code, Json(body))
}

/// What waits for the run log, and since when it is away.
fn said_of_spool(spool: &SpoolStatus) -> Value {
    let mut said = json!({
        "entries": spool.waiting.entries,
        "bytes": spool.waiting.bytes,
        "max_bytes": spool.max_bytes,
    });
    if let (Some(outage), Some(said)) = (&spool.outage, said.as_object_mut()) {
        said.insert(
            "run_log_away_since".to_owned(),
            outage.since.to_string().into(),
        );
        said.insert("error".to_owned(), outage.error.as_str().into());
    }
    said
}

/// Whether a store says anything but that it is away.
async fn answers<T>(call: impl Future<Output = Result<T>>) -> bool {
    match timeout(PATIENCE, call).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => !matches!(
            error.kind,
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled
        ),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use sandclock_backend_embedded::spool::Waiting;
    use sandclock_core::fleet::{Elder, Outage};

    use super::*;
    use crate::spool;

    const OK: Contact = Contact {
        coordination: true,
        run_log: true,
    };

    fn worker() -> WorkerStatus {
        WorkerStatus {
            name: "worker".to_owned(),
            ready: true,
            trusted: true,
            outage: None,
            session: None,
            draining: false,
            clock_doubted: false,
            elder: None,
            running: Vec::new(),
            max_concurrent_runs: 1,
            jobs: 0,
            jobs_broken: 0,
            done_waiting: 0,
        }
    }

    #[test]
    fn a_store_that_is_read_but_carries_nothing_out_is_not_ready() {
        let (code, _) = judge(OK, Some(&worker()));
        assert_eq!(code, StatusCode::OK);
        let outage = Outage {
            since: Timestamp::from_millis(1_800_000_000_000),
            error: "fires.decide: the store cannot be reached: the disk is full".to_owned(),
        };
        let stuck = WorkerStatus {
            outage: Some(outage),
            ..worker()
        };
        let (code, Json(body)) = judge(OK, Some(&stuck));
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["coordination"], "away");
        assert_eq!(
            body["reason"],
            "the coordination store has not carried out requests since 2027-01-15T08:00:00Z: \
             fires.decide: the store cannot be reached: the disk is full"
        );
    }

    #[test]
    fn a_spool_says_what_waits_and_since_when() {
        let mut spool = SpoolStatus {
            waiting: Waiting {
                entries: 3,
                bytes: 4_096,
            },
            max_bytes: 1 << 20,
            outage: None,
            refused: 0,
        };
        let quiet = json!({ "entries": 3, "bytes": 4_096, "max_bytes": 1_048_576 });
        assert_eq!(said_of_spool(&spool), quiet);
        spool.outage = Some(spool::Outage {
            since: Timestamp::from_millis(1_800_000_000_000),
            error: "sink.append: no answer in time".to_owned(),
        });
        let said = said_of_spool(&spool);
        assert_eq!(said["run_log_away_since"], "2027-01-15T08:00:00Z");
        assert_eq!(said["error"], "sink.append: no answer in time");
    }

    #[test]
    fn whatever_is_not_ready_is_said() {
        let reason = |coordination, worker: WorkerStatus| {
            let contact = Contact {
                coordination,
                run_log: false,
            };
            let (code, Json(body)) = judge(contact, Some(&worker));
            assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
            body["reason"].as_str().map(str::to_owned).unwrap()
        };
        assert!(reason(false, worker()).contains("coordination store"));
        let (mut new, mut late) = (worker(), worker());
        new.ready = false;
        late.trusted = false;
        let elder = WorkerStatus {
            elder: Some(Elder {
                name: "first".to_owned(),
                time_zone: "Asia/Tokyo".to_owned(),
                instead_of: "Europe/Berlin".to_owned(),
            }),
            ..worker()
        };
        assert_eq!(
            reason(true, elder),
            "the worker takes nothing new: this worker reads schedules that name no zone in Europe/Berlin, and \
             worker first, which decides already, in Asia/Tokyo: set the same default_time_zone for all workers"
        );
        assert!(reason(true, new).contains("jobs"));
        assert!(reason(true, late).contains("session"));
        let away = Contact {
            run_log: false,
            ..OK
        };
        let (code, Json(body)) = judge(away, None);
        assert_eq!((code, &body["run_log"]), (StatusCode::OK, &json!("away")));
    }
}
