//! The Go fleet's dialect, row by row: what its library accepts and means, and what it gets wrong,
//! which is refused with what that fleet would do.

use sandclock_core::Timestamp;
use sandclock_core::schedule::{Dialect, DstPolicy, Schedule, Timetable, parse_zone};

fn ts(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("an RFC 3339 instant")
}

fn go(expr: &str) -> Timetable {
    let schedule = Schedule::parse(expr, Dialect::Go).unwrap_or_else(|error| panic!("{error}"));
    let zone = parse_zone("UTC").expect("UTC");
    Timetable::new(schedule, zone, DstPolicy::Vixie, None, None).expect(expr)
}

fn fires(expr: &str, start: &str, count: usize) -> Vec<String> {
    let far = ts("2100-01-01T00:00:00Z");
    go(expr)
        .fire_times(ts(start), far)
        .take(count)
        .map(|fire| fire.to_string())
        .collect()
}

/// Rows of `a | b | c`; `#` begins a remark, `\t` is a tab.
fn table(text: &str) -> impl Iterator<Item = [String; 3]> + '_ {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let cells: Vec<_> = line
                .split(" | ")
                .map(|cell| cell.replace("\\t", "\t"))
                .collect();
            cells
                .try_into()
                .unwrap_or_else(|_| panic!("three cells: {line}"))
        })
}

/// Accepted: expression, start, its next fires. 2026-11-20 is a Friday.
const ACCEPTED: &str = r"
# five fields: seconds 0, any year
30 4 * * * | 2026-11-20T00:00:00Z | 2026-11-20T04:30:00Z 2026-11-21T04:30:00Z
# six fields: the sixth is the year, not seconds first
*/5 * * * * * | 2026-11-20T00:00:01Z | 2026-11-20T00:05:00Z 2026-11-20T00:10:00Z
0 0 1 1 * 2030 | 2026-11-20T00:00:00Z | 2030-01-01T00:00:00Z
# seven fields: second first, year last; more are not read
*/20 30 4 1 1 * 2028 | 2026-11-20T00:00:00Z | 2028-01-01T04:30:00Z 2028-01-01T04:30:20Z
5 0 0 1 1 * 2028 nonsense here | 2026-11-20T00:00:00Z | 2028-01-01T00:00:05Z
# white space around and between
 \t0  5 * *\t*  | 2026-11-20T00:00:00Z | 2026-11-20T05:00:00Z
