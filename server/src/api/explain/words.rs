//! The sentences of an explanation: a pure function of the run's record and of the job.

use std::sync::Arc;

use sandclock_core::access::Role;
use sandclock_core::backend::{Result as Stored, RunRecord, StoredJob};
use sandclock_core::job::Job;
use sandclock_core::policy::{ConcurrencyPolicy, LostRunPolicy, MisfirePolicy};
use sandclock_core::run::{RunKey, RunState};

use super::AdviceDto;

/// What is known of a run's job now.
#[derive(Debug)]
pub(super) enum Definition {
    /// It is this.
    Is(Arc<Job>),
    /// It was deleted.
    Gone,
    /// The store does not answer, or the job cannot be read.
    Unknown,
}

impl Definition {
    pub(super) fn of(found: Stored<Option<StoredJob>>) -> Self {
        match found {
            Ok(Some(stored)) => Self::Is(stored.job),
            Ok(None) => Self::Gone,
            Err(_) => Self::Unknown,
        }
    }

    pub(super) fn job(&self) -> Option<&Job> {
        match self {
            Self::Is(job) => Some(job),
            Self::Gone | Self::Unknown => None,
        }
    }
}

/// What became of a run and why.
pub(super) fn why(run: &RunRecord, definition: &Definition) -> Vec<String> {
    let mut said = vec![became(run)];
    if !run.cause.is_empty() {
        let cause = run.cause.trim_end_matches('.');
        said.push(match run.state {
            // Of a request it is who has asked.
            RunState::Queued | RunState::Running => format!("Why it is there: {cause}."),
            _ => format!("The cause: {cause}."),
        });
    }
    said.push(origin(run));
    match definition {
        Definition::Is(job) => said.extend(policy(run, job)),
        Definition::Gone => said.push(format!("Job {} has been deleted since.", run.job)),
        Definition::Unknown => {}
    }
    if run.output.cut > 0 {
        let (cut, all) = (run.output.cut, run.output.bytes);
        said.push(format!(
            "Of the {all} bytes that it printed {cut} are not stored."
        ));
    }
    said
}

/// What it stands for.
fn origin(run: &RunRecord) -> String {
    match (&run.key, &run.span) {
        (_, Some(span)) => format!(
            "It stands for {} ticks of the schedule, from {} to {}.",
            span.count, span.first, span.last
        ),
        (RunKey::Tick(at), None) => format!("It is of the tick that was due at {at}."),
        (key, None) if let Some(at) = key.backfilled() => {
            format!("It makes up for the tick that was due at {at}, by a backfill.")
        }
        (RunKey::Request(id), None) => {
            format!("It was asked for outside of the schedule, by request {id}.")
        }
    }
}

fn became(run: &RunRecord) -> String {
    let by = match (run.worker.as_str(), run.attempt) {
        ("", _) | (_, 0) => String::new(),
        (worker, attempt) => format!(" in attempt {attempt}, on worker {worker}"),
    };
    let took = match (run.started_at, run.ended_at) {
        (Some(started), Some(ended)) => {
            format!(", after {:.1} s", ended.since(started).as_secs_f64())
        }
        _ => String::new(),
    };
    match run.state {
        RunState::Queued => match run.next_attempt_at {
            Some(at) => format!(
                "It waits for attempt {}, which begins at {at} at the earliest.",
                run.attempt.saturating_add(1)
            ),
            None => "It waits to be started.".to_owned(),
        },
        RunState::Running => match run.started_at {
            Some(at) => format!("It runs since {at}{by}."),
            None => format!("It is being started{by}."),
        },
        RunState::Succeeded => format!("It succeeded{by}{took}."),
        RunState::Failed => format!("It failed{by}{took}."),
        RunState::TimedOut => format!("It was ended by its time limit{by}{took}."),
        RunState::Killed => format!("It was killed{by}{took}."),
        RunState::Skipped => "It was decided not to run it.".to_owned(),
        RunState::Missed => "It did not run in time.".to_owned(),
        RunState::Lost => format!("Nobody knows how it ended: its worker was gone{by}."),
    }
}

/// What the job says about such an end, as it is now.
fn policy(run: &RunRecord, job: &Job) -> Option<String> {
    let deadline = job.misfire.deadline.as_secs();
    Some(match run.state {
        RunState::Skipped => match job.concurrency {
            ConcurrencyPolicy::Forbid => {
                "The job's concurrency is forbid: a tick that meets an open run of it is skipped."
            }
            ConcurrencyPolicy::Queue => {
                "The job's concurrency is queue: one tick waits behind an open run, and further ones are skipped."
            }
            ConcurrencyPolicy::Allow | ConcurrencyPolicy::Replace => return None,
        }
        .to_owned(),
        RunState::Missed => match job.misfire.policy {
            MisfirePolicy::Skip => {
                "The job's misfire policy is skip: no tick runs late.".to_owned()
            }
            MisfirePolicy::Once => format!(
                "The job's misfire policy is once: of late ticks the newest runs, if it is no more than {deadline} s \
                 late."
            ),
            MisfirePolicy::All { max } => format!(
                "The job's misfire policy is all: of late ticks the newest {max} run, if they are no more than \
                 {deadline} s late."
            ),
        },
        RunState::Lost => match job.on_lost {
            LostRunPolicy::Record => {
                "The job's on_lost is record: a lost run is not started again.".to_owned()
            }
            LostRunPolicy::Rerun { max } => {
                format!("The job's on_lost is rerun: a lost run is started again {max} times at most.")
            }
        },
        RunState::Failed | RunState::TimedOut => retries(run, job),
        _ => return None,
    })
}

