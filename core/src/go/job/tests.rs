//! The Go fleet's job values: how they are read, and what is written.

use super::*;
use crate::policy::ConcurrencyPolicy;

fn name() -> JobName {
    JobName::existing("nightly/backup")
}

fn read(value: &str) -> Job {
    let go = GoJob::parse(value.as_bytes()).unwrap();
    go.job(&name(), &GoDefaults::default()).unwrap()
}

fn refused(value: &[u8]) -> String {
    let read = GoJob::parse(value).and_then(|go| go.job(&name(), &GoDefaults::default()));
    read.unwrap_err().to_string()
}

fn scheduled(program: Program) -> Job {
    let mut job = Job::new(name(), program);
    job.concurrency = ConcurrencyPolicy::Queue;
    job.schedule = Some(ScheduleSpec {
        expr: "30 2 * * 1-5".to_owned(),
        dialect: Dialect::Native,
        time_zone: "Europe/Berlin".to_owned(),
        dst: DstPolicy::Skip,
        starts_at: None,
        ends_at: None,
    });
    job
}

fn shell(text: &str) -> Program {
    Program::Shell {
        shell: vec!["/bin/sh".to_owned(), "-c".to_owned()],
        text: text.to_owned(),
    }
}

/// The value of `job`, taken apart by a reader that knows nothing of ours.
fn value_of(job: &Job) -> Value {
    serde_json::from_slice(&GoJob::of(job, None).unwrap().to_bytes()).unwrap()
}

/// What a client of a Go master sends, over what was there.
fn saved(form: &str, old: &GoJob) -> GoJob {
    GoJob::parse(form.as_bytes()).unwrap().over(old)
}