# shorthands, wherever they stand
@yearly | 2026-11-20T00:00:00Z | 2027-01-01T00:00:00Z
@annually | 2026-11-20T00:00:00Z | 2027-01-01T00:00:00Z
@monthly | 2026-11-20T00:00:00Z | 2026-12-01T00:00:00Z
@weekly | 2026-11-20T00:00:00Z | 2026-11-22T00:00:00Z
@daily | 2026-11-20T00:00:00Z | 2026-11-21T00:00:00Z
@hourly | 2026-11-20T00:00:00Z | 2026-11-20T01:00:00Z
@daily and the rest | 2026-11-20T00:00:00Z | 2026-11-21T00:00:00Z
# ranges and names in any case; 7 is Sunday as a single value
0 0 1 JAN * | 2026-11-20T00:00:00Z | 2027-01-01T00:00:00Z
0 0 1 september * | 2026-11-20T00:00:00Z | 2027-09-01T00:00:00Z
0 0 1 Feb-APR/2 * | 2026-11-20T00:00:00Z | 2027-02-01T00:00:00Z 2027-04-01T00:00:00Z
0 0 * * SUN | 2026-11-20T00:00:00Z | 2026-11-22T00:00:00Z
0 0 * * tuesday-thu | 2026-11-20T00:00:00Z | 2026-11-24T00:00:00Z 2026-11-25T00:00:00Z
0 0 * * 7 | 2026-11-20T00:00:00Z | 2026-11-22T00:00:00Z 2026-11-29T00:00:00Z
0 0 * * 0 | 2026-11-20T00:00:00Z | 2026-11-22T00:00:00Z 2026-11-29T00:00:00Z
0 0 * * sun-sat | 2026-11-20T00:00:00Z | 2026-11-21T00:00:00Z
# at most one leading zero
08 09 * * * | 2026-11-20T00:00:00Z | 2026-11-20T09:08:00Z
0 0 09 * * | 2026-11-20T00:00:00Z | 2026-12-09T00:00:00Z
# lists, empty items, `*` and `?`
5,,10, * * * * | 2026-11-20T00:00:00Z | 2026-11-20T00:05:00Z 2026-11-20T00:10:00Z
0 ? ? ? ? | 2026-11-20T00:30:00Z | 2026-11-20T01:00:00Z
# `n/s` runs to the end of the field, `a-b/s` to b; a step starts again at each wrap
50/4 * * * * | 2026-11-20T00:00:00Z | 2026-11-20T00:50:00Z 2026-11-20T00:54:00Z
10-20/7 * * * * | 2026-11-20T00:00:00Z | 2026-11-20T00:10:00Z 2026-11-20T00:17:00Z
*/59 * * * * | 2026-11-20T00:00:00Z | 2026-11-20T00:59:00Z 2026-11-20T01:00:00Z
0 */23 * * * | 2026-11-20T00:00:00Z | 2026-11-20T23:00:00Z 2026-11-21T00:00:00Z
0 0 * * 5/1 | 2026-11-20T00:00:00Z | 2026-11-21T00:00:00Z 2026-11-27T00:00:00Z
0 0 * * */6 | 2026-11-20T00:00:00Z | 2026-11-21T00:00:00Z 2026-11-22T00:00:00Z
0 0 1 */12 * | 2026-11-20T00:00:00Z | 2027-01-01T00:00:00Z 2028-01-01T00:00:00Z
0 0 1 1 * */50 | 2026-11-20T00:00:00Z | 2070-01-01T00:00:00Z
# L, LW, nW, nL, n#k, and lists that mix them
0 0 L * * | 2027-01-31T00:00:00Z | 2027-02-28T00:00:00Z 2027-03-31T00:00:00Z
0 0 LW * * | 2027-01-01T00:00:00Z | 2027-01-29T00:00:00Z 2027-02-26T00:00:00Z
0 0 lw * * | 2027-07-01T00:00:00Z | 2027-07-30T00:00:00Z
0 0 15W * * | 2027-05-01T00:00:00Z | 2027-05-14T00:00:00Z 2027-06-15T00:00:00Z
0 0 1W * * | 2027-04-30T00:00:00Z | 2027-05-03T00:00:00Z 2027-06-01T00:00:00Z
0 0 31W * * | 2027-01-01T00:00:00Z | 2027-01-29T00:00:00Z 2027-03-31T00:00:00Z
0 0 * * 5L | 2026-11-20T00:00:00Z | 2026-11-27T00:00:00Z 2026-12-25T00:00:00Z
0 0 * * friL | 2026-11-20T00:00:00Z | 2026-11-27T00:00:00Z 2026-12-25T00:00:00Z
0 0 * * fri#2 | 2026-11-20T00:00:00Z | 2026-12-11T00:00:00Z 2027-01-08T00:00:00Z
0 0 * * 7#5 | 2026-11-20T00:00:00Z | 2026-11-29T00:00:00Z 2027-01-31T00:00:00Z
0 0 1,15,L * * | 2026-11-20T00:00:00Z | 2026-11-30T00:00:00Z 2026-12-01T00:00:00Z
0 0 * * mon,friL | 2026-11-24T00:00:00Z | 2026-11-27T00:00:00Z 2026-11-30T00:00:00Z
# both day fields restricted: OR; one: that one; none: every day
0 0 13 * 5 | 2026-11-20T00:00:00Z | 2026-11-27T00:00:00Z 2026-12-04T00:00:00Z 2026-12-11T00:00:00Z 2026-12-13T00:00:00Z
0 0 13 * * | 2026-11-20T00:00:00Z | 2026-12-13T00:00:00Z 2027-01-13T00:00:00Z
0 0 * * 5 | 2026-11-20T00:00:00Z | 2026-11-27T00:00:00Z 2026-12-04T00:00:00Z
0 0 ? * 5 | 2026-11-20T00:00:00Z | 2026-11-27T00:00:00Z 2026-12-04T00:00:00Z
0 0 * * * | 2026-11-20T00:00:00Z | 2026-11-21T00:00:00Z 2026-11-22T00:00:00Z
# `*/2` counts as a restriction: odd days or Mondays
0 0 */2 * 1 | 2026-11-20T00:00:00Z | 2026-11-21T00:00:00Z 2026-11-23T00:00:00Z 2026-11-25T00:00:00Z 2026-11-27T00:00:00Z 2026-11-29T00:00:00Z 2026-11-30T00:00:00Z
# a `*` anywhere in a day field lifts its restriction
0 0 13,* * 5 | 2026-11-20T00:00:00Z | 2026-11-27T00:00:00Z 2026-12-04T00:00:00Z
# a `*` ends the reading of any other field
*,foo 4 * * * | 2026-11-20T00:00:00Z | 2026-11-20T04:00:00Z 2026-11-20T04:01:00Z
*,50-10 4 * * * | 2026-11-20T00:00:00Z | 2026-11-20T04:00:00Z
# strictly after the start's whole second
* * * * * * * | 2026-11-20T00:00:00.999Z | 2026-11-20T00:00:01Z
0 0 * * * | 2026-11-20T00:00:00Z | 2026-11-21T00:00:00Z
# padded weekdays that mean the same to everybody
0 0 * * 07 | 2026-11-20T00:00:00Z | 2026-11-22T00:00:00Z
0 0 * * 00 | 2026-11-20T00:00:00Z | 2026-11-22T00:00:00Z
# the last year
0 0 31 12 * 2099 | 2026-11-20T00:00:00Z | 2099-12-31T00:00:00Z
";

