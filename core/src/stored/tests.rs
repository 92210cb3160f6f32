//! Stored forms: what was ever written stays readable, and what others wrote is kept (S13).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::access::{Grant, Role, SignIn, Token, TokenUse};
use crate::backend::{
    AuditEntry, AuditOutcome, DoneRecord, Generation, Kill, Mark, Nonce, OpenRecord, OpenState,
    Pinned, RunRecord, SessionId, Span, Version, WaitRecord, WorkerInfo,
};
use crate::binding::{Binding, Selector};
use crate::job::{
    HookBinding, Job, JobName, Leftovers, Limits, OutputMode, Program, ScheduleSpec, SecretSource,
};
use crate::policy::{
    Backoff, ConcurrencyPolicy, LostRunPolicy, Misfire, MisfirePolicy, RetryOn, RetryPolicy, Streak,
};
use crate::run::{HookNote, Outcome, OutputSummary, RunId, RunKey, RunState};
use crate::schedule::{Dialect, DstPolicy};
use crate::time::Timestamp;
use crate::vault::SealedSecret;

const T: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A job in which no member has its default.
fn full_job() -> Job {
    let mut job = Job::shell(JobName::existing("nightly/backup"), "make backup");
    let command = &mut job.command;
    command.env = [("LEVEL".to_owned(), "3".to_owned())].into();
    command.secrets = [
        ("KEY".to_owned(), SecretSource::File("/etc/key".to_owned())),
        ("PASS".to_owned(), SecretSource::Name("db".to_owned())),
        ("TOKEN".to_owned(), SecretSource::Env("CI_TOKEN".to_owned())),
    ]
    .into();
    command.workdir = Some("/srv".to_owned());
    command.user = Some("backup".to_owned());
    command.umask = 0o077;
    command.limits = Limits {
        output_bytes: 4096,
        memory_bytes: Some(1 << 30),
        cpu_s: Some(60),
        open_files: Some(64),
    };
    command.output = OutputMode::Split;
    command.leftovers = Leftovers::Keep;
    job.schedule = Some(ScheduleSpec {
        expr: "30 2 * * 1-5".to_owned(),
        dialect: Dialect::Go,
        time_zone: "Europe/Berlin".to_owned(),
        dst: DstPolicy::Both,
        starts_at: Some(T.minus(Duration::from_secs(60))),
        ends_at: Some(T.plus(Duration::from_secs(60))),
    });
    job.enabled = false;
    job.schedule_since = Some(T);
    job.concurrency = ConcurrencyPolicy::Replace;
    job.misfire = Misfire {
        policy: MisfirePolicy::All { max: 5 },
        deadline: Duration::from_secs(7200),
    };
    job.timeout = Some(Duration::from_millis(1_500));
    job.grace = Duration::from_secs(3);
    job.retry = RetryPolicy {
        max: 4,
        backoff: Backoff {
            initial: Duration::from_secs(5),
            factor: 1.5,
            max: Duration::from_secs(50),
            jitter: 0.25,
        },
        on: RetryOn {
            exit_codes: vec![75, 111],
            signals: vec![9],
            timeout: true,
            lost: true,
        },
        other_worker: true,
    };
    job.on_lost = LostRunPolicy::Rerun { max: 2 };
    job.lost_after = Duration::ZERO;
    job.hooks = vec![HookBinding {
        plugin: "timeout-ladder".to_owned(),
        config: json!({"floor_s": 10}),
    }];
    job.labels = [("team".to_owned(), "storage".to_owned())].into();
    job.description = "every night".to_owned();
    job.owner = "storage@example.org".to_owned();
    job
}

fn pinned() -> Pinned {
    Pinned {
        job: Arc::new(Job::new(
            JobName::existing("nightly/backup"),
            Program::Argv(vec!["/bin/true".to_owned(), "-x".to_owned()]),
        )),
        version: Version(7),
    }
}

fn streak(last: RunState, failures: u32) -> Streak {
    Streak {
        last: Some(last),
        failures,
    }
}

fn mark() -> Mark {
    Mark {
        at: T,
        generation: Generation(0xfedc_ba98_7654_3210),
        streak: streak(RunState::TimedOut, 3),
    }
}

fn open(state: OpenState) -> OpenRecord {
    OpenRecord {
        job: JobName::existing("nightly/backup"),
        key: RunKey::Tick(T),
        state,
        attempt: 2,
        reruns: 1,
        pinned: pinned(),
        cause: "asked by ann".to_owned(),
    }
}

