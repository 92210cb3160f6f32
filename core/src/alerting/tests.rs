//! Tables: which alert is sent, waits, goes elsewhere or is dropped, at which instant.

use bytes::Bytes;

use super::*;
use crate::backend::AlertId;
use crate::job::JobName;
use crate::ports::AlertDraft;
use crate::run::{RunId, RunKey};
use crate::schedule::{Hours, Weekday, parse_zone};

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn alert(created: &str) -> Alert {
    let job = JobName::existing("nightly");
    let run = RunId::of(&job, &RunKey::Tick(at("2026-11-01T00:00:00Z")));
    let draft = AlertDraft {
        plugin: "pager".to_owned(),
        index: 0,
        target: "ops".to_owned(),
        dedupe_key: None,
        content_type: "text/plain".to_owned(),
        headers: Vec::new(),
        body: Bytes::from_static(b"failed"),
    };
    Alert::new(run, job, draft, at(created))
}

fn quiet(from: u32, to: u32, days: &[Weekday]) -> Quiet {
    let hours = Hours {
        from: from * 60,
        to: to * 60,
        days: days.to_vec(),
        zone: parse_zone("Europe/Berlin").unwrap(),
    };
    Quiet {
        hours,
        instead: None,
    }
}

#[test]
fn quiet_hours_end_on_the_clock_of_their_zone() {
    use Weekday::{Friday, Saturday, Sunday};
    let night = quiet(22, 7, &[]);
    let weekend = quiet(0, 24, &[Saturday, Sunday]);
    let friday = quiet(22, 7, &[Friday]);
    let cases = [
        // Berlin is an hour ahead of UTC in winter.
        (&night, "2026-11-24T20:59:59Z", None),
        (&night, "2026-11-24T21:00:00Z", Some("2026-11-25T06:00:00Z")),
        (&night, "2026-11-25T05:59:59Z", Some("2026-11-25T06:00:00Z")),
        (&night, "2026-11-25T06:00:00Z", None),
        // And two in summer; in the night of the change the end is by the clock of the morning.
        (&night, "2026-07-01T20:00:00Z", Some("2026-07-02T05:00:00Z")),
        (&night, "2026-10-24T21:00:00Z", Some("2026-10-25T06:00:00Z")),
        (&night, "2026-03-28T22:00:00Z", Some("2026-03-29T05:00:00Z")),
        // Hours that follow on each other end together.
        (
            &weekend,
            "2026-11-21T10:00:00Z",
            Some("2026-11-22T23:00:00Z"),
        ),
        (&weekend, "2026-11-20T22:59:59Z", None),
        // The day is that on which they begin.
        (
            &friday,
            "2026-11-20T22:00:00Z",
            Some("2026-11-21T06:00:00Z"),
        ),
        (
            &friday,
            "2026-11-21T05:00:00Z",
            Some("2026-11-21T06:00:00Z"),
        ),
        (&friday, "2026-11-21T22:00:00Z", None),
        (&friday, "2026-11-20T05:00:00Z", None),
    ];
    for (hours, now, end) in cases {
        let hours = &hours.hours;
        assert_eq!(hours.until(at(now)), end.map(at), "{hours} at {now}");
    }
}

#[test]
fn an_alert_in_quiet_hours_waits_or_goes_elsewhere() {
    let mut policy = TargetPolicy {
        quiet: Some(quiet(22, 7, &[])),
        ..TargetPolicy::default()
    };
    let (now, mut alert) = (at("2026-11-24T23:00:00Z"), alert("2026-11-24T22:59:00Z"));
    let why = "quiet hours, 22:00 to 07:00 Europe/Berlin".to_owned();
    let until = at("2026-11-25T06:00:00Z");
    let wait = Step::Wait {
        why: why.clone(),
        until,
    };
    assert_eq!(policy.step(&alert, now), wait);
    assert_eq!(policy.step(&alert, until), Step::Send);
    policy.quiet.as_mut().unwrap().instead = Some("night".to_owned());
    let to = "night".to_owned();
    let divert = Step::Divert { to, why, until };
    assert_eq!(policy.step(&alert, now), divert);
    // What may have arrived is not sent to others, and what came from others not passed on.
    alert.tries = 1;
    assert_eq!(policy.step(&alert, now), wait);
    alert.tries = 0;
    alert.parts = 1;
    assert_eq!(policy.step(&alert, now), wait);
    alert.parts = 0;
    alert.kind = AlertKind::Diversion;
    assert_eq!(policy.step(&alert, now), wait);
}