#[test]
fn a_save_keeps_what_it_does_not_name() {
    let old = GoJob::parse(br#"{"Name":"a","command":"x","cronExpr":"@daily","b":1,"c":{"d":2}}"#)
        .unwrap();
    let new = saved(
        r#"{"name":"a","command":"y","cronExpr":"@hourly","b":3,"e":null}"#,
        &old,
    );
    let stored: Value = serde_json::from_slice(&new.to_bytes()).unwrap();
    let want = json!({ "name": "a", "command": "y", "cronExpr": "@hourly", "b": 3, "c": { "d": 2 }, "e": null });
    assert_eq!(stored, want);
    let shown = json!({ "name": "a", "command": "y", "cronExpr": "@hourly" });
    assert_eq!(new.shown(), shown);
}

/// The same expression means the same as before; another one means what a Go master's clients mean by it.
#[test]
fn a_save_of_another_schedule_is_in_the_go_dialect() {
    let job = scheduled(shell("x"));
    let old = GoJob::of(&job, None).unwrap();
    let read = |go: GoJob| go.job(&name(), &GoDefaults::default()).unwrap();
    let same = read(saved(r#"{"command":"y","cronExpr":"30 2 * * 1-5"}"#, &old));
    let with_y = Job {
        command: crate::job::Command {
            program: shell("y"),
            ..job.command.clone()
        },
        ..job.clone()
    };
    assert_eq!(same, with_y);
    let other = read(saved(
        r#"{"command":"x","cronExpr":"30 2 * * 1 2030"}"#,
        &old,
    ));
    let mut want = job;
    let spec = want.schedule.as_mut().unwrap();
    spec.expr = "30 2 * * 1 2030".to_owned();
    spec.dialect = Dialect::Go;
    assert_eq!(other, want, "zone and policies stay");
}

#[test]
fn a_go_job_has_the_go_defaults() {
    let stored = r#"{"name":"x","command":"echo a \u003e /dev/null","cronExpr":"*/2 * * * * * *"}"#;
    let job = read(stored);
    let mut want = Job::shell(name(), "echo a > /dev/null");
    want.schedule = Some(ScheduleSpec {
        dialect: Dialect::Go,
        ..ScheduleSpec::utc("*/2 * * * * * *")
    });
    want.misfire.policy = MisfirePolicy::Skip;
    want.command.leftovers = Leftovers::Keep;
    assert_eq!(job, want);
}

#[test]
fn a_go_job_runs_in_the_shell_and_the_zone_of_its_fleet() {
    let defaults = GoDefaults {
        time_zone: "Asia/Shanghai".to_owned(),
        shell: vec!["/bin/sh".to_owned(), "-c".to_owned()],
    };
    let go = GoJob::parse(br#"{"command":"true","cronExpr":"@daily"}"#).unwrap();
    let job = go.job(&name(), &defaults).unwrap();
    assert_eq!(job.command.program, shell("true"));
    assert_eq!(job.schedule.unwrap().time_zone, "Asia/Shanghai");
}

#[test]
fn reading_is_as_lenient_as_go() {
    let table = [
        (
            r#"{"NAME":"ci","Command":"true","CRONEXPR":"@daily","extra":1}"#,
            "true",
            Some("@daily"),
        ),
        (r#"{"command":null,"cronExpr":null}"#, "", None),
        ("{}", "", None),
        (r#"{"command":"a","COMMAND":"b"}"#, "b", None),
    ];
    for (stored, command, expr) in table {
        let job = read(stored);
        let want = Job::shell(name(), command).command.program;
        assert_eq!(job.command.program, want, "{stored}");
        assert_eq!(
            job.schedule.map(|spec| spec.expr).as_deref(),
            expr,
            "{stored}"
        );
    }
    let lossy = GoJob::parse(b"{\"command\":\"a\xffb\"}").unwrap();
    assert_eq!(lossy.command, "a\u{fffd}b");
}

#[test]
fn what_go_refuses_is_refused_with_the_reason() {
    let table: [(&[u8], &str); 6] = [
        (b"", "the value is not JSON"),
        (b"{bad", "the value is not JSON"),
        (b"[]", "the value is a list instead of an object"),
        (br#"{"Name":5}"#, "member Name is a number instead of text"),
        (
            br#"{"sandclock":true}"#,
            "member sandclock is a truth value instead of an object",
        ),
        (
            br#"{"sandclock":{"v":1}}"#,
            "member sandclock is not a definition",
        ),
    ];
    for (value, why) in table {
        assert_eq!(refused(value), why);
    }
}

#[test]
fn a_job_is_written_for_both_kinds_of_reader() {
    let job = scheduled(shell("make backup"));
    let value = value_of(&job);
    let members: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["name", "command", "cronExpr", "sandclock"]);
    assert_eq!(value["name"], "nightly/backup");
    assert_eq!(value["command"], "make backup");
    assert_eq!(value["cronExpr"], "30 2 * * 1-5");
    let ours = &value["sandclock"];
    assert_eq!(ours["name"], Value::Null, "nothing is said twice");
    assert_eq!(ours["schedule"]["expr"], Value::Null);
    assert_eq!(
        ours["command"]["program"],
        json!({"shell": {"shell": ["/bin/sh", "-c"]}})
    );
    assert_eq!(read(&value.to_string()), job);
}

#[test]
fn arguments_come_back_as_arguments() {
    let argv = ["/bin/echo", "", "it's"].map(str::to_owned).to_vec();
    let job = scheduled(Program::Argv(argv));
    let mut value = value_of(&job);
    assert_eq!(value["command"], r"/bin/echo '' 'it'\''s'");
    assert_eq!(read(&value.to_string()), job);
    value["command"] = json!("rm -i");
    let want = Job::shell(name(), "rm -i").command.program;
    assert_eq!(
        read(&value.to_string()).command.program,
        want,
        "what a Go worker runs"
    );
}

#[test]
fn the_go_members_win() {
    let mut value = value_of(&scheduled(shell("make backup")));
    value["command"] = json!("make more");
    value["cronExpr"] = json!("@daily");
    let mut want = scheduled(shell("make more"));
    want.schedule.as_mut().unwrap().expr = "@daily".to_owned();
    assert_eq!(read(&value.to_string()), want);
    value["cronExpr"] = json!("");
    assert_eq!(read(&value.to_string()).schedule, None);

    let mut value = value_of(&Job::shell(name(), "true"));
    value["cronExpr"] = json!("@hourly");
    let spec = read(&value.to_string()).schedule.unwrap();
    assert_eq!((spec.expr.as_str(), spec.dialect), ("@hourly", Dialect::Go));
}

/// S13: members of other programs survive our save, beside our member and inside it.
#[test]
fn what_others_wrote_is_kept() {
    let mut value = value_of(&scheduled(shell("make backup")));
    value["remark"] = json!("do not touch");
    value["sandclock"]["params"] = json!([1, 2]);
    let previous = GoJob::parse(value.to_string().as_bytes()).unwrap();
    let mut edited = scheduled(shell("make backup"));
    edited.description = "edited".to_owned();
    let saved = GoJob::of(&edited, Some(&previous)).unwrap().to_bytes();
    let saved: Value = serde_json::from_slice(&saved).unwrap();
    assert_eq!(saved["remark"], "do not touch");
    assert_eq!(saved["sandclock"]["params"], json!([1, 2]));
    assert_eq!(read(&saved.to_string()), edited);
}

#[test]
fn a_broken_definition_can_be_replaced_but_not_a_later_one() {
    let job = scheduled(shell("true"));
    let broken = GoJob::parse(br#"{"sandclock":{"v":1}}"#).unwrap();
    assert!(GoJob::of(&job, Some(&broken)).is_ok());
    let later = GoJob::parse(br#"{"sandclock":{"v":99}}"#).unwrap();
    let refused = GoJob::of(&job, Some(&later)).unwrap_err();
    assert!(refused.is_newer());
    assert!(refused.reason().contains("99"), "{}", refused.reason());
}

/// A Go master's save keeps command and schedule and drops the rest.
#[test]
fn a_dropped_definition_is_taken_from_the_copy() {
    let job = scheduled(shell("make backup"));
    let copy = GoJob::of(&job, None).unwrap();
    let by_go = |command: &str| {
        let value =
            json!({"name": "nightly/backup", "command": command, "cronExpr": "30 2 * * 1-5"});
        let saved = GoJob::parse(value.to_string().as_bytes()).unwrap();
        assert!(!saved.has_definition());
        let joined = saved.joined(&copy);
        joined.job(&name(), &GoDefaults::default()).unwrap()
    };
    assert_eq!(by_go("make backup"), job);
    let changed = by_go("make more");
    assert_eq!(
        changed.concurrency,
        ConcurrencyPolicy::Forbid,
        "another job now"
    );
    assert_eq!(changed.misfire.policy, MisfirePolicy::Skip);
}
