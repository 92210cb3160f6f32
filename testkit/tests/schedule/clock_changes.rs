//! The three DST policies against a clock that is watched minute by minute.
//!
//! The oracle is a cron daemon in miniature: it wakes at every minute of UTC, reads the local clock
//! and decides from what it has seen on it so far. It shares nothing with core: the offsets come
//! from Python's zoneinfo, the calendar is its own, and the expressions are Rust functions.

use std::collections::BTreeMap;

use sandclock_core::Timestamp;
use sandclock_core::schedule::{
    Dialect, DstPolicy, Schedule, Timetable, Zone, parse_zone, zone_names, zone_release,
};

use sandclock_testkit::oracle::{self, Change};

/// 2020-01-01 and 2036-01-01.
const YEARS: (i64, i64) = (1_577_836_800, 2_082_758_400);
const DAY: i64 = 86_400;
const POLICIES: [DstPolicy; 3] = [DstPolicy::Vixie, DstPolicy::Skip, DstPolicy::Both];

/// A minute of a local clock.
#[derive(Clone, Copy)]
struct Local {
    minute: i64,
    hour: i64,
    day: i64,
    month: i64,
    /// 0 = Sunday
    weekday: i64,
}

struct Case {
    expr: &'static str,
    wildcard: bool,
    matches: fn(Local) -> bool,
}

/// Transitions happen at 00:00 to 04:00 in most zones and about 22:00 in some, on any day.
const CASES: [Case; 12] = [
    Case {
        expr: "*/15 * * * *",
        wildcard: true,
        matches: |t| t.minute % 15 == 0,
    },
    Case {
        expr: "30 * * * *",
        wildcard: true,
        matches: |t| t.minute == 30,
    },
    Case {
        expr: "* 2 * * *",
        wildcard: true,
        matches: |t| t.hour == 2,
    },
    Case {
        expr: "5 */2 * * *",
        wildcard: true,
        matches: |t| t.minute == 5 && t.hour % 2 == 0,
    },
    Case {
        expr: "30 2 * * *",
        wildcard: false,
        matches: |t| t.minute == 30 && t.hour == 2,
    },
    Case {
        expr: "0 0 * * *",
        wildcard: false,
        matches: |t| t.minute == 0 && t.hour == 0,
    },
    Case {
        expr: "15,45 1,2,3 * * *",
        wildcard: false,
        matches: |t| t.minute % 30 == 15 && (1..=3).contains(&t.hour),
    },
    Case {
        expr: "0-59/20 0-23 * * *",
        wildcard: false,
        matches: |t| t.minute % 20 == 0,
    },
    Case {
        expr: "0 3 * * 0",
        wildcard: false,
        matches: |t| t.minute == 0 && t.hour == 3 && t.weekday == 0,
    },
    Case {
        expr: "10 0-4 1-7 * *",
        wildcard: false,
        matches: |t| t.minute == 10 && t.hour <= 4 && t.day <= 7,
    },
    Case {
        expr: "55 22,23 25-31 3,10 6,0",
        wildcard: false,
        matches: |t| {
            t.minute == 55
                && t.hour >= 22
                && [3, 10].contains(&t.month)
                && (t.day >= 25 || t.weekday == 6 || t.weekday == 0)
        },
    },
    Case {
        expr: "0 1-23/2 * * *",
        wildcard: false,
        matches: |t| t.minute == 0 && t.hour % 2 == 1,
    },
];

/// Reads a local second; the calendar counts years from March so that February ends them.
fn local(second: i64) -> Local {
    let days = second.div_euclid(DAY);
    let from_march = days + 719_468;
    let of_era = from_march.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    Local {
        minute: second.rem_euclid(3600) / 60,
        hour: second.rem_euclid(DAY) / 3600,
        day: of_year - (153 * month + 2) / 5 + 1,
        month: if month < 10 { month + 3 } else { month - 9 },
        weekday: (days + 4).rem_euclid(7),
    }
}

fn offset(changes: &[Change], at: i64) -> i64 {
    let mut known = changes[0].1;
    for (second, offset) in changes {
        if *second <= at {
            known = *offset;
        }
    }
    known
}

/// The fires of one case under one policy.
type Fires = Vec<i64>;

