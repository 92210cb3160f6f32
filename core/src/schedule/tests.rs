//! Tables of what is accepted, refused, computed and said.

use super::*;

/// The cells of each line of a table, separated by ` | `.
fn rows<const N: usize>(text: &str) -> impl Iterator<Item = [&str; N]> {
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| {
        let cells: Vec<_> = line.split(" | ").collect();
        cells
            .try_into()
            .unwrap_or_else(|_| panic!("{N} cells: {line}"))
    })
}

fn ts(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text} is no instant"))
}

fn native(expr: &str) -> Schedule {
    Schedule::parse(expr, Dialect::Native).unwrap_or_else(|error| panic!("{error}"))
}

fn table(expr: &str, zone: &str, dst: DstPolicy) -> Timetable {
    let zone = parse_zone(zone).expect(zone);
    Timetable::new(native(expr), zone, dst, None, None).expect(expr)
}

fn fires(table: &Timetable, start: &str, count: usize) -> String {
    let far = ts("2100-01-01T00:00:00Z");
    let fires: Vec<_> = table
        .fire_times(ts(start), far)
        .take(count)
        .map(|fire| fire.to_string())
        .collect();
    fires.join(" ")
}

fn names(refused: Result<Schedule, ScheduleError>, part: &str) {
    let error = refused.expect_err(part).to_string();
    assert!(error.contains(part), "{error} does not say {part}");
}

#[test]
fn native_expressions_fire_on_a_clock_in_utc() {
    let cases = "
30 2 * * * | 2026-03-01T02:30:00Z | 2026-03-02T02:30:00Z 2026-03-03T02:30:00Z
0 0 29 2 * | 2026-01-01T00:00:00Z | 2028-02-29T00:00:00Z 2032-02-29T00:00:00Z
0 0 13 * 5 | 2026-02-12T00:00:00Z | 2026-02-13T00:00:00Z 2026-02-20T00:00:00Z
0 0 */2 * 1 | 2026-06-01T00:00:00Z | 2026-06-15T00:00:00Z 2026-06-29T00:00:00Z
0 0 ? * 1 | 2026-06-01T00:00:00Z | 2026-06-08T00:00:00Z 2026-06-15T00:00:00Z
0 9 L * * | 2026-01-31T09:00:00Z | 2026-02-28T09:00:00Z 2026-03-31T09:00:00Z
0 9 LW * * | 2026-01-01T00:00:00Z | 2026-01-30T09:00:00Z 2026-02-27T09:00:00Z
0 9 1W * * | 2026-08-01T00:00:00Z | 2026-08-03T09:00:00Z 2026-09-01T09:00:00Z
0 9 31W * * | 2026-04-01T00:00:00Z | 2026-05-29T09:00:00Z 2026-07-31T09:00:00Z
0 9 * * 5L | 2026-01-01T00:00:00Z | 2026-01-30T09:00:00Z 2026-02-27T09:00:00Z
0 9 * * tue#2 | 2026-01-01T00:00:00Z | 2026-01-13T09:00:00Z 2026-02-10T09:00:00Z
0 9 * * 5-7 | 2026-11-20T09:00:00Z | 2026-11-21T09:00:00Z 2026-11-22T09:00:00Z
0 9 * * 0-7 | 2026-11-20T09:00:00Z | 2026-11-21T09:00:00Z 2026-11-22T09:00:00Z
0 9 * 01 05 | 2026-11-20T09:00:00Z | 2027-01-01T09:00:00Z 2027-01-08T09:00:00Z
15 30 4 1 1 * 2031,2033 | 2026-01-01T00:00:00Z | 2031-01-01T04:30:15Z 2033-01-01T04:30:15Z
@midnight | 2026-01-01T00:00:00Z | 2026-01-02T00:00:00Z 2026-01-03T00:00:00Z
@WEEKLY | 2026-11-20T00:00:00Z | 2026-11-22T00:00:00Z 2026-11-29T00:00:00Z
@every 90s | 2026-01-01T00:00:01Z | 2026-01-01T00:01:30Z 2026-01-01T00:03:00Z
@every 1d12h | 2026-01-01T00:00:00Z | 2026-01-02T12:00:00Z 2026-01-04T00:00:00Z
@at 2027-01-01T00:00:00+01:00 | 2026-01-01T00:00:00Z | 2026-12-31T23:00:00Z
";
    for [expr, start, expected] in rows(cases) {
        let table = table(expr, "UTC", DstPolicy::Vixie);
        assert_eq!(fires(&table, start, 2), expected, "{expr}");
    }
}

