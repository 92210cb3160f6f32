//! Every known defect is found: a simulation that never fails may test nothing.
//!
//! `seeds.txt` remembers where each one is found, and the seeds that once found a real bug. A defect that
//! its seed no longer finds is searched for, and the failure says which line to write.

use std::sync::Mutex;

use sandclock_core::backend::memory::StoreMutant;
use sandclock_core::fleet::FleetMutant;

use super::checks::violations;
use super::scenarios::{Kind, Scenario};
use super::world::{Defect, simulate};

const SEEDS: &str = include_str!("seeds.txt");
/// How many seeds of each kind are searched.
const SEARCH: u64 = 60;

/// The one whose absence breaks nothing: such a claim is settled as lost, and the window guards its start.
const EQUIVALENT: StoreMutant = StoreMutant::DecideWithoutSession;

/// What breaks no invariant of a whole fleet, which gets over it or has a record of it; the conformance suite finds
/// these.
const ELSEWHERE: [StoreMutant; 3] = [
    StoreMutant::BrokenStopsSnapshot,
    StoreMutant::NewerReplaced,
    StoreMutant::TurnNotKept,
];

fn defects() -> Vec<Defect> {
    let store = StoreMutant::ALL
        .into_iter()
        .filter(|mutant| *mutant != EQUIVALENT && !ELSEWHERE.contains(mutant));
    let worker = FleetMutant::ALL.into_iter().map(Defect::Worker);
    store.map(Defect::Store).chain(worker).collect()
}

fn name(defect: Defect) -> String {
    match defect {
        Defect::Store(mutant) => format!("{mutant:?}"),
        Defect::Worker(mutant) => format!("{mutant:?}"),
    }
}

/// The lines of the file: what, kind, seed, invariant.
fn recorded() -> Vec<(String, Kind, u64, String)> {
    let lines = SEEDS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let read = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| format!("{kind:?}") == words[1]);
        (
            words[0].to_owned(),
            kind.expect("a kind"),
            words[2].parse().expect("a seed"),
            words[3].to_owned(),
        )
    };
    lines.map(read).collect()
}

/// The invariants that a simulation breaks; a check inside the worker that fails is one, too.
fn broken(kind: Kind, seed: u64, defect: Option<Defect>) -> Vec<String> {
    let run = move || {
        let outcome = simulate(Scenario::new(kind, seed), defect);
        let found = violations(&outcome);
        found
            .into_iter()
            .map(|violation| violation.invariant.to_owned())
            .collect()
    };
    std::panic::catch_unwind(run).unwrap_or_else(|_| vec!["PANIC".to_owned()])
}

/// The invariants that a simulation breaks with the defect and keeps without it.
fn by_the_defect(kind: Kind, seed: u64, defect: Defect) -> Vec<String> {
    let mut found = broken(kind, seed, Some(defect));
    if !found.is_empty() {
        let anyhow = broken(kind, seed, None);
        found.retain(|invariant| !anyhow.contains(invariant));
    }
    found
}

/// Looks for a seed that finds the defect; the line for the file if there is one.
fn search(defect: Defect) -> Option<String> {
    for seed in 0..SEARCH {
        for kind in Kind::ALL {
            let found = by_the_defect(kind, seed, defect);
            if let Some(invariant) = found.iter().find(|found| *found != "PANIC") {
                return Some(format!("{} {kind:?} {seed} {invariant}", name(defect)));
            }
        }
    }
    None
}

/// What is wrong with what the file says about the defect.
fn complaint(defect: Defect) -> Option<String> {
    let line = recorded()
        .into_iter()
        .find(|(what, ..)| *what == name(defect));
    if let Some((_, kind, seed, invariant)) = line
        && by_the_defect(kind, seed, defect).contains(&invariant)
    {
        return None;
    }
    Some(match search(defect) {
        Some(line) => format!("write into seeds.txt: {line}"),
        None => format!("no seed finds {}", name(defect)),
    })
}

#[test]
fn every_known_defect_is_found() {
    let todo = Mutex::new(defects().into_iter());
    let complaints = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = todo.lock().unwrap().next();
            let Some(defect) = next else { return };
            let complaint = complaint(defect);
            eprintln!(
                "{}: {}",
                name(defect),
                complaint.as_deref().unwrap_or("found")
            );
            complaints.lock().unwrap().extend(complaint);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    eprintln!("{} defects, each found by its seed", defects().len());
}

#[test]
fn the_equivalent_defect_breaks_nothing() {
    for seed in 0..5 {
        let found = broken(Kind::Storm, seed, Some(Defect::Store(EQUIVALENT)));
        assert!(found.is_empty(), "seed {seed}: {found:?}");
    }
}

#[test]
fn seeds_that_found_a_bug_stay_clean() {
    for (_, kind, seed, invariant) in recorded().into_iter().filter(|(what, ..)| what == "bug") {
        let found = broken(kind, seed, None);
        assert!(
            found.is_empty(),
            "seed {seed} of {kind:?} ({invariant}): {found:?}"
        );
    }
}
