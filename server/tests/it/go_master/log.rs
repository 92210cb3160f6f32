//! `/job/log`: what workers of either kind have logged, and what others have left in the same collection.

use super::mongo::{Doc, log};
use super::{Answer, FORM, Fleet, ask, get, post};

const MS: i64 = 1_795_189_862_000;

/// The canonical document of a Go worker.
fn canonical(job: &str, started: i64) -> Doc {
    Doc::default()
        .text("jobName", job)
        .text("command", "echo <b>")
        .text("err", "exit status 3")
        .text("output", "a & b\n")
        .long("planTime", MS)
        .long("scheduleTime", MS)
        .long("startTime", started)
        .long("endTime", started + 2)
}

fn entry(started: i64) -> String {
    let ended = started + 2;
    format!(
        r#"{{"jobName":"job1","command":"echo \u003cb\u003e","err":"exit status 3","output":"a \u0026 b\n","planTime":{MS},"scheduleTime":{MS},"startTime":{started},"endTime":{ended}}}"#
    )
}

fn entries(started: impl IntoIterator<Item = i64>) -> String {
    let all: Vec<_> = started.into_iter().map(entry).collect();
    format!(
        r#"{{"errno":0,"msg":"success","data":[{}]}}"#,
        all.join(",")
    )
}

#[tokio::test]
async fn the_log_is_what_a_go_master_would_list() {
    let fleet = Fleet::new();
    let server = fleet.master();
    for at in [5, 1, 3, 2, 4] {
        log(
            &fleet.stores.mongo,
            &fleet.stores.own,
            canonical("job1", MS + at),
        );
    }
    log(
        &fleet.stores.mongo,
        &fleet.stores.own,
        canonical("another", MS),
    );
    let at = |all: &[i64]| entries(all.iter().map(|at| MS + at));
    let cases: [(Answer, &[i64]); 8] = [
        (get(&server, "/job/log?name=job1"), &[5, 4, 3, 2, 1]),
        (get(&server, "/job/log?name=job1&skip=1&limit=2"), &[4, 3]),
        (
            get(&server, "/job/log?name=job1&skip=x&limit=2.5"),
            &[5, 4, 3, 2, 1],
        ),
        (get(&server, "/job/log?name=job1&limit=-2"), &[5, 4]),
        (get(&server, "/job/log?name=job1&limit=0"), &[5, 4, 3, 2, 1]),
        (post(&server, "/job/log", "name=job1&limit=1"), &[5]),
        (
            ask(
                &server,
                "POST /job/log?name=another&limit=1",
                FORM,
                b"name=job1",
            ),
            &[5],
        ),
        (get(&server, "/job/log"), &[]),
    ];
    for (answer, want) in cases {
        assert_eq!(answer.body, at(want));
    }
    let negative = super::refusal(&get(&server, "/job/log?name=job1&skip=-1"));
    assert!(
        negative.starts_with("skip: -1 is not accepted"),
        "{negative}"
    );
}

#[tokio::test]
async fn twenty_entries_are_shown_unless_more_are_asked_for() {
    let fleet = Fleet::new();
    let server = fleet.master();
    for at in 0..22 {
        log(
            &fleet.stores.mongo,
            &fleet.stores.own,
            canonical("job1", MS + at),
        );
    }
    let newest = |count: i64| entries((22 - count..22).rev().map(|at| MS + at));
    assert_eq!(get(&server, "/job/log?name=job1").body, newest(20));
    assert_eq!(get(&server, "/job/log?name=job1&limit=0").body, newest(22));
}

/// Go's driver writes any bytes as text, and its demos other units and shapes.
#[tokio::test]
async fn documents_of_every_shape_are_shown() {
    let fleet = Fleet::new();
    let server = fleet.master();
    let shapes = [
        (
            Doc::default()
                .text("jobName", "s0")
                .text("output", b"a\xffb"),
            r#""jobName":"s0","command":"","err":"","output":"a�b","planTime":0,"scheduleTime":0,"startTime":0,"endTime":0"#,
        ),
        (
            Doc::default()
                .text("jobName", "s1")
                .long("planTime", -6_795_364_578_871),
            r#""jobName":"s1","command":"","err":"","output":"","planTime":-6795364578871,"scheduleTime":0,"startTime":0,"endTime":0"#,
        ),
        (
            Doc::default()
                .text("jobName", "s2")
                .text("content", "hello")
                .nested(
                    3,
                    "timePoint",
                    Doc::default()
                        .int("startTime", 1_795_189_862)
                        .long("endTime", 1_795_189_863),
                ),
            r#""jobName":"s2","command":"","err":"","output":"hello","planTime":0,"scheduleTime":0,"startTime":1795189862000,"endTime":1795189863000"#,
        ),
        (
            Doc::default()
                .text("jobName", "s3")
                .double("startTime", 1_795_189_862_000.0)
                .long("endTime", MS * 1_000_000),
            r#""jobName":"s3","command":"","err":"","output":"","planTime":0,"scheduleTime":0,"startTime":1795189862000,"endTime":1795189862000"#,
        ),
        (
            Doc::default()
                .text("jobName", "s4")
                .int("err", 7)
                .int("output", 7),
            r#""jobName":"s4","command":"","err":"","output":"","planTime":0,"scheduleTime":0,"startTime":0,"endTime":0"#,
        ),
    ];
    for (at, (document, want)) in shapes.into_iter().enumerate() {
        log(&fleet.stores.mongo, &fleet.stores.own, document);
        let answer = get(&server, &format!("/job/log?name=s{at}")).body;
        assert_eq!(
            answer,
            format!(r#"{{"errno":0,"msg":"success","data":[{{{want}}}]}}"#)
        );
    }
}
