//! Developer commands of Sandclock; `cargo xtask help` lists them.
//!
//! Plain Rust instead of shell scripts, so that every command works the same on a laptop and in CI, is
//! compiled with the rest, and has tests of its own. Nothing here is part of the product.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a developer's command line starts cargo, reads the clock and talks to a person"
)]

mod commands;
mod deploy;
mod languages;
mod place;
mod plugins;
mod process;
mod protos;
mod report;
mod sign_in;
mod suite;
mod tidy;
mod tools;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask test                          everything CI runs; installs the tools it needs below target/tools
cargo xtask check                         only the quick part: format, clippy, tidy, cargo-deny
cargo xtask tidy                          only the rules of this repository
cargo xtask tools                         only installs what test needs, to go offline afterwards
cargo xtask deploy                        only checks what deploy/ is for with systemd, nginx and others
cargo xtask deb                           makes the Debian package of what `cargo build --release` built
cargo xtask plugins                       builds the standard plugins into examples/plugins/artifacts, and writes what
                                          else is generated for plugins
cargo xtask protos                        writes etcd's protocol code into backends/etcd/protos, after an update
cargo xtask fleet --seeds N [--seed S]    the fleet simulation over N seeds, from seed S
cargo xtask storm                         ten minutes of 200 jobs on real servers and workers that are killed and stopped
cargo xtask storm outages                 etcd away for 30 s, MongoDB for three minutes at 20 runs a second, on real ones
cargo xtask storm alerts                  a receiver of alerts that is down for two minutes
cargo xtask bench [--check] [NAME ...]    figures as ratios; --check compares them with bench/floors.toml
cargo xtask bench languages               plugins in five languages side by side: size, build, installation, calls
cargo xtask help                          this text

Exit code: 0 all is well, 1 something failed, 2 wrong usage.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        ["test"] => suite::test(),
        ["check"] => suite::check(),
        ["tidy"] => suite::tidy(),
        ["tools"] => suite::tools(),
        ["deploy"] => suite::deploy(),
        ["deb"] => suite::deb(),
        ["plugins"] => plugins::build(),
        ["protos"] => protos::generate(),
        ["fleet", options @ ..] => match commands::FleetOptions::parse(options) {
            Ok(options) => commands::fleet(&options),
            Err(wrong) => return usage(&wrong),
        },
        ["storm"] => commands::storm(&commands::WEATHER),
        ["storm", "outages"] => commands::storm(&commands::OUTAGES),
        ["storm", "alerts"] => commands::storm(&commands::ALERTS),
        ["bench", options @ ..] => commands::bench(options),
        [unknown, ..] => return usage(&format!("unknown or incomplete command: {unknown}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage(wrong: &str) -> ExitCode {
    println!("error: {wrong}\n\n{HELP}");
    ExitCode::from(2)
}