#[test]
fn accepted_expressions_fire_as_in_the_go_fleet() {
    let mut rows = 0;
    for [expr, start, expected] in table(ACCEPTED) {
        let expected: Vec<_> = expected.split(' ').collect();
        assert_eq!(
            fires(&expr, &start, expected.len()),
            expected,
            "{expr} from {start}"
        );
        rows += 1;
    }
    println!("{rows} accepted rows");
}

/// Refused: expression, the field that the message names, a part of the reason.
const REFUSED: &str = r"
# the Go library refuses these too
 | schedule | 0 fields
* * * * | schedule | 4 fields
@midnight | schedule | 1 fields
@reboot | schedule | 1 fields
@every 5m | schedule | 2 fields
@DAILY | schedule | 1 fields
TZ=UTC 0 0 * * * | minute | not an item
CRON_TZ=UTC 0 0 * * * | minute | not an item
H * * * * | minute | not an item
60 * * * * | minute | outside 0-59
0 24 * * * | hour | outside 0-23
0 0 0 * * | day-of-month | outside 1-31
0 0 32 * * | day-of-month | outside 1-31
0 0 * 13 * | month | outside 1-12
0 0 * 0 * | month | outside 1-12
0 0 * * 8 | day-of-week | outside 0-7
0 0 * * * 1969 | year | outside 1970-2099
0 0 * * * 2100 | year | outside 1970-2099
000 * * * * | minute | outside
-5 * * * * | minute | not an item
0 0 * janu * | month | not an item
0 0 L-3 * * | day-of-month | not an item
0 0 WL * * | day-of-month | not an item
0 0 * * L | day-of-week | not an item
0 0 * * 5#6 | day-of-week | not an item
0 0 * * 5#0 | day-of-week | not an item
foo,* * * * * | minute | not an item
0 0 *,foo * * | day-of-month | not an item
0 0 * * *,foo | day-of-week | not an item
, * * * * | minute | no item
?/5 * * * * | minute | not an item
*/60 * * * * | minute | step
*/0 * * * * | minute | step
*,*/60 * * * * | minute | step
0 */24 * * * | hour | step
0 0 */32 * * | day-of-month | step
0 0 1 */13 * | month | step
0 0 * * */7 | day-of-week | step
0 0 1 1 * */60 | year | step
# bugs of the dialect: a reversed range crashes every worker …
*/10 22-4 * * * | hour | crashes every worker
50-10 * * * * | minute | crashes every worker
50-10 * * * * * * | second | crashes every worker
0 0 1 nov-feb * | month | crashes every worker
# … is dropped inside a list …
1,50-10 * * * * | minute | drops
# … or makes an expression that never fires and runs in a hot loop
0 9 * * 1-7 | day-of-week | hot loop
0 9 * * 5-7 | day-of-week | hot loop
0 9 * * fri-mon | day-of-week | hot loop
0 9 * * sat-sun | day-of-week | hot loop
0 9 28-3 * * | day-of-month | hot loop
0 9 1 1 * 2030-2020 | year | hot loop
# other bugs of the dialect
0 9 * * 0-7 | day-of-week | Sundays only
0 0 1 01 * | month | hot loop
0 0 1 9,09 * | month | hot loop
0 0 * * 05 | day-of-week | Sunday
0 0 * * 01-05 | day-of-week | Sunday
0 0 30 2 * | schedule | hot loop
0 0 29 2 * 2027 | schedule | hot loop
0 0 31 4,6,9,11 * | schedule | hot loop
";