#[test]
fn the_first_alert_of_a_group_waits_for_the_others() {
    let policy = TargetPolicy {
        group: Duration::from_secs(60),
        ..TargetPolicy::default()
    };
    let mut alert = alert("2026-11-24T10:00:00Z");
    let waits = |until: &str| Step::Wait {
        why: "others may join it within 60 s".to_owned(),
        until: at(until),
    };
    let first = policy.step(&alert, at("2026-11-24T10:00:20Z"));
    assert_eq!(first, waits("2026-11-24T10:01:00Z"));
    let due = at("2026-11-24T10:01:00Z");
    assert_eq!(policy.step(&alert, due), Step::Send);
    // A clock that is ahead makes nobody wait longer than the window.
    let early = policy.step(&alert, at("2026-11-24T09:00:00Z"));
    assert_eq!(early, waits("2026-11-24T09:01:00Z"));
    // A message that was tried takes nothing more in.
    alert.tries = 1;
    let again = policy.step(&alert, at("2026-11-24T10:00:20Z"));
    assert_eq!(again, Step::Send);
}

#[test]
fn only_who_wants_notices_of_recovery_gets_them() {
    let mut policy = TargetPolicy::default();
    let now = at("2026-11-24T10:00:00Z");
    let notice = Alert {
        kind: AlertKind::Recovery,
        ..alert("2026-11-24T10:00:00Z")
    };
    assert_eq!(policy.step(&notice, now), Step::Drop);
    policy.recovery = true;
    assert_eq!(policy.step(&notice, now), Step::Send);
}

#[test]
fn repeated_failures_go_to_others_as_well() {
    let rule = |after, to: &str| Escalation {
        after,
        to: to.to_owned(),
    };
    let policy = TargetPolicy {
        escalate: vec![rule(2, "lead"), rule(5, "boss")],
        ..TargetPolicy::default()
    };
    let now = at("2026-11-24T10:00:00Z");
    let targets = |failures, kind| -> Vec<String> {
        let alert = Alert {
            failures,
            kind,
            ..alert("2026-11-24T09:00:00Z")
        };
        let copies = policy.escalations(&alert, now);
        assert!(copies.iter().all(|copy| copy.kind == AlertKind::Escalation
            && copy.created_at == now
            && copy.id == alert.id.copy(AlertKind::Escalation, &copy.draft.target)));
        copies.into_iter().map(|copy| copy.draft.target).collect()
    };
    let none: [&str; 0] = [];
    assert_eq!(targets(1, AlertKind::Raised), none);
    assert_eq!(targets(2, AlertKind::Raised), ["lead"]);
    assert_eq!(targets(7, AlertKind::Raised), ["lead", "boss"]);
    assert_eq!(
        targets(7, AlertKind::Escalation),
        none,
        "copies are not copied"
    );
    let id = AlertId("a".to_owned());
    let ids = ["lead", "boss"].map(|to| id.copy(AlertKind::Escalation, to));
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn pauses_grow_and_come_to_an_end() {
    let retry = Retry::default();
    let seconds = |tries| retry.pause(tries, 0.5).map(|pause| pause.as_secs());
    let pauses: Vec<_> = (1..).map_while(seconds).collect();
    assert_eq!(pauses, [1, 4, 16, 64, 256, 1024, 1800, 1800, 1800]);
    let spread = |chance| retry.pause(2, chance).unwrap().as_millis();
    assert_eq!((spread(0.0), spread(1.0)), (3_200, 4_800));
    let never = Retry {
        give_up_after: Duration::ZERO,
        ..retry
    };
    assert_eq!(never.pause(1, 0.5), None);
    let busy = Retry {
        initial: Duration::ZERO,
        ..retry
    };
    assert_eq!(busy.pause(1, 0.5), None, "no end without pauses");
}

/// Whoever gets it instead is told of a recovery, not of a failure; and a copy is not one with another alert, since
/// what it stands for names it.
#[test]
fn what_goes_elsewhere_stays_what_it_is() {
    let now = at("2026-11-24T10:00:00Z");
    let mut raised = alert("2026-11-24T09:00:00Z");
    raised.draft.dedupe_key = Some("nightly".to_owned());
    let other = copy(&raised, AlertKind::Diversion, "night", now);
    assert_eq!(other.kind, AlertKind::Diversion);
    assert_eq!(other.draft.dedupe_key, None);
    let escalated = copy(&raised, AlertKind::Escalation, "lead", now);
    assert_eq!(escalated.draft.dedupe_key, raised.draft.dedupe_key);
    let notice = alert("2026-11-24T09:00:00Z").into_recovery();
    let told = copy(&notice, AlertKind::Diversion, "night", now);
    assert_eq!(told.kind, AlertKind::Recovery);
    assert!(
        told.was_diverted() && !notice.was_diverted(),
        "it is not passed on again"
    );
}