fn claimed() -> OpenRecord {
    open(OpenState::Claimed {
        session: SessionId("5e55".to_owned()),
        worker: "w1".to_owned(),
        nonce: Nonce(u128::MAX - 1),
    })
}

fn waiting() -> OpenRecord {
    open(OpenState::Waiting {
        not_before: T,
        exclude: Some("w1".to_owned()),
    })
}

fn wait() -> WaitRecord {
    WaitRecord {
        job: JobName::existing("ünïcode \u{0}"),
        key: RunKey::Request("req_1".to_owned()),
        cause: "asked by ann".to_owned(),
    }
}

fn notes() -> Vec<HookNote> {
    vec![HookNote {
        plugin: "timeout-ladder".to_owned(),
        version: None,
        hook: "timeout-policy".to_owned(),
        decision: "limit 15 s".to_owned(),
        failed: true,
        monitored: false,
        took: Duration::from_micros(250),
    }]
}

fn done() -> DoneRecord {
    DoneRecord {
        job: JobName::existing("nightly/backup"),
        key: RunKey::Tick(T),
        span: Some(Span {
            first: T.minus(Duration::from_secs(600)),
            last: T,
            count: 11,
        }),
        outcome: Outcome {
            state: RunState::Killed,
            cause: "killed by ann".to_owned(),
            started_at: Some(T),
            ended_at: T.plus(Duration::from_secs(5)),
            exit_code: Some(-1),
            signal: Some(15),
            output: OutputSummary {
                bytes: 10_000,
                cut: 5_904,
            },
            notes: notes(),
        },
        attempts: 3,
        fence: 99,
        worker: "w1".to_owned(),
        streak_before: streak(RunState::Succeeded, 0),
        streak: streak(RunState::Failed, 1),
        pinned: Some(pinned()),
    }
}

fn run_record() -> RunRecord {
    let DoneRecord {
        job,
        key,
        span,
        outcome,
        ..
    } = done();
    RunRecord {
        id: RunId::of(&job, &key),
        job,
        key,
        span,
        state: outcome.state,
        cause: outcome.cause,
        attempt: 3,
        worker: "w1".to_owned(),
        started_at: outcome.started_at,
        ended_at: Some(outcome.ended_at),
        next_attempt_at: Some(T),
        exit_code: outcome.exit_code,
        signal: outcome.signal,
        output: outcome.output,
        notes: outcome.notes,
    }
}

fn binding() -> Binding {
    Binding {
        name: "data-timeouts".to_owned(),
        selector: Selector {
            prefix: Some("data/".to_owned()),
            labels: [("team".to_owned(), "data".to_owned())].into(),
        },
        hook: HookBinding {
            plugin: "doubler".to_owned(),
            config: json!({ "factor": 3 }),
        },
        order: -5,
        required: true,
    }
}

fn token() -> Token {
    Token {
        id: "1a2b3c4d".to_owned(),
        name: "deploys of data".to_owned(),
        grant: Grant {
            role: Role::Editor,
            prefixes: vec!["data/".to_owned()],
        },
        hash: "9f86$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned(),
        created_at: T,
        created_by: "ann".to_owned(),
        expires_at: Some(T.plus(Duration::from_secs(86_400))),
    }
}

fn token_use() -> TokenUse {
    TokenUse {
        id: "1a2b3c4d".to_owned(),
        at: T,
        from: "10.1.2.3".to_owned(),
    }
}

fn sign_in() -> SignIn {
    SignIn {
        id: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        csrf: "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae".to_owned(),
        subject: "oidc:248289761001".to_owned(),
        name: "oidc:ann@example.org".to_owned(),
        grant: Grant {
            role: Role::Operator,
            prefixes: vec!["data/".to_owned()],
        },
        token: Some("1a2b3c4d".to_owned()),
        created_at: T,
        used_at: T.plus(Duration::from_secs(60)),
        expires_at: T.plus(Duration::from_secs(43_200)),
        idle: Duration::from_secs(3_600),
    }
}

fn secret() -> SealedSecret {
    SealedSecret {
        name: "db".to_owned(),
        key: "1a2b3c4d".to_owned(),
        sealed: "c2VhbGVk".to_owned(),
        set_at: T,
        set_by: "ann".to_owned(),
    }
}