#[test]
fn refused_expressions_say_why() {
    let mut rows = 0;
    for [expr, field, reason] in table(REFUSED) {
        let error = Schedule::parse(&expr, Dialect::Go).expect_err(&expr);
        assert_eq!(error.field, field, "{expr}: {error}");
        assert!(error.reason.contains(&reason), "{expr}: {error}");
        assert!(!error.remedy.is_empty(), "{expr}: {error}");
        rows += 1;
    }
    println!("{rows} refused rows");
}

/// A year that is over is legal; nothing is left to fire, and nothing fires.
#[test]
fn a_year_in_the_past_is_over() {
    let table = go("0 0 1 1 * 2020");
    assert_eq!(table.next_after(ts("2026-11-20T00:00:00Z")), None);
    assert_eq!(
        table.next_after(ts("2019-06-01T00:00:00Z")),
        Some(ts("2020-01-01T00:00:00Z"))
    );
}

/// Where the library answers a time in the past around a clock change, the DST policy holds.
#[test]
fn clock_changes_never_lead_into_the_past() {
    let zone = parse_zone("America/New_York").expect("a zone");
    let cases = [
        // the library answers 01:00 EST to 01:00 EST, and 01:30 to 01:30
        (
            "0 * * * *",
            "2026-03-08T01:00:00-05:00",
            "2026-03-08T03:00:00-04:00",
        ),
        (
            "30 2 * * *",
            "2026-03-08T01:30:00-05:00",
            "2026-03-08T03:00:00-04:00",
        ),
        // the library answers 01:00
        (
            "*/5 * * * *",
            "2026-03-08T01:59:59-05:00",
            "2026-03-08T03:00:00-04:00",
        ),
        // the library skips the whole repeated hour
        (
            "*/5 * * * *",
            "2026-11-01T01:59:59-04:00",
            "2026-11-01T01:00:00-05:00",
        ),
        (
            "* * * * * * *",
            "2026-11-01T01:59:59-04:00",
            "2026-11-01T01:00:00-05:00",
        ),
        (
            "*/5 * * * *",
            "2026-11-01T01:30:00-05:00",
            "2026-11-01T01:35:00-05:00",
        ),
    ];
    for (expr, after, expected) in cases {
        let schedule = Schedule::parse(expr, Dialect::Go).expect(expr);
        let table = Timetable::new(schedule, zone.clone(), DstPolicy::Vixie, None, None);
        let next = table.expect(expr).next_after(ts(after));
        assert_eq!(next, Some(ts(expected)), "{expr} after {after}");
    }
}

/// What the library does silently is said.
#[test]
fn quirks_that_are_kept_are_warned_about() {
    let cases = [
        ("*,foo * * * *", "'foo' is ignored"),
        ("5,,10 * * * *", "empty item"),
        ("0 0 */2 * 1", "either day field"),
        ("5 0 0 1 1 * 2028 more", "seventh field"),
        ("*/59 * * * *", "starts again"),
        ("*/5 * * * * *", "year"),
    ];
    for (expr, part) in cases {
        let warnings = Schedule::parse(expr, Dialect::Go).expect(expr).warnings();
        assert!(
            warnings.iter().any(|warning| warning.contains(part)),
            "{expr}: {warnings:?}"
        );
    }
}
