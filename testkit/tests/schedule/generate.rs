//! Expressions at random, from a seed, with a count of the operators in them.

use std::collections::BTreeMap;

/// SplitMix64: small, seeded, the same on every machine.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn within(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high - low).expect("a range") + 1;
        low + i64::try_from(self.next() % width).expect("within the range")
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.next() % from.len() as u64;
        &from[usize::try_from(at).expect("an index")]
    }
}

/// How often each operator was written.
pub(crate) type Counts = BTreeMap<&'static str, u32>;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One field: its range and the operators it may have.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Minute,
    Hour,
    Day,
    Month,
    Week,
}

impl Kind {
    fn bounds(self) -> (i64, i64) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Day => (1, 31),
            Self::Month => (1, 12),
            Self::Week => (0, 7),
        }
    }

    fn max_step(self) -> i64 {
        match self {
            Self::Minute => 59,
            Self::Hour => 23,
            Self::Day => 31,
            Self::Month => 12,
            Self::Week => 6,
        }
    }
}

/// An expression of five fields that cronsim and Sandclock both know.
pub(crate) fn expression(rng: &mut Rng, counts: &mut Counts) -> [String; 5] {
    let kinds = [Kind::Minute, Kind::Hour, Kind::Day, Kind::Month, Kind::Week];
    let fields = kinds.map(|kind| field(rng, kind, counts));
    let open = |text: &str| text.starts_with('*');
    let [_, _, day, _, week] = &fields;
    if day != "*" && week != "*" {
        let rule = if open(day) || open(week) {
            "days joined with AND"
        } else {
            "days joined with OR"
        };
        *counts.entry(rule).or_default() += 1;
    }
    fields
}

fn field(rng: &mut Rng, kind: Kind, counts: &mut Counts) -> String {
    let open = match kind {
        Kind::Minute => 8,
        Kind::Hour | Kind::Day | Kind::Week => 3,
        Kind::Month => 2,
    };
    if rng.one_in(open) {
        *counts.entry("*").or_default() += 1;
        return "*".to_owned();
    }
    if !rng.one_in(4) {
        return item(rng, kind, counts, true);
    }
    *counts.entry("list").or_default() += 1;
    let length = rng.within(2, 4);
    // cronsim joins `*/s` of a list like any other item; so does crontab, and so do we, but a
    // leading star would make the whole field open. Both read it alike, so it may stand anywhere.
    let items: Vec<_> = (0..length)
        .map(|_| item(rng, kind, counts, false))
        .collect();
    items.join(",")
}

fn item(rng: &mut Rng, kind: Kind, counts: &mut Counts, alone: bool) -> String {
    let (low, high) = kind.bounds();
    let mut count = |name| *counts.entry(name).or_default() += 1;
    let value = rng.within(low, high);
    match rng.next() % 9 {
        0 => {
            count("a-b");
            let from = rng.within(low, high - 1);
            format!("{from}-{}", rng.within(from + 1, high))
        }
        1 => {
            // cronsim reads a range of one value with a step as `n/s`.
            count("a-b/s");
            let from = rng.within(low, high - 2);
            let to = rng.within(from + 1, high);
            format!("{from}-{to}/{}", rng.within(1, kind.max_step()))
        }
        2 if alone || rng.one_in(3) => {
            count("*/s");
            format!("*/{}", rng.within(1, kind.max_step()))
        }
        3 => {
            count("n/s");
            format!("{value}/{}", rng.within(1, kind.max_step()))
        }
        4 | 5 if kind == Kind::Day => {
            let (name, text) = *rng.pick(&[("L", "L"), ("LW", "LW")]);
            count(name);
            text.to_owned()
        }
        4 | 5 if kind == Kind::Week && rng.one_in(2) => {
            count("nL");
            format!("{value}L")
        }
        4 | 5 if kind == Kind::Week => {
            count("n#k");
            format!("{value}#{}", rng.within(1, 5))
        }
        6 | 7 if kind == Kind::Month => {
            count("month name");
            (*rng.pick(&MONTHS)).to_owned()
        }
        6 | 7 if kind == Kind::Week => {
            count("weekday name");
            (*rng.pick(&WEEKDAYS)).to_owned()
        }
        _ => {
            count("n");
            value.to_string()
        }
    }
}
