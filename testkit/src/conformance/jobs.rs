//! Cases on the job store: versions, preconditions, and a watch that misses nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{join, join_all};
use sandclock_core::ErrorKind;
use sandclock_core::backend::{Events, JobEvent, JobSnapshot, Precondition, StoredJob, Version};
use sandclock_core::job::{
    Command, HookBinding, Job, JobName, Leftovers, Limits, OutputMode, Program, ScheduleSpec,
    SecretSource,
};
use sandclock_core::policy::{
    Backoff, ConcurrencyPolicy, LostRunPolicy, Misfire, MisfirePolicy, RetryOn, RetryPolicy,
};
use sandclock_core::schedule::{Dialect, DstPolicy};

use super::CoordinationEnv;
use super::events::{next, rest};
use super::scene::{at, job, name};

const MANY: Precondition = Precondition::Any;

fn plain(text: &str) -> Job {
    job(text, ConcurrencyPolicy::Forbid)
}

fn described(job: &Job, description: impl ToString) -> Job {
    Job {
        description: description.to_string(),
        ..job.clone()
    }
}

async fn put(env: &CoordinationEnv, job: &Job, pre: Precondition) -> Version {
    env.jobs.put(job, pre).await.expect("put").version
}

async fn get(env: &CoordinationEnv, name: &JobName) -> Option<StoredJob> {
    env.jobs.get(name).await.expect("get")
}

/// Of 32 creations of one job at once, one succeeds.
pub async fn absent_put_wins_once(env: &CoordinationEnv) {
    let base = plain("reports");
    let puts = (0..32).map(|i| {
        let job = described(&base, i);
        async move { (i, env.jobs.put(&job, Precondition::Absent).await) }
    });
    let answers = join_all(puts).await;
    let won: Vec<_> = answers
        .iter()
        .filter(|(_, answer)| answer.is_ok())
        .collect();
    assert_eq!(won.len(), 1);
    for (_, answer) in &answers {
        if let Err(error) = answer {
            assert_eq!(error.kind, ErrorKind::Conflict);
        }
    }
    let stored = get(env, &base.name).await.expect("created");
    assert_eq!(stored.job.description, won[0].0.to_string());
}

/// A put that names a version changes exactly that version, and nothing that is absent.
pub async fn put_needs_the_version_it_names(env: &CoordinationEnv) {
    let first = plain("reports");
    let absent = env
        .jobs
        .put(&first, Precondition::Matches(Version(1)))
        .await;
    assert_eq!(absent.expect_err("absent").kind, ErrorKind::Conflict);
    assert_eq!(get(env, &first.name).await, None);
    let v1 = put(env, &first, Precondition::Absent).await;
    let v2 = put(env, &described(&first, 2), Precondition::Matches(v1)).await;
    let stale = env
        .jobs
        .put(&described(&first, 3), Precondition::Matches(v1))
        .await;
    assert_eq!(stale.expect_err("stale").kind, ErrorKind::Conflict);
    let stored = get(env, &first.name).await.expect("there");
    assert_eq!((stored.version, stored.job.description.as_str()), (v2, "2"));
}

/// A delete takes exactly what it names, and says when there is nothing.
pub async fn delete_needs_what_it_names(env: &CoordinationEnv) {
    let first = plain("reports");
    let v1 = put(env, &first, Precondition::Absent).await;
    let v2 = put(env, &described(&first, 2), MANY).await;
    for pre in [Precondition::Matches(v1), Precondition::Absent] {
        let refused = env.jobs.delete(&first.name, pre).await;
        assert_eq!(refused.expect_err("{pre:?}").kind, ErrorKind::Conflict);
    }
    assert!(get(env, &first.name).await.is_some());
    let delete = env.jobs.delete(&first.name, Precondition::Matches(v2));
    delete.await.expect("delete");
    assert_eq!(get(env, &first.name).await, None);
    let again = env.jobs.delete(&first.name, MANY).await;
    assert_eq!(again.expect_err("gone").kind, ErrorKind::NotFound);
}