fn retries(run: &RunRecord, job: &Job) -> String {
    let max = job.retry.max;
    if max == 0 {
        return "The job has no retries.".to_owned();
    }
    if run.attempt > max {
        return format!("All {} attempts that the job allows are made.", max + 1);
    }
    match (job.retry).wants(run.attempt, run.state, run.exit_code, run.signal) {
        true => format!("The job allows {max} retries now, which it did not when this ended."),
        false => "The job's retries are not for an end like this one.".to_owned(),
    }
}

/// What somebody of this role can do.
pub(super) fn advice(run: &RunRecord, definition: &Definition, role: Role) -> Vec<AdviceDto> {
    let id = &run.id;
    let mut all = Vec::new();
    let mut add = |needed: Role, text: &str, command: String| {
        if role >= needed {
            let text = text.to_owned();
            all.push(AdviceDto { text, command });
        }
    };
    if run.state == RunState::Running {
        add(
            Role::Viewer,
            "follow what it prints",
            format!("sandclock run logs -f {id}"),
        );
    } else if run.attempt > 0 {
        add(
            Role::Viewer,
            "read what it printed",
            format!("sandclock run logs {id}"),
        );
    }
    if !run.state.is_terminal() {
        add(Role::Operator, "end it", format!("sandclock run kill {id}"));
    }
    if matches!(run.state, RunState::Missed | RunState::Lost) {
        add(
            Role::Viewer,
            "see which workers there are",
            "sandclock worker ls".to_owned(),
        );
    }
    let Some((job, name)) = definition.job().and_then(|job| Some((job, plain(run)?))) else {
        return all;
    };
    if run.state.is_terminal() && run.state != RunState::Succeeded {
        add(
            Role::Operator,
            "run the job again",
            format!("sandclock job run {name}"),
        );
    }
    if run.state == RunState::Skipped && job.concurrency == ConcurrencyPolicy::Forbid {
        add(
            Role::Editor,
            "let one tick wait for the open run instead",
            format!("sandclock job set {name} concurrency=queue"),
        );
    }
    if run.state == RunState::TimedOut {
        add(
            Role::Editor,
            "give the job more time",
            format!("sandclock job set {name} timeout_s=SECONDS"),
        );
    }
    all
}

/// The job's name, if a shell takes it as it is.
fn plain(run: &RunRecord) -> Option<&str> {
    let name = run.job.as_str();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    (!name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use sandclock_core::Timestamp;
    use sandclock_core::job::JobName;
    use sandclock_core::run::{OutputSummary, RunId};

    use super::*;

    fn run(state: RunState, cause: &str) -> RunRecord {
        let (job, key) = (
            JobName::existing("a"),
            RunKey::Tick(Timestamp::from_millis(0)),
        );
        RunRecord {
            id: RunId::of(&job, &key),
            job,
            key,
            span: None,
            state,
            cause: cause.to_owned(),
            attempt: 1,
            worker: "w".to_owned(),
            started_at: Some(Timestamp::from_millis(1_000)),
            ended_at: Some(Timestamp::from_millis(2_500)),
            next_attempt_at: None,
            exit_code: Some(1),
            signal: None,
            output: OutputSummary::default(),
            notes: Vec::new(),
        }
    }

    fn job() -> Job {
        Job::shell(JobName::existing("a"), "true")
    }

    #[test]
    fn each_state_is_said_with_its_cause_and_what_the_job_says() {
        let failed = run(RunState::Failed, "exit code 1");
        let said = why(&failed, &Definition::Is(Arc::new(job())));
        assert_eq!(
            said,
            [
                "It failed in attempt 1, on worker w, after 1.5 s.",
                "The cause: exit code 1.",
                "It is of the tick that was due at 1970-01-01T00:00:00Z.",
                "The job has no retries.",
            ]
        );
        let said = why(&failed, &Definition::Gone);
        assert_eq!(said.last().unwrap(), "Job a has been deleted since.");
        assert_eq!(why(&failed, &Definition::Unknown).len(), 3);
        let mut retried = job();
        retried.retry.max = 2;
        retried.retry.on.exit_codes = vec![7];
        let said = why(&failed, &Definition::Is(Arc::new(retried)));
        let last = said.last().unwrap();
        assert_eq!(last, "The job's retries are not for an end like this one.");
        let queued = RunRecord {
            next_attempt_at: Some(Timestamp::from_millis(9_000)),
            ..run(RunState::Queued, "")
        };
        let said = why(&queued, &Definition::Unknown);
        let waits = "It waits for attempt 2, which begins at 1970-01-01T00:00:09Z at the earliest.";
        assert_eq!(said[0], waits);
    }

    #[test]
    fn advice_is_what_the_role_allows_and_fits_a_shell() {
        let skipped = RunRecord {
            attempt: 0,
            ..run(RunState::Skipped, "busy")
        };
        let is = Definition::Is(Arc::new(job()));
        let commands = |run: &RunRecord, role| -> Vec<_> {
            let all = advice(run, &is, role).into_iter();
            all.map(|one| one.command).collect()
        };
        assert_eq!(commands(&skipped, Role::Viewer), [""; 0]);
        assert_eq!(commands(&skipped, Role::Operator), ["sandclock job run a"]);
        assert_eq!(
            commands(&skipped, Role::Editor),
            [
                "sandclock job run a",
                "sandclock job set a concurrency=queue"
            ]
        );
        assert_eq!(advice(&skipped, &Definition::Gone, Role::Admin), []);
        let odd = RunRecord {
            job: JobName::existing("a; rm"),
            ..skipped
        };
        assert_eq!(commands(&odd, Role::Admin), [""; 0]);
    }
}