/// Watches the clock from `first` to `last` and notes what each case does under each policy.
fn watch(changes: &[Change], first: i64, last: i64, fires: &mut [[Fires; 3]; 12]) {
    let mut newest = first - 60 + offset(changes, first - 60);
    for now in (first..=last).step_by(60) {
        let shown = now + offset(changes, now);
        let again = shown <= newest;
        let minute = local(shown);
        let skipped: Vec<_> = (newest + 60..shown).step_by(60).map(local).collect();
        for (case, fires) in CASES.iter().zip(fires.iter_mut()) {
            let due = (case.matches)(minute);
            let missed = !case.wildcard && skipped.iter().any(|time| (case.matches)(*time));
            let [vixie, skip, both] = fires;
            if (due && (!again || case.wildcard)) || missed {
                vixie.push(now);
            }
            if due && !again {
                skip.push(now);
            }
            if due || missed {
                both.push(now);
            }
        }
        newest = newest.max(shown);
    }
}

fn timetable(expr: &str, zone: &Zone, dst: DstPolicy) -> Timetable {
    let schedule = Schedule::parse(expr, Dialect::Native).expect(expr);
    Timetable::new(schedule, zone.clone(), dst, None, None).expect(expr)
}

fn ms(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

/// Zones grouped by what their clock does, after core was seen to know the same changes.
fn distinct_clocks() -> BTreeMap<Vec<Change>, String> {
    let oracle = oracle::zones(YEARS.0 - 30 * DAY, YEARS.1 + 30 * DAY);
    assert_eq!(
        oracle.release,
        zone_release(),
        "both sides need the same release of the zone data"
    );
    let names: Vec<_> = oracle.zones.keys().cloned().collect();
    assert_eq!(names, zone_names(), "both sides need the same zones");
    let mut clocks = BTreeMap::new();
    for (name, changes) in oracle.zones {
        let zone = parse_zone(&name).expect("a known zone");
        let begin = changes[0].0;
        let mut ours = vec![(begin, zone.offset_s(ms(begin)))];
        let known = zone.clock_changes(ms(begin), ms(YEARS.1 + 30 * DAY));
        ours.extend(known.map(|change| (change.at.as_millis() / 1000, change.after_s)));
        assert_eq!(ours, changes, "the clock of {name}");
        clocks.entry(changes).or_insert(name);
    }
    clocks
}

#[test]
fn every_policy_equals_the_clock_watched_minute_by_minute() {
    let clocks = distinct_clocks();
    let (mut windows, mut compared, mut told_apart) = (0, 0, [0; 3]);
    for (changes, name) in &clocks {
        let zone = parse_zone(name).expect("a known zone");
        let tables: Vec<[Timetable; 3]> = CASES
            .iter()
            .map(|case| POLICIES.map(|policy| timetable(case.expr, &zone, policy)))
            .collect();
        let transitions = changes.iter().skip(1).map(|(at, _)| *at);
        for at in transitions.filter(|at| (YEARS.0..YEARS.1).contains(at)) {
            windows += 1;
            let (first, last) = (at - 2 * DAY, at + 2 * DAY);
            let mut expected: [[Fires; 3]; 12] = Default::default();
            watch(changes, first, last, &mut expected);
            for ((case, tables), expected) in CASES.iter().zip(&tables).zip(&expected) {
                for ((table, policy), expected) in tables.iter().zip(POLICIES).zip(expected) {
                    let what = format!("{} {policy:?} in {name} around {at}", case.expr);
                    check(table, (first - 1, last), expected, &what);
                    compared += expected.len();
                }
                let [vixie, skip, both] = expected;
                for (count, differs) in
                    told_apart
                        .iter_mut()
                        .zip([vixie != skip, vixie != both, skip != both])
                {
                    *count += u32::from(differs);
                }
            }
        }
    }
    println!(
        "{} clocks of {} zones, {windows} transitions, {} expressions, {compared} fires compared; \
         windows in which the oracle tells vixie from skip, vixie from both, skip from both: {told_apart:?}",
        clocks.len(),
        zone_names().len(),
        CASES.len(),
    );
    assert!(windows > 1000, "the transitions of 16 years");
    assert!(
        told_apart.iter().all(|count| *count > 0),
        "no window tells two policies apart"
    );
}

/// Fires one by one, from the end, and counted: all three must be the oracle's.
fn check(table: &Timetable, (after, until): (i64, i64), expected: &[i64], what: &str) {
    let ours: Vec<_> = table
        .fire_times(ms(after), ms(until))
        .map(|fire| fire.as_millis() / 1000)
        .collect();
    assert_eq!(ours, expected, "{what}");
    let count = table.count_between(ms(after), ms(until), u64::MAX);
    assert_eq!(count, (expected.len() as u64, false), "count of {what}");
    let middle = i64::midpoint(after, until);
    for until in [until, middle, middle - 1, middle + 1800] {
        let newest = expected.iter().rfind(|fire| **fire <= until);
        let ours = table.last_at_or_before(ms(until), ms(after));
        assert_eq!(
            ours,
            newest.map(|fire| ms(*fire)),
            "last of {what}, until {until}"
        );
    }
}
