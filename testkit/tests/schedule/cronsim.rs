//! The next five fires of 10,000 random expressions, zones and starts, as cronsim computes them.

use sandclock_core::Timestamp;
use sandclock_core::schedule::{Dialect, DstPolicy, Schedule, Timetable, parse_zone};

use crate::generate::{Counts, Rng, expression};
use sandclock_testkit::oracle::{self, Change};

const TRIPLES: usize = 10_000;
const FIRES: usize = 5;
const LEAST_PER_OPERATOR: u32 = 200;
/// 2020-01-01 to 2036-01-01.
const STARTS: (i64, i64) = (1_577_836_800, 2_082_758_400);
/// 2040-01-01: a zone that is still odd in later years is odd before.
const RULES_END: i64 = 2_208_988_800;
/// 2100-01-01: nothing of ours fires from here on.
const END: i64 = 4_102_444_800;

struct Triple {
    fields: [String; 5],
    zone: String,
    start: i64,
    /// What cronsim answers.
    fires: Vec<i64>,
}

impl Triple {
    fn expr(&self) -> String {
        self.fields.join(" ")
    }
}

/// Whether cronsim can be asked. Where it answers a wildcard job wrongly around a clock change, it
/// is not a model:
/// - it sets the minute to 0 and steps whole hours of elapsed time, so a change that is not by whole
///   hours and on the hour makes it miss or repeat times (Lord Howe, Chatham);
/// - it goes on at 00:00 of a new day even where the clock skips that midnight (Havana, Beirut).
///
/// A job at fixed times loses which pass of a repeated hour its start is in.
fn cronsim_is_a_model(fields: &[String; 5], changes: &[Change], start: i64) -> bool {
    let [minute, hour, ..] = fields;
    let pairs = || {
        changes
            .windows(2)
            .map(|pair| (pair[0].1, pair[1].0, pair[1].1))
    };
    if !minute.starts_with('*') && !hour.starts_with('*') {
        let replayed =
            |(before, at, after): (i64, i64, i64)| (at..at + before - after).contains(&start);
        return !pairs().any(replayed);
    }
    pairs()
        .filter(|(_, at, _)| *at > start)
        .all(|(before, at, after)| {
            let (stops, resumes) = (at + before, at + after);
            let midnight = resumes - resumes.rem_euclid(86_400);
            let whole = stops % 3600 == 0 && resumes % 3600 == 0;
            whole && !(stops <= midnight && midnight < resumes)
        })
}

fn triples() -> (Vec<Triple>, Counts) {
    let known = oracle::zones(STARTS.0 - 86_400, RULES_END).zones;
    let names: Vec<_> = known.keys().collect();
    let (mut rng, mut counts) = (Rng(7), Counts::new());
    let mut triples = Vec::new();
    while triples.len() < TRIPLES {
        let zone = (*rng.pick(&names)).clone();
        let changes = &known[&zone];
        let near: Vec<_> = changes
            .iter()
            .filter(|(at, _)| (STARTS.0..STARTS.1).contains(at))
            .collect();
        let start = match near.is_empty() || rng.one_in(2) {
            true => rng.within(STARTS.0, STARTS.1),
            false => rng.pick(&near).0 + rng.within(-100_000, 10_000),
        };
        let mut added = Counts::new();
        let fields = expression(&mut rng, &mut added);
        let possible = Schedule::parse(&fields.join(" "), Dialect::Native).is_ok();
        if !possible || !cronsim_is_a_model(&fields, changes, start) {
            continue;
        }
        for (operator, count) in added {
            *counts.entry(operator).or_default() += count;
        }
        triples.push(Triple {
            fields,
            zone,
            start,
            fires: Vec::new(),
        });
    }
    (triples, counts)
}

fn timetable(expr: &str, zone: &str, dst: DstPolicy) -> Timetable {
    let schedule = Schedule::parse(expr, Dialect::Native).expect(expr);
    Timetable::new(schedule, parse_zone(zone).expect(zone), dst, None, None).expect(expr)
}

fn fires(table: &Timetable, start: i64) -> impl Iterator<Item = i64> + '_ {
    let (start, end) = (start * 1000, END * 1000);
    table
        .fire_times(Timestamp::from_millis(start), Timestamp::from_millis(end))
        .map(|fire| fire.as_millis() / 1000)
}

fn next_five(expr: &str, triple: &Triple, dst: DstPolicy) -> Vec<i64> {
    fires(&timetable(expr, &triple.zone, dst), triple.start)
        .take(FIRES)
        .collect()
}

