//! The same timeout policy in five languages: what it costs to build, to install and to ask, side by side from one run.
//!
//! A cold call is what a worker does for each run: an instance, one call, its end. A warm one is a further call on an instance that is
//! there, as the chunks of a stream have it. Installing includes the compiler, and happens once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sandclock_hooks::{Artifact, FailurePolicy, KnownSecrets, PluginHost, Timings, componentize};
use sandclock_testkit::languages::{Language, Recorded, recorded};
use tokio::runtime::Runtime;

use crate::hooks::{host, runtime};

/// What it is called on the command line.
pub(crate) const NAME: &str = "languages";

/// Calls of each kind and language.
const CALLS: usize = 300;

/// Builds, installs, asks and prints the table.
pub(crate) fn run() -> Result<()> {
    let runtime = runtime()?;
    let host = host(&KnownSecrets::new())?;
    println!(
        "{:<8} {:>12} {:>9} {:>9} {:>11} {:>11} {:>11} {:>11}",
        "", "bytes", "build", "install", "cold p50", "cold p99", "warm p50", "warm p99"
    );
    for language in Language::ALL {
        let row = measure(&runtime, &host, language).with_context(|| language.name())?;
        println!("{row}");
    }
    println!("{CALLS} cold and {CALLS} warm calls each; Rust is built beforehand");
    Ok(())
}

fn measure(runtime: &Runtime, host: &PluginHost, language: Language) -> Result<String> {
    let name = language.name();
    let started = Instant::now();
    let module = language.build();
    let build = started.elapsed();
    let started = Instant::now();
    let bytes = componentize(&module, Some("timeout-plugin"))?;
    let size = bytes.len();
    let artifact = Artifact {
        name: name.to_owned(),
        version: None,
        bytes,
        policy: FailurePolicy::default(),
    };
    runtime.block_on(host.install(artifact))?;
    let install = started.elapsed();

    // One that decides, and not one that finds its configuration wrong.
    let recorded = recorded(name);
    let decided = |one: &&Recorded| {
        let warn = one.decided.get("warn_ms");
        warn.is_some_and(|warn| !warn.is_null())
    };
    let asked = recorded.iter().find(decided);
    let asked = asked.context("an invocation that is decided")?;
    let timings = runtime.block_on(host.time_limits(&asked.run, &asked.past, CALLS))?;
    let Timings { cold, warm } = timings;
    let (cold, warm) = (percentiles(cold)?, percentiles(warm)?);
    Ok(format!(
        "{name:<8} {size:>12} {:>9} {:>9} {:>11} {:>11} {:>11} {:>11}",
        shown(build),
        shown(install),
        shown(cold.0),
        shown(cold.1),
        shown(warm.0),
        shown(warm.1)
    ))
}

/// The median and the 99th percentile.
fn percentiles(mut times: Vec<Duration>) -> Result<(Duration, Duration)> {
    times.sort_unstable();
    ensure!(!times.is_empty(), "nothing was called");
    let at = |part: usize| times.get((times.len() - 1) * part / 100).copied();
    Ok((at(50).unwrap_or_default(), at(99).unwrap_or_default()))
}

/// In the unit that suits it, to three digits.
fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        1.0.. => format!("{seconds:.1} s"),
        0.001.. => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{:.1} µs", seconds * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_sorted_times() {
        let times = (1..=101).rev().map(Duration::from_micros).collect();
        let (median, tail) = percentiles(times).expect("there are some");
        assert_eq!((median.as_micros(), tail.as_micros()), (51, 100));
        assert!(percentiles(Vec::new()).is_err());
    }

    #[test]
    fn times_have_a_unit_that_suits_them() {
        assert_eq!(shown(Duration::from_micros(28)), "28.0 µs");
        assert_eq!(shown(Duration::from_micros(2_500)), "2.50 ms");
        assert_eq!(shown(Duration::from_secs(12)), "12.0 s");
    }
}
