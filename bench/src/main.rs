//! `sandclock-bench [--check] [NAME ...]`: what the product costs, as ratios of two rates from one run.
//!
//! Absolute figures drift from machine to machine and from hour to hour; the ratio of two rates measured in
//! turns does not drift much. `--check` compares each ratio with its floor in `bench/floors.toml`. To add a
//! figure: a module with `pub(crate) fn run() -> anyhow::Result<Vec<Figure>>`, a row in [`BENCHES`], a floor.
//!
//! `languages` compares with nothing of ours and has no floors: it is run when asked for alone, and prints a table of its own.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the clock and prints a table"
)]

mod embedded;
mod figure;
mod floors;
mod herd;
mod hooks;
mod languages;
mod lists;
mod redaction;
mod schedule;
mod spawn;

use std::process::ExitCode;

use anyhow::{Result, bail};

use figure::Figure;

type Bench = fn() -> Result<Vec<Figure>>;

/// Every bench with its name, in order.
const BENCHES: &[(&str, Bench)] = &[
    ("spawn", spawn::run),
    ("schedule", schedule::run),
    ("embedded", embedded::run),
    ("hooks", hooks::run),
    ("redaction", redaction::run),
    ("herd", herd::run),
    ("lists", lists::run),
];

fn main() -> ExitCode {
    if sandclock_server::exec::is_spawner() {
        return sandclock_server::exec::spawner_main();
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == lists::AS_PRODUCT) {
        return sandclock_server::start(|mut arguments| {
            arguments.remove(1);
            arguments
        });
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    if args == [languages::NAME] {
        return languages::run();
    }
    let check = args.iter().any(|arg| arg == "--check");
    let names: Vec<&String> = args.iter().filter(|arg| *arg != "--check").collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| !BENCHES.iter().any(|(known, _)| known == *name))
    {
        let mut known: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
        known.push("languages (alone)");
        bail!(
            "no bench is called {unknown}; there are: {}",
            known.join(", ")
        );
    }
    let mut figures = Vec::new();
    for (name, bench) in BENCHES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("measuring {name} …");
            figures.extend(bench()?);
        }
    }
    println!("\n{}", figure::table(&figures));
    if !check {
        return Ok(());
    }
    let wrong = floors::read()?.judge(&figures, names.is_empty());
    for line in &wrong {
        println!("{line}");
    }
    if !wrong.is_empty() {
        bail!(
            "{} figures are not as bench/floors.toml wants them",
            wrong.len()
        );
    }
    println!("every ratio is at or above its floor");
    Ok(())
}
