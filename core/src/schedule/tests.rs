//! Tables of what is accepted, refused, computed and said.

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("an RFC 3339 instant")
}

fn table(expr: &str, zone: &str, dst: DstPolicy) -> Timetable {
    let schedule = Schedule::parse(expr, Dialect::Native).expect(expr);
    Timetable::new(schedule, parse_zone(zone).expect(zone), dst, None, None).expect(expr)
}

fn next(expr: &str, zone: &str, dst: DstPolicy, start: &str, count: usize) -> Vec<String> {
    let far = at("2100-01-01T00:00:00Z");
    table(expr, zone, dst)
        .fire_times(at(start), far)
        .take(count)
        .map(|t| t.to_string())
        .collect()
}

/// `native: expr, start => fires` in UTC.
#[test]
fn native_expressions_in_utc() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "30 2 * * *",
            "2026-03-01T02:30:00Z",
            &["2026-03-02T02:30:00Z", "2026-03-03T02:30:00Z"],
        ),
        (
            "0 0 29 2 *",
            "2026-01-01T00:00:00Z",
            &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
        ),
        (
            "0 0 13 * 5",
            "2026-02-12T00:00:00Z",
            &["2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z"],
        ),
        (
            "0 0 */2 * 1",
            "2026-06-01T00:00:00Z",
            &["2026-06-15T00:00:00Z", "2026-06-29T00:00:00Z"],
        ),
        (
            "0 9 L * *",
            "2026-01-31T09:00:00Z",
            &["2026-02-28T09:00:00Z", "2026-03-31T09:00:00Z"],
        ),
        (
            "0 9 LW * *",
            "2026-01-01T00:00:00Z",
            &["2026-01-30T09:00:00Z", "2026-02-27T09:00:00Z"],
        ),
        (
            "0 9 1W * *",
            "2026-08-01T00:00:00Z",
            &["2026-08-03T09:00:00Z", "2026-09-01T09:00:00Z"],
        ),
        (
            "0 9 31W * *",
            "2026-04-01T00:00:00Z",
            &["2026-05-29T09:00:00Z", "2026-07-31T09:00:00Z"],
        ),
        (
            "0 9 * * 5L",
            "2026-01-01T00:00:00Z",
            &["2026-01-30T09:00:00Z", "2026-02-27T09:00:00Z"],
        ),
        (
            "0 9 * * tue#2",
            "2026-01-01T00:00:00Z",
            &["2026-01-13T09:00:00Z", "2026-02-10T09:00:00Z"],
        ),
        (
            "0 9 * * 5-7",
            "2026-11-20T09:00:00Z",
            &["2026-11-21T09:00:00Z", "2026-11-22T09:00:00Z"],
        ),
        (
            "15 30 4 1 1 * 2031,2033",
            "2026-01-01T00:00:00Z",
            &["2031-01-01T04:30:15Z", "2033-01-01T04:30:15Z"],
        ),
        (
            "@every 90s",
            "2026-01-01T00:00:01Z",
            &["2026-01-01T00:01:30Z", "2026-01-01T00:03:00Z"],
        ),
        (
            "@at 2027-01-01T00:00:00+01:00",
            "2026-01-01T00:00:00Z",
            &["2026-12-31T23:00:00Z"],
        ),
    ];
    for (expr, start, expected) in cases {
        assert_eq!(
            next(expr, "UTC", DstPolicy::Vixie, start, 2),
            *expected,
            "{expr}"
        );
    }
}

#[test]
fn policies_around_a_gap_and_a_replay_in_new_york() {
    use DstPolicy::{Both, Skip, Vixie};
    let gap = "2026-03-08T06:00:00Z"; // 01:00 EST; the clock skips 02:00 to 03:00
    let fall = "2026-11-01T04:59:59Z"; // 00:59:59 EDT; the clock shows 01:00 to 02:00 twice
    let cases: &[(&str, DstPolicy, &str, &[&str])] = &[
        (
            "15,45 2 * * *",
            Vixie,
            gap,
            &["2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"],
        ),
        (
            "15,45 2 * * *",
            Skip,
            gap,
            &["2026-03-09T06:15:00Z", "2026-03-09T06:45:00Z"],
        ),
        (
            "30 2,3 * * *",
            Both,
            gap,
            &["2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z"],
        ),
        (
            "0 2,3 * * *",
            Vixie,
            gap,
            &["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"],
        ),
        (
            "30 * * * *",
            Vixie,
            gap,
            &["2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z"],
        ),
        (
            "30 1 * * *",
            Vixie,
            fall,
            &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
        ),
        (
            "30 1 * * *",
            Both,
            fall,
            &["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"],
        ),
        (
            "30 * * * *",
            Vixie,
            fall,
            &["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"],
        ),
        (
            "30 * * * *",
            Skip,
            fall,
            &["2026-11-01T05:30:00Z", "2026-11-01T07:30:00Z"],
        ),
    ];
    for (expr, dst, start, expected) in cases {
        assert_eq!(
            next(expr, "America/New_York", *dst, start, 2),
            *expected,
            "{expr} {dst:?}"
        );
    }
}