#[test]
fn the_nearest_workday_stays_in_its_month() {
    for day in 1..=31_u32 {
        for month in rows::<1>("2026-02\n2026-08\n2026-11\n2027-05\n2028-02").map(|[month]| month) {
            let first: chrono::NaiveDate = format!("{month}-01").parse().expect("a date");
            let length = u32::from(chrono::Datelike::num_days_in_month(&first));
            // By the definition: of the workdays of the month the nearest; they are never equally near.
            let distance = |other: &u32| other.abs_diff(day);
            let workday = |other: &u32| {
                let date = chrono::Datelike::with_day(&first, *other).expect("a day");
                chrono::Datelike::weekday(&date).num_days_from_monday() < 5
            };
            let nearest = (1..=length).filter(workday).min_by_key(distance);
            let expected = nearest
                .filter(|_| day <= length)
                .map(|d| format!("{month}-{d:02}T00:00:00Z"));
            let table = table(&format!("0 0 {day}W * *"), "UTC", DstPolicy::Vixie);
            let start =
                Timestamp::from_millis(ts(&format!("{month}-01T00:00:00Z")).as_millis() - 1);
            let end = ts(&format!("{month}-{length}T23:59:59Z"));
            let ours = table
                .fire_times(start, end)
                .map(|fire| fire.to_string())
                .next();
            assert_eq!(ours, expected, "{day}W in {month}");
        }
    }
}

#[test]
fn policies_around_a_gap_and_a_replay() {
    let cases = "
15,45 2 * * * | vixie | 2026-03-08T06:00:00Z | 2026-03-08T07:00:00Z 2026-03-09T06:15:00Z
15,45 2 * * * | skip | 2026-03-08T06:00:00Z | 2026-03-09T06:15:00Z 2026-03-09T06:45:00Z
30 2,3 * * * | both | 2026-03-08T06:00:00Z | 2026-03-08T07:00:00Z 2026-03-08T07:30:00Z
0 2,3 * * * | vixie | 2026-03-08T06:00:00Z | 2026-03-08T07:00:00Z 2026-03-09T06:00:00Z
30 * * * * | vixie | 2026-03-08T06:00:00Z | 2026-03-08T06:30:00Z 2026-03-08T07:30:00Z
30 1 * * * | vixie | 2026-11-01T04:59:59Z | 2026-11-01T05:30:00Z 2026-11-02T06:30:00Z
30 1 * * * | both | 2026-11-01T04:59:59Z | 2026-11-01T05:30:00Z 2026-11-01T06:30:00Z
30 * * * * | vixie | 2026-11-01T04:59:59Z | 2026-11-01T05:30:00Z 2026-11-01T06:30:00Z
30 * * * * | skip | 2026-11-01T04:59:59Z | 2026-11-01T05:30:00Z 2026-11-01T07:30:00Z
? 1 * * * | vixie | 2026-11-01T05:58:59Z | 2026-11-01T05:59:00Z 2026-11-02T06:00:00Z
";
    for [expr, policy, start, expected] in rows(cases) {
        let policy = match policy {
            "vixie" => DstPolicy::Vixie,
            "skip" => DstPolicy::Skip,
            _ => DstPolicy::Both,
        };
        let table = table(expr, "America/New_York", policy);
        assert_eq!(fires(&table, start, 2), expected, "{expr} {policy:?}");
    }
}

/// Shifts that are not an hour: half an hour, a day left out, and seconds.
#[test]
fn unusual_clock_changes() {
    let cases = "
15 2 * * * | Australia/Lord_Howe | 2026-10-03T12:00:00Z | 2026-10-03T15:30:00Z 2026-10-04T15:15:00Z
45 1 * * * | Australia/Lord_Howe | 2026-04-04T12:00:00Z | 2026-04-04T14:45:00Z 2026-04-05T15:15:00Z
0 12 30 12 * | Pacific/Apia | 2011-12-01T00:00:00Z | 2011-12-30T10:00:00Z 2012-12-29T22:00:00Z
0 12 * * * | Pacific/Apia | 2011-12-29T12:00:00Z | 2011-12-29T22:00:00Z 2011-12-30T10:00:00Z
0 0 * * * | Africa/Monrovia | 1972-01-06T01:00:00Z | 1972-01-07T00:44:30Z 1972-01-08T00:00:00Z
";
    for [expr, zone, start, expected] in rows(cases) {
        let table = table(expr, zone, DstPolicy::Vixie);
        assert_eq!(fires(&table, start, 2), expected, "{expr} {zone}");
    }
}

