//! What a save through the routes of a Go master stores, decided from the form and from what is there.
//!
//! A Go master stores whatever it is sent, and one bad schedule ends every Go worker, again and again. So name,
//! command and schedule are checked here. What a form does not name stays: members of others, and our definition.
//! A job without a definition of ours gets none, so that each worker goes on reading it by its own defaults.

use sandclock_core::Timestamp;
use sandclock_core::backend::{GoStored, owed_since};
use sandclock_core::go::{GoDefaults, GoJob, GoJobError};
use sandclock_core::job::{Job, JobName};

use crate::document::FieldError;
use crate::timetable;

/// Under which name a form wants to be saved, for looking what is there.
///
/// # Errors
/// If the form has no name, or a definition of ours: that is changed through `/api/v1`.
pub(super) fn name(form: &GoJob) -> Result<JobName, FieldError> {
    if form.has_definition() {
        let accepted =
            "these routes do not change it: leave it out, or PUT the job to /api/v1/jobs/NAME";
        return Err(FieldError::new("sandclock", "given", accepted));
    }
    match form.name() {
        "" => JobName::parse("").map_err(refused),
        name => Ok(JobName::existing(name)),
    }
}

/// The value to store under `name` over what was found there.
///
/// # Errors
/// Names the member that is not accepted. A name that none may have is accepted of a job that is there.
pub(super) fn value(
    form: GoJob,
    name: &JobName,
    found: Option<&GoStored>,
    defaults: &GoDefaults,
    now: Timestamp,
) -> Result<GoJob, FieldError> {
    if found.is_none() {
        JobName::parse(name.as_str()).map_err(refused)?;
    }
    if form.command().trim().is_empty() {
        let value = format!("{:?}", form.command());
        return Err(FieldError::new("command", value, "shell text"));
    }
    let old = found.and_then(|found| found.value.as_ref());
    let value = match old {
        Some(old) => form.over(old),
        None => form,
    };
    let (job, value) = read(value, name, defaults)?;
    job.check()?;
    check_schedule(&job, &value, old, now)?;
    if !value.has_definition() {
        return Ok(value);
    }
    let old = old.and_then(|old| old.job(name, defaults).ok());
    let since = owed_since(&job, old.as_ref(), now);
    let job = Job {
        schedule_since: since,
        ..job
    };
    let whole = GoJob::of(&job, Some(&value));
    whole.map_err(|error| FieldError::new("sandclock", "the stored definition", error.reason()))
}

fn refused(error: sandclock_core::job::InvalidName) -> FieldError {
    FieldError::new("name", format!("{:?}", error.name), error.rule)
}

/// The job that the value stands for. A definition that cannot be read is left out, unless a newer program wrote it.
fn read(value: GoJob, name: &JobName, defaults: &GoDefaults) -> Result<(Job, GoJob), FieldError> {
    let unreadable =
        |error: &GoJobError| FieldError::new("sandclock", "the stored definition", error.reason());
    match value.job(name, defaults) {
        Ok(job) => Ok((job, value)),
        Err(error) if error.is_newer() => Err(unreadable(&error)),
        Err(_) => {
            let plain = value.plain();
            let job = plain.job(name, defaults);
            Ok((job.map_err(|error| unreadable(&error))?, plain))
        }
    }
}

fn check_schedule(
    job: &Job,
    value: &GoJob,
    old: Option<&GoJob>,
    now: Timestamp,
) -> Result<(), FieldError> {
    const FIELD: &str = "cronExpr";
    let expr = value.cron_expr();
    let is_new = old.is_none_or(|old| old.cron_expr() != expr);
    let Some(spec) = &job.schedule else {
        let accepted = "a schedule of 5 to 7 fields, such as */5 * * * * or @daily";
        return match is_new || !value.has_definition() {
            true => Err(FieldError::new(FIELD, "\"\"", accepted)),
            // A job of ours that runs by request only.
            false => Ok(()),
        };
    };
    let table = timetable::of(spec).map_err(|error| FieldError {
        field: error.field.replace("schedule", FIELD),
        ..error
    })?;
    match table.next_after(now) {
        // A Go worker would run it without a pause.
        None if is_new => Err(FieldError::new(FIELD, expr, "it never fires again")),
        _ => Ok(()),
    }
}
