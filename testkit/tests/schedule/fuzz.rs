//! A million inputs of every kind: what is accepted must fire after its start, within the bound on
//! the search, and all three questions about it must agree. Nothing may panic.

use sandclock_core::Timestamp;
use sandclock_core::schedule::{
    Dialect, DstPolicy, Schedule, Timetable, Zone, parse_zone, zone_names,
};

use crate::generate::{Counts, Rng, expression};

const INPUTS: u64 = 1_000_000;
const THREADS: u64 = 2;
const MOST_DAYS: u32 = 40_000;

const ITEMS: [&str; 40] = [
    "*",
    "?",
    "*/5",
    "*/60",
    "*/0",
    "0",
    "7",
    "59",
    "60",
    "08",
    "000",
    "1-5",
    "5-1",
    "22-4",
    "1-7",
    "0-7",
    "10/20",
    "L",
    "LW",
    "WL",
    "L-3",
    "15W",
    "31W",
    "1W",
    "5L",
    "friL",
    "tue#2",
    "5#6",
    "0#5",
    "jan",
    "December",
    "nov-feb",
    "sun-sat",
    "1970",
    "2027",
    "2099",
    "2028-2096/4",
    "",
    ",",
    "1,,2",
];
const WHOLE: [&str; 16] = [
    "@daily",
    "@hourly",
    "@midnight",
    "@reboot",
    "@DAILY",
    "@every 90s",
    "@every 1h30m",
    "@every 0s",
    "@every 99999999999999999999d",
    "@every",
    "@at 2027-01-01T00:00:00Z",
    "@at 1969-01-01T00:00:00Z",
    "@at 9999-12-31T23:59:60+23:59",
    "@weekly 2030",
    "0 0 29 2 */6",
    "0 0 */31 2 5#5",
];
const ALPHABET: &[u8] = b"0123456789*?/-,#LWlw @janfrisuT:Z+.\t\x00\xff\xc3";

#[derive(Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    fires: u64,
    most_days: u32,
}

fn input(rng: &mut Rng) -> String {
    match rng.next() % 10 {
        0..3 => expression(rng, &mut Counts::new()).join(" "),
        3..6 => wild(rng),
        6..8 => {
            let mut bytes = wild(rng).into_bytes();
            for _ in 0..rng.within(1, 3) {
                mutate(&mut bytes, rng);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => {
            let length = rng.within(0, 40);
            let bytes: Vec<u8> = (0..length).map(|_| rng.next().to_le_bytes()[0]).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }
}

/// Fields of any kind in any number, some from the grammar and some beyond it.
fn wild(rng: &mut Rng) -> String {
    if rng.one_in(12) {
        return (*rng.pick(&WHOLE)).to_owned();
    }
    let mut fields = expression(rng, &mut Counts::new()).to_vec();
    if rng.one_in(2) {
        fields.insert(0, rng.within(0, 59).to_string());
        fields.push(
            ["*", "2030-2040", "2096", "*/4", "1999"]
                [usize::try_from(rng.within(0, 4)).expect("small")]
            .to_owned(),
        );
    }
    for field in &mut fields {
        if rng.one_in(4) {
            let items: Vec<_> = (0..rng.within(1, 3)).map(|_| *rng.pick(&ITEMS)).collect();
            *field = items.join(",");
        }
    }
    if rng.one_in(10) {
        fields.pop();
    }
    fields.join([" ", " ", "  ", "\t"][usize::try_from(rng.within(0, 3)).expect("small")])
}

fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let at = usize::try_from(rng.next() % (bytes.len() as u64 + 1)).expect("an index");
    let byte = *rng.pick(ALPHABET);
    match rng.next() % 3 {
        0 => bytes.insert(at, byte),
        1 if at < bytes.len() => bytes[at] = byte,
        _ if at < bytes.len() => drop(bytes.remove(at)),
        _ => bytes.push(byte),
    }
}

/// Mostly in the years that matter, sometimes anywhere at all.
fn start(rng: &mut Rng) -> i64 {
    match rng.next() % 16 {
        0 => *rng.pick(&[i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, 0, -1]),
        1 => i64::from_le_bytes(rng.next().to_le_bytes()),
        2 => rng.within(4_102_358_400_000, 4_102_531_200_000),
        _ => rng.within(-86_400_000, 4_102_444_800_000),
    }
}

fn try_one(rng: &mut Rng, zones: &[Zone], tally: &mut Tally) {
    let text = input(rng);
    let dialect = *rng.pick(&[Dialect::Native, Dialect::Go]);
    let schedule = match Schedule::parse(&text, dialect) {
        Ok(schedule) => schedule,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            tally.refused += 1;
            return;
        }
    };
    tally.accepted += 1;
    assert!(
        !schedule.describe().is_empty(),
        "{text:?} has no description"
    );
    let _ = schedule.warnings();
    let zone = rng.pick(zones).clone();
    let dst = *rng.pick(&[DstPolicy::Vixie, DstPolicy::Skip, DstPolicy::Both]);
    let what = format!("{text:?} {dialect:?} {dst:?} {zone}");
    let bound = |rng: &mut Rng| rng.one_in(8).then(|| Timestamp::from_millis(start(rng)));
    let (starts_at, ends_at) = (bound(rng), bound(rng));
    let Ok(table) = Timetable::new(schedule, zone, dst, starts_at, ends_at) else {
        return;
    };
    let mut after = Timestamp::from_millis(start(rng));
    for _ in 0..2 {
        let (fire, days) = table.next_after_counted(after);
        tally.most_days = tally.most_days.max(days);
        assert!(
            days <= MOST_DAYS,
            "{what} from {after}: {days} days examined"
        );
        let Some(fire) = fire else { return };
        assert!(fire > after, "{what} from {after}: {fire} is not after it");
        assert!(
            starts_at.is_none_or(|bound| bound <= fire),
            "{what}: {fire} is too early"
        );
        assert!(
            ends_at.is_none_or(|bound| fire <= bound),
            "{what}: {fire} is too late"
        );
        assert_eq!(
            table.count_between(after, fire, 9),
            (1, false),
            "{what}: {after} to {fire}"
        );
        assert_eq!(
            table.last_at_or_before(fire, after),
            Some(fire),
            "{what}: {after} to {fire}"
        );
        tally.fires += 1;
        after = fire;
    }
}

#[test]
fn a_million_inputs_neither_panic_nor_go_back_nor_search_for_ever() {
    let zones: Vec<_> = zone_names()
        .iter()
        .map(|name| parse_zone(name).expect(name))
        .collect();
    let run = |seed: u64, zones: &[Zone]| {
        let mut tally = Tally::default();
        let mut rng = Rng(seed);
        for _ in 0..INPUTS / THREADS {
            try_one(&mut rng, zones, &mut tally);
        }
        tally
    };
    let zones = zones.as_slice();
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|seed| scope.spawn(move || run(seed, zones)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    let (accepted, refused) = (sum(|t| t.accepted), sum(|t| t.refused));
    let most_days = tallies
        .iter()
        .map(|tally| tally.most_days)
        .max()
        .unwrap_or(0);
    println!(
        "{} inputs: {accepted} accepted, {refused} refused, {} fires, at most {most_days} days examined",
        accepted + refused,
        sum(|t| t.fires)
    );
    assert_eq!(accepted + refused, INPUTS);
    assert!(accepted > INPUTS / 5, "too few inputs are expressions");
    assert!(refused > INPUTS / 5, "too few inputs are not");
}
