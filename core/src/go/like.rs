//! Whether a Go worker does with a job what we do.
//!
//! A Go worker knows a job's command and schedule and nothing else. What we do beside the run, such as limits,
//! retries and hooks, is then not done; but a run at another time, of something else or as somebody else is wrong.

use super::{GoDefaults, GoJob};
use crate::job::{Job, JobName, Program, ScheduleSpec};
use crate::schedule::{Dialect, DstPolicy, Schedule};

impl GoJob {
    /// Why a Go worker would not do with the job of this name what we do, for people; `None` if it would. What a Go
    /// master saved is as Go workers read it, and what cannot be read is left to them too.
    pub fn is_unlike(&self, name: &JobName, defaults: &GoDefaults) -> Option<&'static str> {
        if !self.has_definition() {
            return None;
        }
        unlike(&self.job(name, defaults).ok()?, defaults)
    }
}

fn unlike(job: &Job, defaults: &GoDefaults) -> Option<&'static str> {
    if !job.enabled {
        return Some("it is not enabled");
    }
    let Some(spec) = &job.schedule else {
        return Some("it runs by request only");
    };
    unlike_schedule(spec, defaults).or_else(|| unlike_command(job, defaults))
}

fn unlike_schedule(spec: &ScheduleSpec, defaults: &GoDefaults) -> Option<&'static str> {
    if spec.time_zone != defaults.time_zone {
        return Some("its time zone is not the Go fleet's");
    }
    if spec.dst != DstPolicy::default() {
        return Some("its policy for clock changes is not the default");
    }
    if spec.starts_at.is_some() || spec.ends_at.is_some() {
        return Some("its ticks begin or end with a date");
    }
    let read = |dialect| Schedule::parse(&spec.expr, dialect).ok();
    match (spec.dialect, read(Dialect::Go), read(Dialect::Native)) {
        (Dialect::Go, ..) => None,
        (Dialect::Native, Some(go), Some(ours)) if go.names_the_times_of(&ours) => None,
        (Dialect::Native, ..) => Some("the Go fleet's dialect reads its schedule in another way"),
    }
}

fn unlike_command(job: &Job, defaults: &GoDefaults) -> Option<&'static str> {
    let command = &job.command;
    let default = Job::shell(job.name.clone(), "").command;
    match &command.program {
        Program::Shell { shell, .. } if *shell != defaults.shell => {
            return Some("its shell is not the Go fleet's");
        }
        _ => {}
    }
    if !command.env.is_empty() || !command.secrets.is_empty() {
        return Some("its command has variables of its own");
    }
    let plain = command.workdir.is_none() && command.user.is_none();
    match plain && command.umask == default.umask {
        true => None,
        false => Some("its command has a user, a folder or a mask of its own"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    type Change = fn(&mut Job);

    fn scheduled(expr: &str) -> Job {
        let mut job = Job::shell(JobName::existing("a"), "true");
        job.schedule = Some(ScheduleSpec::utc(expr));
        job
    }

    fn is_unlike(job: &Job) -> Option<&'static str> {
        let go = GoJob::of(job, None).expect("a value");
        go.is_unlike(&job.name, &GoDefaults::default())
    }

    #[test]
    fn what_is_done_beside_a_run_does_not_count() {
        let mut job = scheduled("0 3 * * *");
        job.timeout = Some(std::time::Duration::from_secs(5));
        job.retry.max = 3;
        job.labels.insert("team".to_owned(), "a".to_owned());
        assert_eq!(is_unlike(&job), None);
        job.command.program = Program::Argv(vec!["true".to_owned()]);
        assert_eq!(is_unlike(&job), None);
    }

    #[test]
    fn what_a_go_worker_would_do_otherwise_is_named() {
        fn spec(job: &mut Job) -> &mut ScheduleSpec {
            job.schedule.as_mut().expect("scheduled")
        }
        let changes: [(Change, &str); 10] = [
            (|job| job.enabled = false, "enabled"),
            (|job| job.schedule = None, "request"),
            (|job| spec(job).time_zone = "Asia/Tokyo".to_owned(), "zone"),
            (|job| spec(job).dst = DstPolicy::Both, "clock"),
            (
                |job| spec(job).ends_at = Some(Timestamp::from_millis(1)),
                "date",
            ),
            (|job| job.command.user = Some("ann".to_owned()), "user"),
            (|job| job.command.workdir = Some("/".to_owned()), "folder"),
            (|job| job.command.umask = 0o077, "mask"),
            (
                |job| drop(job.command.env.insert("A".to_owned(), "b".to_owned())),
                "variables",
            ),
            (
                |job| {
                    job.command.program = Program::Shell {
                        shell: vec!["/bin/sh".to_owned(), "-c".to_owned()],
                        text: "true".to_owned(),
                    };
                },
                "shell",
            ),
        ];
        for (change, word) in changes {
            let mut job = scheduled("0 3 * * *");
            change(&mut job);
            let why = is_unlike(&job).unwrap_or_default();
            assert!(why.contains(word), "{word}: {why}");
        }
    }

    #[test]
    fn a_schedule_is_alike_if_both_dialects_name_the_same_times() {
        for (expr, alike) in [
            ("*/5 * * * *", true),
            ("0 30 9 * * mon-fri *", true),
            ("0 0 1,15 * *", true),
            ("@daily", true),
            // The Go fleet's library has no such shorthand.
            ("@midnight", false),
            ("@every 90s", false),
            ("@at 2027-01-01T00:00:00Z", false),
            // It joins these days with OR, we with AND.
            ("0 0 */2 * 1", false),
            // A Go worker would run these without a pause.
            ("0 9 * * 5-7", false),
            // It takes this for Sundays alone.
            ("0 9 * * 0-7", false),
        ] {
            assert_eq!(is_unlike(&scheduled(expr)).is_none(), alike, "{expr}");
        }
    }

    #[test]
    fn what_a_go_master_saved_is_like_it() {
        let value = br#"{"name":"a","command":"true","cronExpr":"0 9 * * 5-2"}"#;
        let go = GoJob::parse(value).expect("a value");
        assert_eq!(
            go.is_unlike(&JobName::existing("a"), &GoDefaults::default()),
            None
        );
    }
}