type Mutant = fn(&Triple) -> Vec<i64>;

/// Wrong schedulers, each made of the right one. The triples must tell every one of them apart.
const MUTANTS: [(&str, Mutant); 6] = [
    ("day fields joined with AND", and_instead_of_or),
    ("weekdays counted from 1", weekdays_from_one),
    ("repeated hour fires twice", |triple| {
        next_five(&triple.expr(), triple, DstPolicy::Both)
    }),
    ("gap drops its times", |triple| {
        next_five(&triple.expr(), triple, DstPolicy::Skip)
    }),
    ("L is day 31", |triple| {
        let [minute, hour, day, month, week] = &triple.fields;
        let day = day.replace("LW", "lw").replace('L', "31");
        expr_or_none(&format!("{minute} {hour} {day} {month} {week}"), triple)
    }),
    ("n#k counts one week late", |triple| {
        let expr = triple.expr().replace("#4", "#5").replace("#1", "#2");
        expr_or_none(&expr, triple)
    }),
];

fn expr_or_none(expr: &str, triple: &Triple) -> Vec<i64> {
    match Schedule::parse(expr, Dialect::Native) {
        Ok(_) => next_five(expr, triple, DstPolicy::Vixie),
        Err(_) => Vec::new(),
    }
}

fn and_instead_of_or(triple: &Triple) -> Vec<i64> {
    let [minute, hour, day, month, week] = &triple.fields;
    let either = day != "*" && week != "*" && !day.starts_with('*') && !week.starts_with('*');
    let by_month = format!("{minute} {hour} {day} {month} *");
    if !either || Schedule::parse(&by_month, Dialect::Native).is_err() {
        return next_five(&triple.expr(), triple, DstPolicy::Vixie);
    }
    let by_week = format!("{minute} {hour} * {month} {week}");
    let by_week = timetable(&by_week, &triple.zone, DstPolicy::Vixie);
    let by_month = timetable(&by_month, &triple.zone, DstPolicy::Vixie);
    let both = |fire: &i64| fires(&by_week, fire - 1).next() == Some(*fire);
    fires(&by_month, triple.start)
        .take(1000)
        .filter(both)
        .take(FIRES)
        .collect()
}

fn weekdays_from_one(triple: &Triple) -> Vec<i64> {
    let [minute, hour, day, month, week] = &triple.fields;
    let week = match week.parse::<u32>() {
        Ok(number @ 1..=7) => (number - 1).to_string(),
        _ => week.clone(),
    };
    expr_or_none(&format!("{minute} {hour} {day} {month} {week}"), triple)
}

#[test]
fn the_next_five_fires_equal_cronsims() {
    let (mut triples, counts) = triples();
    let question = |triple: &Triple| (triple.expr(), triple.zone.clone(), triple.start, FIRES);
    let answers = oracle::fires(&triples.iter().map(question).collect::<Vec<_>>());
    for (triple, fires) in triples.iter_mut().zip(answers) {
        let fires = fires.unwrap_or_else(|| panic!("cronsim refuses {}", triple.expr()));
        triple.fires = fires.into_iter().filter(|fire| *fire < END).collect();
    }
    let wrong =
        |triple: &&Triple| next_five(&triple.expr(), triple, DstPolicy::Vixie) != triple.fires;
    let differ: Vec<_> = triples.iter().filter(wrong).collect();
    for triple in differ.iter().take(10) {
        let ours = next_five(&triple.expr(), triple, DstPolicy::Vixie);
        eprintln!(
            "{} {} {}: {ours:?}, cronsim {:?}",
            triple.expr(),
            triple.zone,
            triple.start,
            triple.fires
        );
    }
    println!(
        "{} triples, {} differ; operators: {counts:?}",
        triples.len(),
        differ.len()
    );
    assert!(
        differ.is_empty(),
        "{} of {TRIPLES} triples differ",
        differ.len()
    );
    for (operator, count) in &counts {
        assert!(
            *count >= LEAST_PER_OPERATOR,
            "{operator} occurs only {count} times"
        );
    }
    assert_eq!(
        counts.len(),
        15,
        "every operator of the generator: {counts:?}"
    );
    for (name, mutant) in MUTANTS {
        let caught = triples
            .iter()
            .filter(|triple| mutant(triple) != triple.fires)
            .count();
        println!("mutant caught by {caught} triples: {name}");
        assert!(caught > 0, "nothing catches the mutant: {name}");
    }
}
