//! Cases on definitions: a job comes back whole, under whatever name it has.

use std::collections::BTreeMap;
use std::time::Duration;

use sandclock_core::backend::{JobEvent, Precondition};
use sandclock_core::job::{
    Command, HookBinding, Job, JobName, Leftovers, Limits, OutputMode, Program, ScheduleSpec,
    SecretSource,
};
use sandclock_core::policy::{
    Backoff, ConcurrencyPolicy, LostRunPolicy, Misfire, MisfirePolicy, RetryOn, RetryPolicy,
};
use sandclock_core::schedule::{Dialect, DstPolicy};

use super::CoordinationEnv;
use super::events::next;
use super::jobs::{described, get, put};
use super::scene::{at, name};

/// How to execute it, no member at its default.
fn full_command() -> Command {
    Command {
        program: Program::Shell {
            shell: vec!["/bin/sh".to_owned(), "-ec".to_owned()],
            text: "printf 'äöü \\n \u{1F552}'; exit 3".to_owned(),
        },
        env: BTreeMap::from([("LANG".to_owned(), "C.UTF-8 \"quoted\"".to_owned())]),
        secrets: BTreeMap::from([
            (
                "TOKEN".to_owned(),
                SecretSource::File("/run/token".to_owned()),
            ),
            (
                "KEY".to_owned(),
                SecretSource::Env("BILLING_KEY".to_owned()),
            ),
        ]),
        workdir: Some("/srv".to_owned()),
        user: Some("billing".to_owned()),
        umask: 0o077,
        limits: Limits {
            output_bytes: 5_000_000_000,
            memory_bytes: Some(1 << 33),
            cpu_s: Some(90),
            open_files: Some(256),
        },
        output: OutputMode::Split,
        leftovers: Leftovers::Keep,
    }
}

/// Every member of a definition, none of them at its default.
fn full() -> Job {
    Job {
        name: name("billing/month-end.v2_b-1"),
        command: full_command(),
        schedule: Some(ScheduleSpec {
            expr: "0 3 L * *".to_owned(),
            dialect: Dialect::Go,
            time_zone: "Europe/Berlin".to_owned(),
            dst: DstPolicy::Both,
            starts_at: Some(at(-1)),
            ends_at: Some(at(1_000_000)),
        }),
        enabled: false,
        schedule_since: Some(at(-5)),
        concurrency: ConcurrencyPolicy::Replace,
        misfire: Misfire {
            policy: MisfirePolicy::All { max: 7 },
            deadline: Duration::from_millis(12_345),
        },
        timeout: Some(Duration::from_millis(1500)),
        grace: Duration::from_millis(2500),
        retry: RetryPolicy {
            max: 4,
            backoff: Backoff {
                initial: Duration::from_millis(250),
                factor: 1.5,
                max: Duration::from_secs(33),
                jitter: 0.25,
            },
            on: RetryOn {
                exit_codes: vec![1, 75],
                signals: vec![9],
                timeout: true,
                lost: true,
            },
            other_worker: true,
        },
        on_lost: LostRunPolicy::Rerun { max: 3 },
        lost_after: Duration::ZERO,
        hooks: vec![HookBinding {
            plugin: "redact-secrets".to_owned(),
            config: serde_json::json!({"words": ["hunter2", "ß"], "deep": {"n": [1, 2.5, null]}}),
        }],
        labels: BTreeMap::from([("team".to_owned(), "billing".to_owned())]),
        description: "ends the month\nand says so".to_owned(),
        owner: "ann@example.com".to_owned(),
    }
}

/// A definition comes back whole from get, snapshot and watch.
pub async fn a_job_comes_back_as_it_was(env: &CoordinationEnv) {
    let argv = Job::new(
        name("argv"),
        Program::Argv(vec![
            "/bin/echo".to_owned(),
            String::new(),
            "a b".to_owned(),
        ]),
    );
    let large = Job::shell(name("large"), "x".repeat(300_000));
    let cursor = env.jobs.snapshot().await.expect("snapshot").cursor;
    let mut events = env.jobs.watch(cursor).await.expect("watch");
    for job in [full(), argv, large] {
        let version = put(env, &job, Precondition::Absent).await;
        let stored = get(env, &job.name).await.expect("there");
        assert_eq!(*stored.job, job);
        assert_eq!(stored.version, version);
        let snapshot = env.jobs.snapshot().await.expect("snapshot");
        assert!(snapshot.jobs.contains(&stored));
        loop {
            if let (_, JobEvent::Put(put)) = next(&mut events).await {
                assert_eq!(put, stored);
                break;
            }
        }
    }
}

/// Names that differ only a little are different jobs, and names of any kind that exist are reachable.
pub async fn names_of_all_kinds_are_kept_apart(env: &CoordinationEnv) {
    let long = "n".repeat(JobName::MAX_BYTES);
    let names = [
        "a", "A", "a/b", "a.b", "a_b", "a-b", "a/b/c", "", "%", "ä", "a b", "a%2Fb", "日本", &long,
    ];
    for text in names {
        let job = described(&Job::shell(JobName::existing(text), "true"), text);
        put(env, &job, Precondition::Absent).await;
    }
    let snapshot = env.jobs.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.jobs.len(), names.len());
    for text in names {
        let name = JobName::existing(text);
        let stored = get(env, &name).await.expect("reachable");
        assert_eq!(
            (stored.job.name.clone(), stored.job.description.as_str()),
            (name, text)
        );
    }
    env.jobs
        .delete(&JobName::existing("a"), Precondition::Any)
        .await
        .expect("delete");
    let left = env.jobs.snapshot().await.expect("snapshot").jobs.len();
    assert_eq!(left, names.len() - 1);
}
