//! The single-purpose commands: the long simulation, the long storm and the benchmarks.

use anyhow::Result;

use crate::place::Place;
use crate::{process, tools};

/// What `cargo xtask fleet` was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FleetOptions {
    /// How many seeds to run.
    seeds: u64,
    /// The first of them; 0 unless told.
    first: u64,
}

impl FleetOptions {
    /// Reads `--seeds N [--seed S]`; `--seed S` alone repeats that one seed.
    pub(crate) fn parse(options: &[&str]) -> Result<Self, String> {
        let (mut seeds, mut first) = (None, None);
        for option in options.chunks(2) {
            let [name, value] = option else {
                return Err(format!("{} needs a number", option.join(" ")));
            };
            let number = value
                .parse()
                .map_err(|_| format!("{name} {value}: not a whole number"))?;
            match *name {
                "--seeds" => seeds = Some(number),
                "--seed" => first = Some(number),
                unknown => return Err(format!("fleet does not know {unknown}")),
            }
        }
        match (seeds, first) {
            (None, None) => Err("fleet needs --seeds N, --seed S, or both".to_owned()),
            (seeds, first) => Ok(Self {
                seeds: seeds.unwrap_or(1),
                first: first.unwrap_or(0),
            }),
        }
    }
}

/// Runs the fleet simulation of the testkit; every seed that breaks an invariant is printed by it.
pub(crate) fn fleet(options: &FleetOptions) -> Result<()> {
    let place = Place::find()?;
    let mut command = place.cargo(&["test", "--locked", "--release", "--package"]);
    command
        .args(["sandclock-testkit", "--test", "fleet", "--", "--nocapture"])
        .env("SANDCLOCK_SEEDS", options.seeds.to_string())
        .env("SANDCLOCK_SEED", options.first.to_string());
    process::run(&mut command)
}

/// The long form of something over real processes, of which the short one is among the tests.
#[derive(Debug)]
pub(crate) struct Storm {
    /// Which tests.
    filter: &'static [&'static str],
    /// What makes them long.
    variables: &'static [(&'static str, &'static str)],
}

/// Bad weather: clocks that disagree, workers that are killed and stopped.
pub(crate) const WEATHER: Storm = Storm {
    filter: &["--exact", "storm::each_tick_starts_once_in_a_storm"],
    variables: &[
        ("SANDCLOCK_STORM_JOBS", "200"),
        ("SANDCLOCK_STORM_S", "600"),
        ("SANDCLOCK_STORM_GUST_S", "30"),
    ],
};

/// Stores that go away, one test after the other: the run may go without contact for no longer than it may unless its
/// job says so.
pub(crate) const OUTAGES: Storm = Storm {
    filter: &["outages::", "--test-threads", "1"],
    variables: &[
        ("SANDCLOCK_OUTAGE_S", "180"),
        ("SANDCLOCK_OUTAGE_LOST_AFTER_S", "30"),
    ],
};

/// A receiver of alerts that is down for two minutes.
pub(crate) const ALERTS: Storm = Storm {
    filter: &["alerts::faults::what_fails_while_the_receiver_is_down_arrives_once"],
    variables: &[("SANDCLOCK_ALERTS_DOWN_S", "120")],
};

/// Runs a long form.
pub(crate) fn storm(storm: &Storm) -> Result<()> {
    let place = Place::find()?;
    tools::etcd()?;
    tools::nats()?;
    tools::faketime()?;
    tools::mongod(&place)?;
    // The whole workspace, so that nothing is compiled with other features than for the tests.
    let mut command = place.cargo(&["test", "--locked", "--workspace", "--test", "it"]);
    command
        .args(["--", "--nocapture"])
        .args(storm.filter)
        .envs(storm.variables.iter().copied());
    process::run(&mut command)
}

/// Runs the benchmarks optimised, as the product is.
pub(crate) fn bench(options: &[&str]) -> Result<()> {
    let place = Place::find()?;
    tools::etcd()?;
    let mut command = place.cargo(&["run", "--locked", "--release", "--package"]);
    command.arg("sandclock-bench").arg("--").args(options);
    process::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fleet_takes_a_number_of_seeds_or_one_seed() {
        let parse = FleetOptions::parse;
        assert_eq!(
            parse(&["--seeds", "5000"]),
            Ok(FleetOptions {
                seeds: 5000,
                first: 0
            })
        );
        assert_eq!(
            parse(&["--seed", "17"]),
            Ok(FleetOptions {
                seeds: 1,
                first: 17
            })
        );
        assert_eq!(
            parse(&["--seeds", "9", "--seed", "4"]),
            Ok(FleetOptions { seeds: 9, first: 4 })
        );
        assert!(parse(&[]).is_err());
        assert!(parse(&["--seeds"]).is_err());
        assert!(parse(&["--seeds", "many"]).is_err());
        assert!(parse(&["--speed", "1"]).is_err());
    }
}