fn audited() -> AuditEntry {
    AuditEntry {
        id: "0190a1-7f".to_owned(),
        at: T,
        who: "ann".to_owned(),
        token: Some("t1".to_owned()),
        from: "192.0.2.7:4711".to_owned(),
        action: "job.put".to_owned(),
        subject: "nightly/backup".to_owned(),
        outcome: AuditOutcome::Done,
        status: Some(200),
        asked: Some(json!({ "reason": "it hangs" })),
        before: Some(json!({ "name": "nightly/backup", "enabled": true })),
        after: Some(json!({ "name": "nightly/backup", "enabled": false })),
    }
}

fn worker() -> WorkerInfo {
    WorkerInfo {
        name: "w1".to_owned(),
        host: "h1".to_owned(),
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        max_concurrent_runs: 8,
        running: 3,
        draining: true,
        clock_doubted: true,
        started_at: T.minus(Duration::from_secs(60)),
        wall_time: T,
        version: "1.2.3".to_owned(),
        time_zone: Some("Europe/Berlin".to_owned()),
        zone_differs: true,
    }
}

fn kill() -> Kill {
    Kill {
        run: RunId::of(&JobName::existing("nightly/backup"), &RunKey::Tick(T)),
        by: "ann".to_owned(),
        why: "it hangs".to_owned(),
    }
}

/// The golden file is what the record is written as today, and reads back as the record.
#[track_caller]
fn check<T: Stored + PartialEq + std::fmt::Debug>(record: &T, golden: &str) {
    let written: Value = serde_json::from_slice(&encode(record).unwrap()).unwrap();
    let golden_value: Value = serde_json::from_str(golden).unwrap();
    assert_eq!(
        written,
        golden_value,
        "written now:\n{}",
        serde_json::to_string_pretty(&written).unwrap()
    );
    assert_eq!(&decode::<T>(golden.as_bytes()).unwrap(), record);
}

#[test]
fn form_1_is_written_and_stays_readable() {
    check(&full_job(), include_str!("golden/v1/job.json"));
    check(&mark(), include_str!("golden/v1/mark.json"));
    check(&claimed(), include_str!("golden/v1/open-claimed.json"));
    check(&waiting(), include_str!("golden/v1/open-waiting.json"));
    check(&wait(), include_str!("golden/v1/wait.json"));
    check(&done(), include_str!("golden/v1/done.json"));
    check(&run_record(), include_str!("golden/v1/run.json"));
    check(&worker(), include_str!("golden/v1/worker.json"));
    check(&kill(), include_str!("golden/v1/kill.json"));
    check(&binding(), include_str!("golden/v1/binding.json"));
    check(&token(), include_str!("golden/v1/token.json"));
    check(&token_use(), include_str!("golden/v1/token-use.json"));
    check(&sign_in(), include_str!("golden/v1/sign-in.json"));
    check(&secret(), include_str!("golden/v1/secret.json"));
    check(&audited(), include_str!("golden/v1/audit.json"));
}

/// Before the first release, what is absent was written as `null` or empty.
#[test]
fn form_1_is_read_with_everything_written_out() {
    let explicit = include_str!("golden/v1/open-claimed-explicit.json");
    let read: OpenRecord = decode(explicit.as_bytes()).unwrap();
    assert_eq!(read, claimed());
}

#[test]
fn members_with_a_default_may_be_absent() {
    let mut value: Value = serde_json::from_slice(&encode(&full_job()).unwrap()).unwrap();
    let object = value.as_object_mut().unwrap();
    for optional in [
        "schedule",
        "schedule_since",
        "timeout_ms",
        "hooks",
        "labels",
        "owner",
    ] {
        assert!(object.shift_remove(optional).is_some(), "{optional}");
    }
    let job: Job = decode(value.to_string().as_bytes()).unwrap();
    assert_eq!((job.schedule, job.timeout, job.hooks), (None, None, vec![]));
}

