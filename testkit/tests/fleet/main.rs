//! The fleet simulation: real workers on the reference model, with everything going wrong that can, in
//! virtual time and from a seed.
//!
//! `SANDCLOCK_SEEDS` says how many storms to run (50), `SANDCLOCK_SEED` where to begin (0). A failure
//! prints the command that repeats it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a panic is how a test fails"
)]

mod checks;
mod herd;
mod hooks;
mod host;
mod late;
mod layers;
mod mutants;
mod process;
mod processes;
mod scenarios;
mod witness;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;

use checks::{Violation, violations};
use sandclock_core::fleet::CountersSnapshot;
use scenarios::{Kind, Scenario};
use world::{Outcome, simulate};

fn number(variable: &str, default: u64) -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "how the command passes its options"
    )]
    let value = std::env::var(variable);
    match value {
        Ok(text) => text.parse().expect("a whole number"),
        Err(_) => default,
    }
}

fn run(kind: Kind, seed: u64) -> (Outcome, Vec<Violation>) {
    let outcome = simulate(Scenario::new(kind, seed), None);
    let found = violations(&outcome);
    (outcome, found)
}

/// What many simulations came to.
#[derive(Default)]
struct Summary {
    failed: BTreeMap<u64, Vec<Violation>>,
    /// The workers' counters, added up.
    counters: BTreeMap<&'static str, u64>,
}

impl Summary {
    fn add(&mut self, seed: u64, outcome: &Outcome, found: Vec<Violation>) {
        if !found.is_empty() {
            self.failed.insert(seed, found);
        }
        for (name, count) in outcome.counters.iter().flat_map(CountersSnapshot::iter) {
            *self.counters.entry(name).or_default() += count;
        }
    }
}

/// Runs the seeds on two threads.
fn run_all(kind: Kind, seeds: std::ops::Range<u64>) -> Summary {
    let summary = Mutex::new(Summary::default());
    let half = |odd: u64| {
        for seed in seeds.clone().filter(|seed| seed % 2 == odd) {
            let (outcome, found) = run(kind, seed);
            summary.lock().unwrap().add(seed, &outcome, found);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| half(1));
        half(0);
    });
    summary.into_inner().unwrap()
}

/// Writes a failed history down; returns where.
fn keep_history(kind: Kind, seed: u64) -> String {
    let path = format!("{}/fleet-{kind:?}-{seed}.txt", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, run(kind, seed).0.text()).expect("a writable target folder");
    path
}

#[track_caller]
fn assert_clean(kind: Kind, summary: &Summary, seeds: u64) {
    for (seed, found) in summary.failed.iter().take(10) {
        eprintln!("cargo xtask fleet --seed {seed}    # {kind:?}");
        eprintln!("    history: {}", keep_history(kind, *seed));
        for violation in found.iter().take(5) {
            eprintln!("    {}: {}", violation.invariant, violation.what);
        }
    }
    let failed = summary.failed.len();
    assert_eq!(failed, 0, "{failed} of {seeds} seeds of {kind:?} failed");
    eprintln!(
        "{seeds} of {kind:?}: no invariant broken; {:?}",
        summary.counters
    );
}

#[test]
fn every_invariant_holds_in_every_storm() {
    let (first, count) = (number("SANDCLOCK_SEED", 0), number("SANDCLOCK_SEEDS", 50));
    let summary = run_all(Kind::Storm, first..first + count);
    assert_clean(Kind::Storm, &summary, count);
    // What never happened was not tested.
    let rare = ["run_panics", "far_marks"];
    let never = summary
        .counters
        .iter()
        .filter(|(name, count)| **count == 0 && !rare.contains(name));
    let never: Vec<_> = never.collect();
    assert!(
        count < 50 || never.is_empty(),
        "in {count} storms there was none of {never:?}"
    );
}

#[test]
fn every_invariant_holds_in_special_weather() {
    let (first, count) = (number("SANDCLOCK_SEED", 0), number("SANDCLOCK_SEEDS", 50));
    let count = (count / 10).max(1);
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Storm) {
        let summary = run_all(kind, first..first + count);
        assert_clean(kind, &summary, count);
    }
}

#[test]
fn a_seed_repeats_bit_for_bit() {
    for seed in 0..5 {
        let texts = [0, 1].map(|_| run(Kind::Storm, seed).0.text());
        assert!(texts[0] == texts[1], "seed {seed} has two histories");
        assert!(texts[0].len() > 10_000, "seed {seed} hardly did anything");
    }
}