#[test]
fn refusals_name_the_field_the_item_and_the_remedy() {
    let cases = "
* * * * * * | schedule: '* * * * * *' has 6 fields, which has two readings
1 2 3 4 5 6 | write '0 1 2 3 4 5 6' if the last field is a year, or '1 2 3 4 5 6 *' if the first is seconds
* * * * | has 4 fields; use 5 fields (minute hour
* * * * * * * * | has 8 fields
61 * * * * | minute: '61' is outside 0-59; use 0-59
*/60 * * * * | minute: '*/60' has a step that this field cannot take; use a step from 1 to 59
0 */24 * * * | hour: '*/24'
0 0 * * */7 | day-of-week: '*/7'
0 22-4 * * * | hour: '22-4' is a reversed range; write the lower value first, or two items such as 22-23,0-4
0 0 * * sat-sun | day-of-week: 'sat-sun' is a reversed range
0 0 1,28-3 * * | day-of-month: '28-3' is a reversed range
*,foo * * * * | minute: 'foo' is not an item of this field
0 0 * * 5#6 | day-of-week: '5#6' is not an item
0 0 L-3 * * | day-of-month: 'L-3' is not an item
0 0 32W * * | day-of-month: '32W' is outside 1-31
0 0 30 2 * | schedule: '0 0 30 2 *' can never fire
0 0 */31 * 5L | can never fire
0 0 0 29 2 * 2027 | can never fire
@reboot | is not a known shorthand; use 5 fields
@every 500ms | schedule: '500ms' is not a period
@every 0s | schedule: '0s' is shorter than a second
@every 90 | schedule: '90' has a number without unit
@every 30s1m | schedule: '30s1m' is not a period
@every 40000d | schedule: '40000d' is longer than a century
@at tomorrow | schedule: 'tomorrow' is not an instant; use RFC 3339
@at 2027-01-01T00:00:00 | is not an instant
@at 2100-01-01T00:00:00Z | is outside the years 1970 to 2099
";
    for [expr, part] in rows(cases) {
        names(Schedule::parse(expr, Dialect::Native), part);
    }
    let long = format!("{} * * * *", ["5"; 3000].join(","));
    names(
        Schedule::parse(&long, Dialect::Go),
        "is longer than 4096 bytes",
    );
}

#[test]
fn descriptions_say_what_will_happen() {
    let cases = "
30 2 * * * | At 02:30 every day
30 2 * 3,6 5L | At 02:30 on the last Friday of the month, in March and June
* * * * * | Every minute
*/5 * * * * | Every 5 minutes
*/7 * * * * | At every 7th minute from 0 through 59 of every hour
0 * * * * | At minute 0 of every hour
15,45 * * * * | At minute 15 and 45 of every hour
*/10 9-17 * * 1-5 | Every 10 minutes from 09:00 to 17:59 on Monday through Friday
* 2 * * * | Every minute of hour 2
0 */2 * * * | At minute 0 of every 2nd hour
0 6,18 1 * * | At 06:00 and 18:00 on day 1 of the month
0 0 13 * 5 | At 00:00 on day 13 of the month or on Friday
0 0 1-7 * */3 | At 00:00 on days 1 through 7 of the month if it is every 3rd day from Sunday through Saturday
0 0 L * * | At 00:00 on the last day of the month
0 0 LW * * | At 00:00 on the last Monday-to-Friday day of the month
0 0 15W * * | At 00:00 on the Monday-to-Friday day nearest to day 15 of the month
0 0 1,15,L * * | At 00:00 on days 1 and 15 of the month and the last day of the month
0 9 * * tue#2 | At 09:00 on the second Tuesday of the month
0 0 * 11-12 7 | At 00:00 on Sunday, in November through December
*/15 * * * * * * | Every 15 seconds
* * * * * * * | Every second
30 * * * * * * | At second 30 of every minute
0 30 4 1 1 * 2028 | At 04:30 on day 1 of the month, in January, in 2028
@hourly | At minute 0 of every hour
@weekly | At 00:00 on Sunday
@every 90s | Every 1 minute and 30 seconds
@every 1h | Every hour
@every 2d | Every 2 days
@at 2027-01-01T00:00:00Z | Once, at 2027-01-01T00:00:00Z
";
    for [expr, expected] in rows(cases) {
        assert_eq!(native(expr).describe(), expected, "{expr}");
    }
}

#[test]
fn warnings_say_what_may_not_be_meant() {
    let cases = "
30 2 * * * |
*/15 * * * * |
0 0 L * * |
*/7 * * * * | the last interval is shorter
0 */5 * * * | hour: '*/5' starts again at 0
50-59/20 * * * * | only 50 is meant
0 0 13 * 5 | either day field matches
0 0 31 * * | skips the months that have no day 31
0 0 29,30 * * | no day 29
0 0 31 1,3 * |
1,,2 * * * * | an empty item is ignored
";
    for line in cases.lines().filter(|line| !line.is_empty()) {
        let (expr, part) = line.split_once(" |").expect("two cells");
        let warnings = native(expr).warnings();
        match part.trim() {
            "" => assert_eq!(warnings, Vec::<String>::new(), "{expr}"),
            part => assert!(
                warnings.iter().any(|w| w.contains(part)),
                "{expr}: {warnings:?}"
            ),
        }
    }
}

#[test]
fn a_schedule_that_is_over_says_why() {
    let cases = "
0 0 0 1 1 * 2020 | | 2026-11-20T00:00:00Z | the expression names no later year, and the last fire time was 2020-01-01T00:00:00Z
@at 2026-01-01T00:00:00Z | | 2026-01-01T00:00:00Z | '@at' names one instant, and the last
@at 2026-01-01T00:00:00Z | | 2025-12-31T23:59:59Z |
0 0 * * * | 2026-11-20T12:00:00Z | 2026-11-20T00:00:00Z | ends_at is 2026-11-20T12:00:00Z, and the last fire time was 2026-11-20T00:00:00Z
0 0 * * * | 2026-11-20T12:00:00Z | 2026-11-19T23:59:59Z |
0 0 0 1 1 * 2020 | 2024-01-01T00:00:00Z | 2026-11-20T00:00:00Z | names no later year
@every 1h | 2026-11-20T12:00:00Z | 2027-01-01T00:00:00Z | ends_at is
@every 1h | | 2100-01-01T00:00:00Z | schedules end with the year 2099
0 0 * * * | | 2100-02-01T00:00:00Z | schedules end with the year 2099
";
    for line in cases.lines().filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [expr, end, at, part] = cells[..] else {
            panic!("four cells: {line}")
        };
        let end = Some(end).filter(|end| !end.is_empty()).map(ts);
        let zone = parse_zone("UTC").expect("UTC");
        let table = Timetable::new(native(expr), zone, DstPolicy::Vixie, None, end).expect(expr);
        let warnings = table.warnings(ts(at));
        match part {
            "" => assert_eq!(warnings, Vec::<String>::new(), "{line}"),
            part => assert!(
                warnings
                    .iter()
                    .any(|w| w.starts_with("never fires again: ") && w.contains(part)),
                "{line}: {warnings:?}"
            ),
        }
    }
}