/// Each write, of whatever job, has a greater version than all before; a failed one uses none.
pub async fn versions_rise_with_every_write(env: &CoordinationEnv) {
    let (a, b) = (plain("a"), plain("b"));
    let mut last = Version(0);
    for i in 0..10 {
        for job in [&a, &b] {
            let version = put(env, &described(job, i), MANY).await;
            assert!(version > last, "{version:?} after {last:?}");
            last = version;
            assert_eq!(get(env, &job.name).await.map(|job| job.version), Some(last));
        }
    }
}

/// An edit keeps the life of the name; delete and create begin a new one, with greater versions.
pub async fn a_recreated_job_begins_a_new_life(env: &CoordinationEnv) {
    let first = plain("reports");
    let v1 = put(env, &first, Precondition::Absent).await;
    let v2 = put(env, &described(&first, 2), MANY).await;
    let edited = get(env, &first.name).await.expect("there");
    env.jobs.delete(&first.name, MANY).await.expect("delete");
    let v3 = put(env, &first, Precondition::Absent).await;
    let recreated = get(env, &first.name).await.expect("there");
    assert!(v1 < v2 && v2 < v3);
    assert!(edited.created <= v1, "an edit is not a new life");
    assert!(recreated.created > v2, "a new life");
    assert_eq!(recreated.version, v3);
}

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
        .delete(&JobName::existing("a"), MANY)
        .await
        .expect("delete");
    let left = env.jobs.snapshot().await.expect("snapshot").jobs.len();
    assert_eq!(left, names.len() - 1);
}

/// 100 writers that each replace the version they read: every write builds on the one before.
pub async fn one_of_many_writers_wins_each_version(env: &CoordinationEnv) {
    let counter = described(&plain("counter"), 0);
    put(env, &counter, Precondition::Absent).await;
    let writers = (0..100).map(|_| async {
        loop {
            let read = get(env, &counter.name).await.expect("there");
            let count: u32 = read.job.description.parse().expect("a number");
            let next = described(&read.job, count + 1);
            match env
                .jobs
                .put(&next, Precondition::Matches(read.version))
                .await
            {
                Ok(_) => return,
                Err(error) => assert_eq!(error.kind, ErrorKind::Conflict),
            }
            tokio::task::yield_now().await;
        }
    });
    join_all(writers).await;
    let last = get(env, &counter.name).await.expect("there");
    assert_eq!(last.job.description, "100");
}

/// What a reader of the watch believes.
#[derive(Default)]
struct Mirror(BTreeMap<JobName, (Version, Option<StoredJob>)>);

impl Mirror {
    fn of(snapshot: JobSnapshot) -> Self {
        let mut mirror = Self::default();
        for job in snapshot.jobs {
            mirror.apply(JobEvent::Put(job));
        }
        mirror
    }

    fn apply(&mut self, event: JobEvent) {
        let (name, version, job) = match event {
            JobEvent::Put(job) => (job.job.name.clone(), job.version, Some(job)),
            JobEvent::Deleted(name, version) => (name, version, None),
            JobEvent::Progress => return,
        };
        let entry = self.0.entry(name).or_default();
        if version > entry.0 {
            *entry = (version, job);
        }
    }

    fn jobs(&self) -> Vec<StoredJob> {
        let jobs = self.0.values().filter_map(|(_, job)| job.clone());
        jobs.collect()
    }

    /// Follows until the job named `last` is put.
    async fn follow<C>(&mut self, events: &mut Events<(C, JobEvent)>) {
        loop {
            let (_, event) = next(events).await;
            let last = matches!(&event, JobEvent::Put(job) if job.job.name.as_str() == "last");
            self.apply(event);
            if last {
                return;
            }
        }
    }
}

async fn stored(env: &CoordinationEnv) -> Vec<StoredJob> {
    Mirror::of(env.jobs.snapshot().await.expect("snapshot")).jobs()
}

