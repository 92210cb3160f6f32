//! Jobs whose stored record cannot be read: what a refusal says of one, and how it is repaired.
//!
//! Such a job is in the list, it can be deleted, and a new definition can be put over it unless a newer
//! program wrote the record. Whatever needs its definition is refused with the reason and the remedy.

use sandclock_core::backend::{BrokenJob, JobRecord};
use sandclock_core::job::JobName;
use sandclock_core::{BackendError, ErrorKind};

use super::Api;
use super::problem::Problem;

/// What the store holds under a name.
pub async fn look(api: &Api, name: &JobName) -> Result<Option<JobRecord>, Problem> {
    match api.coordination.jobs.get(name).await {
        Ok(stored) => Ok(stored.map(JobRecord::Job)),
        Err(error) => match record(api, name, &error).await {
            Some(broken) => Ok(Some(JobRecord::Broken(broken))),
            None => Err(error.into()),
        },
    }
}

/// The refusal of a request on a job that failed with this error.
pub async fn refusal(api: &Api, name: &JobName, error: BackendError) -> Problem {
    match record(api, name, &error).await {
        Some(broken) => problem(&broken),
        None => error.into(),
    }
}

/// The record that the error is about. Only a snapshot tells its version; if there is none, the store as a
/// whole is damaged, and that is another story.
async fn record(api: &Api, name: &JobName, error: &BackendError) -> Option<BrokenJob> {
    if error.kind != ErrorKind::Corrupt {
        return None;
    }
    let broken = api.coordination.jobs.snapshot().await.ok()?.broken;
    broken.into_iter().find(|broken| broken.name == *name)
}

/// Says why the job cannot be read, and what to do about it.
pub fn problem(broken: &BrokenJob) -> Problem {
    let (name, reason) = (broken.name.as_str(), &broken.reason);
    let remedy = match (broken.newer, JobName::parse(name)) {
        (true, _) => "upgrade this server, or DELETE the job to give its definition up",
        (false, Ok(_)) => "PUT a new definition, or DELETE the job",
        (false, Err(_)) => "DELETE the job: its name is none that can be created",
    };
    Problem::broken_job(format!("job {name:?} cannot be read: {reason}; {remedy}"))
}
