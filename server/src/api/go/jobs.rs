//! Jobs and workers, as a Go master's clients ask for them.

use axum::extract::State;
use sandclock_core::ErrorKind;
use sandclock_core::backend::Precondition;
use sandclock_core::go::{GoDefaults, GoJob};
use sandclock_core::job::JobName;
use serde_json::Value;

use super::super::jobs::RACES;
use super::super::operate;
use super::answer::{Answer, Done, Refusal};
use super::input::Input;
use super::{Go, save};
use crate::access::Caller;
use crate::document::FieldError;

/// `/job/save`: creates or replaces; answers the job that was there.
pub(super) async fn save(State(go): State<Go>, who: Caller, input: Input) -> Answer {
    let text = input.job()?;
    let form = GoJob::parse(text).map_err(|error| {
        let text = String::from_utf8_lossy(text);
        FieldError::new("job", text, error.reason())
    })?;
    let name = save::name(&form)?;
    who.check(&name)?;
    let defaults = GoDefaults {
        time_zone: go.api.default_time_zone.clone(),
        ..GoDefaults::default()
    };
    let fleet = &go.master.stores.fleet;
    for _ in 0..RACES {
        let found = fleet.job(&name).await?;
        let now = go.api.clock.now();
        let value = save::value(form.clone(), &name, found.as_ref(), &defaults, now)?;
        let pre = match &found {
            Some(found) => Precondition::Matches(found.version),
            None => Precondition::Absent,
        };
        match fleet.save(&name, &value, pre).await {
            Err(error) if error.kind == ErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
            Ok(()) => {
                tracing::info!(job = %name, by = who.name, "saved through the Go routes");
                return Ok(Done(shown(&name, found.and_then(|found| found.value))));
            }
        }
    }
    Err(changes(&name))
}

/// `/job/delete`: answers the job that was there. Without a name nothing is meant, and nothing is done.
pub(super) async fn delete(State(go): State<Go>, who: Caller, input: Input) -> Answer {
    let Some(name) = input.member("name")?.map(JobName::existing) else {
        return Ok(Done(Value::Null));
    };
    who.check(&name)?;
    for _ in 0..RACES {
        let Some(found) = go.master.stores.fleet.job(&name).await? else {
            return Ok(Done(Value::Null));
        };
        let pre = Precondition::Matches(found.version);
        match go.api.coordination.jobs.delete(&name, pre).await {
            Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound) => {}
            Err(error) => return Err(error.into()),
            Ok(()) => {
                tracing::info!(job = %name, by = who.name, "deleted through the Go routes");
                return Ok(Done(shown(&name, found.value)));
            }
        }
    }
    Err(changes(&name))
}

/// `/job/list`: every job that a Go master could read.
pub(super) async fn list(State(go): State<Go>, who: Caller) -> Answer {
    let jobs = go.master.stores.fleet.jobs().await?;
    let theirs = jobs
        .iter()
        .filter(|job| who.grant.covers(&JobName::existing(job.name())));
    Ok(Done(theirs.map(GoJob::shown).collect()))
}

/// `/job/kill`: ends what runs of the job, on our workers for good and with a record of who asked, on Go workers
/// if they hear the mark. The mark comes last, because who sees it also kills, in the name of a Go master.
pub(super) async fn kill(State(go): State<Go>, who: Caller, input: Input) -> Answer {
    let name = input.member("name")?.filter(|name| !name.is_empty());
    let accepted = "the name of the job to end, in the body";
    let name = name.ok_or_else(|| FieldError::new("name", "nothing", accepted))?;
    let name = JobName::existing(name);
    who.check(&name)?;
    operate::kill_runs(&go.api, &name, &who.name, "/job/kill").await?;
    go.master.stores.fleet.kill(&name).await?;
    tracing::info!(job = %name, by = who.name, "killed through the Go routes");
    Ok(Done(Value::Null))
}

/// `/worker/list`: the addresses under which workers are registered.
pub(super) async fn workers(State(go): State<Go>) -> Answer {
    let workers = go.master.stores.fleet.workers().await?;
    Ok(Done(workers.into()))
}

/// What a Go master shows of a job that was there.
fn shown(name: &JobName, job: Option<GoJob>) -> Value {
    job.map_or(Value::Null, |job| job.named(name).shown())
}

fn changes(name: &JobName) -> Refusal {
    Refusal(format!(
        "job {name} is changed by others all the time; try again"
    ))
}