#[test]
fn what_others_wrote_is_kept() {
    let mut previous: Value = serde_json::from_slice(&encode(&full_job()).unwrap()).unwrap();
    previous["params"] = json!([1, 2]);
    previous["command"]["nice"] = json!(5);
    previous["command"]["env"] = json!({"LEVEL": "3", "GONE": "x"});
    let mut edited = full_job();
    edited.description = "edited".to_owned();
    edited.schedule = None;
    edited.command.env = [("LEVEL".to_owned(), "4".to_owned())].into();

    let bytes = encode_over(&edited, previous.to_string().as_bytes()).unwrap();

    let written: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(written["params"], json!([1, 2]));
    assert_eq!(written["command"]["nice"], json!(5));
    assert_eq!(
        written["command"]["env"],
        json!({"LEVEL": "4"}),
        "known members are the record's alone"
    );
    assert_eq!(decode::<Job>(&bytes).unwrap(), edited);
}

#[test]
fn a_newer_form_is_refused_by_name() {
    let error = decode::<Mark>(br#"{"v": 2, "where": "elsewhere"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "stored mark has form 2, this program knows forms up to 1: upgrade it"
    );
}

#[test]
fn bytes_that_are_no_record_are_refused() {
    for bytes in ["", "null", "{}", r#"{"v": 1}"#, r#"{"v": "1"}"#, "\u{1}"] {
        let error = decode::<DoneRecord>(bytes.as_bytes()).unwrap_err();
        assert!(
            matches!(error, StoredError::Malformed { .. }),
            "{bytes:?}: {error}"
        );
    }
    let mut job: Value = serde_json::from_slice(&encode(&full_job()).unwrap()).unwrap();
    job["command"]["program"] = json!({"argv": []});
    let error = decode::<Job>(job.to_string().as_bytes()).unwrap_err();
    assert!(
        matches!(error, StoredError::Malformed { .. }),
        "an empty argv: {error}"
    );
}

#[test]
fn an_older_form_takes_every_later_step() {
    fn second(_: &str, record: &mut Map<String, Value>) {
        let old = record.shift_remove("timeout").unwrap();
        record.insert("timeout_s".to_owned(), old);
    }
    fn third(kind: &str, record: &mut Map<String, Value>) {
        assert_eq!(kind, "job");
        let seconds = record.shift_remove("timeout_s").unwrap().as_u64().unwrap();
        record.insert("timeout_ms".to_owned(), json!(seconds * 1000));
    }
    let steps: &[Step] = &[second, third];
    let upgraded = |found, member: &str| {
        let mut record = Map::from_iter([(member.to_owned(), json!(3))]);
        upgrade("job", &mut record, found, steps);
        Value::Object(record)
    };
    assert_eq!(upgraded(1, "timeout"), json!({"timeout_ms": 3000}));
    assert_eq!(upgraded(2, "timeout_s"), json!({"timeout_ms": 3000}));
    assert_eq!(upgraded(3, "timeout_ms"), json!({"timeout_ms": 3}));
}

/// Nothing can be kept of bytes that are no record, and everything of a newer program's.
#[test]
fn damaged_bytes_are_replaced_and_newer_ones_are_not() {
    let job = full_job();
    for damaged in [&b"{"[..], b"\xff", br#"{"v":1}"#, b"[]"] {
        assert_eq!(
            encode_over(&job, damaged).unwrap(),
            encode(&job).unwrap(),
            "{damaged:?}"
        );
    }
    let newer = encode_over(&job, br#"{"v":99}"#).unwrap_err();
    assert!(matches!(newer, StoredError::Newer { found: 99, .. }));
}

#[test]
fn a_job_under_another_name_is_no_job() {
    let bytes = encode(&full_job()).unwrap();
    assert_eq!(decode_job(&full_job().name, &bytes).unwrap(), full_job());
    let other = decode_job(&JobName::existing("other"), &bytes).unwrap_err();
    assert!(other.reason().contains("nightly/backup"), "{other}");
}

/// Whatever is in the bytes, the reason is a line that can be shown anywhere.
#[test]
fn a_reason_is_one_short_line() {
    let mut document: Value = serde_json::from_slice(&encode(&full_job()).unwrap()).unwrap();
    document["concurrency"] = format!("\u{1b}[2J\n{}", "x".repeat(10_000)).into();
    let why = decode::<Job>(document.to_string().as_bytes()).unwrap_err();
    let reason = why.reason();
    assert!(reason.starts_with("stored job is malformed: "), "{reason}");
    assert!(reason.chars().count() <= 300 && !reason.chars().any(char::is_control));
    let cut = decode::<Job>(b"{").unwrap_err().reason();
    assert_eq!(cut, "stored job is malformed: EOF while parsing an object");
}