#[test]
fn bounds_are_inside_and_shift_the_multiples_of_every() {
    let utc = || parse_zone("UTC").expect("UTC");
    let between = |expr: &str, start: &str, end: &str| {
        Timetable::new(
            native(expr),
            utc(),
            DstPolicy::Vixie,
            Some(ts(start)),
            Some(ts(end)),
        )
    };
    let all = |table: &Timetable| fires(table, "1970-01-01T00:00:00Z", 9);
    let days = between("0 0 * * *", "2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z").expect("fires");
    assert_eq!(
        all(&days),
        "2026-11-20T00:00:00Z 2026-11-21T00:00:00Z 2026-11-22T00:00:00Z"
    );
    let every = between(
        "@every 40m",
        "2026-11-20T00:07:00.5Z",
        "2026-11-20T01:30:00Z",
    )
    .expect("fires");
    assert_eq!(
        all(&every),
        "2026-11-20T00:07:00.500Z 2026-11-20T00:47:00.500Z 2026-11-20T01:27:00.500Z"
    );
    let (count, more) =
        every.count_between(ts("2020-01-01T00:00:00Z"), ts("2030-01-01T00:00:00Z"), 2);
    assert_eq!((count, more), (2, true));
    let cases = "
0 0 * * * | 2026-11-20T00:00:01Z | 2026-11-20T23:59:59Z | never fires between
0 0 * * * | 2026-11-20T00:00:00Z | 2026-11-19T00:00:00Z | ends_at: '2026-11-19T00:00:00Z' is too early
@at 2027-01-01T00:00:00Z | 2027-01-02T00:00:00Z | 2027-01-03T00:00:00Z | never fires between
";
    for [expr, start, end, part] in rows(cases) {
        let error = between(expr, start, end).expect_err(part).to_string();
        assert!(error.contains(part), "{error} does not say {part}");
    }
}

#[test]
fn zones_are_found_in_any_case_and_near_names_are_offered() {
    assert_eq!(
        parse_zone("europe/BERLIN").expect("found").name(),
        "Europe/Berlin"
    );
    let cases = "
Europe/Berln | time_zone: 'Europe/Berln' is not an IANA time zone; did you mean Europe/Berlin
Berlin | Europe/Berlin
new york | America/New_York
Etc/Unknown | is not an IANA time zone
local | is not an IANA time zone
Mars/Olympus | use a name such as UTC or Europe/Berlin
";
    for [name, part] in rows(cases) {
        let error = parse_zone(name).expect_err(name).to_string();
        assert!(error.contains(part), "{error} does not say {part}");
    }
}