async fn busy_writer(env: &CoordinationEnv, writer: &str) {
    for i in 0..20 {
        let job = plain(&format!("{writer}-{}", i % 5));
        put(env, &described(&job, i), MANY).await;
        tokio::task::yield_now().await;
        if i % 4 == 3 {
            env.jobs.delete(&job.name, MANY).await.expect("delete");
        }
    }
}

/// S10: a snapshot in the midst of four writers and the watch from its cursor say what the store holds.
pub async fn snapshot_and_watch_have_no_gap(env: &CoordinationEnv) {
    let writes = async {
        join_all(["a", "b", "c", "d"].map(|writer| busy_writer(env, writer))).await;
        put(env, &plain("last"), MANY).await;
    };
    let reads = async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let snapshot = env.jobs.snapshot().await.expect("snapshot");
        let mut events = env
            .jobs
            .watch(snapshot.cursor.clone())
            .await
            .expect("watch");
        let mut mirror = Mirror::of(snapshot);
        mirror.follow(&mut events).await;
        mirror
    };
    let ((), mirror) = join(writes, reads).await;
    assert_eq!(mirror.jobs(), stored(env).await);
}

/// The changes of one job come in the order of their versions, none left out.
pub async fn each_jobs_changes_come_in_order(env: &CoordinationEnv) {
    let cursor = env.jobs.snapshot().await.expect("snapshot").cursor;
    let mut events = env.jobs.watch(cursor).await.expect("watch");
    let one = plain("one");
    let mut written = Vec::new();
    for i in 0..20 {
        written.push(put(env, &described(&one, i), MANY).await);
    }
    put(env, &plain("last"), MANY).await;
    let mut seen = Vec::new();
    loop {
        match next(&mut events).await.1 {
            JobEvent::Put(job) if job.job.name.as_str() == "last" => break,
            JobEvent::Put(job) if seen.last() < Some(&job.version) => seen.push(job.version),
            _ => {}
        }
    }
    assert_eq!(seen, written);
}

/// A watch that broke goes on from the last cursor it gave, without a gap.
pub async fn a_watch_resumes_after_it_broke(env: &CoordinationEnv) {
    let snapshot = env.jobs.snapshot().await.expect("snapshot");
    let mut cursor = snapshot.cursor.clone();
    let mut mirror = Mirror::of(snapshot);
    let mut events = env.jobs.watch(cursor.clone()).await.expect("watch");
    busy_writer(env, "a").await;
    for _ in 0..3 {
        let (at, event) = next(&mut events).await;
        mirror.apply(event);
        cursor = at;
    }
    env.powers.disturb().await;
    let (read, error) = rest(&mut events).await;
    assert!(error.is_transient(), "{error:?}");
    for (at, event) in read {
        mirror.apply(event);
        cursor = at;
    }
    busy_writer(env, "b").await;
    let mut events = env.jobs.watch(cursor).await.expect("watch again");
    put(env, &plain("last"), MANY).await;
    mirror.follow(&mut events).await;
    assert_eq!(mirror.jobs(), stored(env).await);
}

/// A cursor whose history is gone is refused as such, at once or as the stream's last item.
pub async fn forgotten_history_is_said(env: &CoordinationEnv) {
    let old = env.jobs.snapshot().await.expect("snapshot").cursor;
    busy_writer(env, "a").await;
    env.powers.forget_history().await;
    let error = match env.jobs.watch(old).await {
        Err(error) => error,
        Ok(mut events) => rest(&mut events).await.1,
    };
    assert_eq!(error.kind, ErrorKind::CursorExpired);
    let snapshot = env.jobs.snapshot().await.expect("snapshot");
    let mut events = env
        .jobs
        .watch(snapshot.cursor.clone())
        .await
        .expect("watch");
    put(env, &plain("last"), MANY).await;
    let mut mirror = Mirror::of(snapshot);
    mirror.follow(&mut events).await;
    assert_eq!(mirror.jobs(), stored(env).await);
}
