//! What a set of jobs would change: decided from what is there, without touching it.

use std::collections::BTreeMap;

use sandclock_core::backend::{BrokenJob, JobRecord, JobSnapshot};
use sandclock_core::binding::Selector;
use sandclock_core::job::{Job, JobName};
use serde_json::Value;

use super::{Difference, Outcome};
use crate::api::dto::job::JobDto;

/// What is to become of a job.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: JobName,
    pub(super) outcome: Outcome,
    /// The members that differ.
    pub(super) fields: BTreeMap<String, Difference>,
    /// As it is to be; `None` if it is to go.
    pub(super) job: Option<Job>,
    /// As it is there.
    pub(super) there: Option<JobRecord>,
}

/// Why a set cannot be applied.
#[derive(Debug)]
pub(super) enum Impossible {
    /// A newer program has written what is stored of a job.
    Newer(BrokenJob),
    /// Whether this job is among those to go cannot be read.
    Unknown(BrokenJob),
}

/// What each of these jobs comes to, and then, where the set is all that `prune` selects, what goes.
///
/// # Errors
/// If what is stored of a job does not allow it.
pub(super) fn plan(
    snapshot: JobSnapshot,
    wanted: Vec<Job>,
    prune: Option<&Selector>,
) -> Result<Vec<Step>, Impossible> {
    let jobs = snapshot.jobs.into_iter().map(JobRecord::Job);
    let broken = snapshot.broken.into_iter().map(JobRecord::Broken);
    let mut there: BTreeMap<JobName, JobRecord> = jobs
        .chain(broken)
        .map(|record| (record.name().clone(), record))
        .collect();
    let mut steps = Vec::with_capacity(wanted.len());
    for job in wanted {
        steps.push(saved(there.remove(&job.name), job)?);
    }
    let Some(prune) = prune else {
        return Ok(steps);
    };
    for (name, record) in there {
        let goes = match &record {
            JobRecord::Job(stored) => prune.selects(&stored.job),
            JobRecord::Broken(broken) if prune.may_select(&name) => {
                return Err(Impossible::Unknown(broken.clone()));
            }
            JobRecord::Broken(_) => false,
        };
        if goes {
            steps.push(Step {
                name,
                outcome: Outcome::Deleted,
                fields: BTreeMap::new(),
                job: None,
                there: Some(record),
            });
        }
    }
    Ok(steps)
}

fn saved(there: Option<JobRecord>, job: Job) -> Result<Step, Impossible> {
    let fields = match &there {
        None => BTreeMap::new(),
        Some(JobRecord::Job(old)) => differences(&document(&old.job), &document(&job)),
        Some(JobRecord::Broken(broken)) if broken.newer => {
            return Err(Impossible::Newer(broken.clone()));
        }
        Some(JobRecord::Broken(_)) => differences(&Value::Null, &document(&job)),
    };
    let outcome = match &there {
        None => Outcome::Created,
        Some(_) if fields.is_empty() => Outcome::Unchanged,
        Some(_) => Outcome::Changed,
    };
    Ok(Step {
        name: job.name.clone(),
        outcome,
        fields,
        job: Some(job),
        there,
    })
}

fn document(job: &Job) -> Value {
    // A wire type of ours has a form in JSON.
    serde_json::to_value(JobDto::from_core(job)).unwrap_or_default()
}

/// The members in which two documents differ.
fn differences(from: &Value, to: &Value) -> BTreeMap<String, Difference> {
    let members = |document: &Value| document.as_object().cloned().unwrap_or_default();
    let names: Vec<_> = members(from).into_iter().chain(members(to)).collect();
    let names = names.into_iter().map(|(name, _)| name);
    names
        .filter_map(|name| {
            let of = |document: &Value| document.get(&name).cloned().unwrap_or_default();
            let (from, to) = (of(from), of(to));
            (from != to).then_some((name, Difference { from, to }))
        })
        .collect()
}
