//! Keys are made and read back, and are told from those of other kinds.

use super::*;
use sandclock_core::Timestamp;

fn keys() -> Keys {
    Keys::of(&EtcdConfig::at(["localhost:2379"]))
}

#[test]
fn every_name_has_one_key_and_back() {
    let keys = keys();
    let run = RunKey::Tick(Timestamp::from_millis(1_800_000_000_000));
    let table = [
        ("nightly", "nightly"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("", "%"),
        ("%", "%25"),
        ("ä b", "%C3%A4%20b"),
    ];
    for (job, text) in table {
        let job = JobName::existing(job);
        let open = keys.open(&job, &run);
        let want = format!("/sandclock/open/{text}/0001800000000000");
        assert_eq!(String::from_utf8_lossy(&open), want);
        assert_eq!(
            keys.record_of(&open),
            Some(Record::Open(job.clone(), run.clone()))
        );
        let apart = keys.job_apart(&job);
        assert_eq!(keys.record_of(&apart), None);
        assert_eq!(keys.job_of(APART, &apart), Some(job.clone()));
        let mark = keys.mark(&job);
        assert_eq!(keys.record_of(&mark), Some(Record::Mark(job.clone())));
        assert_eq!(keys.job_at(&keys.job(&job)), job);
    }
}

#[test]
fn keys_of_other_kinds_are_no_records() {
    for key in [
        "/sandclock/session/1",
        "/sandclock/open/a",
        "/sandclock/open/a/b",
        "/sandclock/later/a/0000000000000001",
        "/cron/jobs/a",
        "/sandclock/",
    ] {
        assert_eq!(keys().record_of(key.as_bytes()), None, "{key}");
    }
}

#[test]
fn waiting_ticks_are_told_from_waiting_requests() {
    let (keys, job) = (keys(), JobName::existing("a"));
    let ticks = keys.waiting_ticks(&job);
    let within = |run: &RunKey| {
        let key = keys.wait(&job, run);
        ticks.start <= key && key < ticks.end
    };
    for ms in [-1, 0, 1_800_000_000_000] {
        assert!(within(&RunKey::Tick(Timestamp::from_millis(ms))), "{ms}");
    }
    assert!(!within(&RunKey::Request("0".to_owned())));
    assert_eq!(Range::below("/a/").end, b"/a0");
}
