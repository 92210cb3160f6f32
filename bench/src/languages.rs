//! The same timeout policy in five languages: what it costs to build, to install and to ask, side by side from one run.
//!
//! A cold call is what a worker does for each run: an instance, one call, its end. A warm one is a further call on an instance that is
//! there, as the chunks of a stream have it. Installing includes the compiler, and happens once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sandclock_hooks::workbench::{Case, Workbench};
use sandclock_hooks::{Artifact, Hook, Meter, componentize};
use sandclock_testkit::languages::{Language, Recorded, recorded};
use serde_json::json;

use crate::hooks::runtime;

/// What it is called on the command line.
pub(crate) const NAME: &str = "languages";

/// Builds, installs, asks and prints the table.
pub(crate) fn run() -> Result<()> {
    let runtime = runtime()?;
    println!(
        "{:<8} {:>12} {:>9} {:>9} {:>11} {:>11} {:>11} {:>11}",
        "", "bytes", "build", "install", "cold p50", "cold p99", "warm p50", "warm p99"
    );
    for language in Language::ALL {
        let row = runtime.block_on(measure(language));
        println!("{}", row.with_context(|| language.name())?);
    }
    println!("calls in processor time; Rust is built beforehand");
    Ok(())
}

async fn measure(language: Language) -> Result<String> {
    let name = language.name();
    let started = Instant::now();
    let module = language.build();
    let build = started.elapsed();
    let started = Instant::now();
    let bytes = componentize(&module, Some("timeout-plugin"))?;
    let size = bytes.len();
    let artifact = Artifact::new(name, None, bytes);
    let workbench = Workbench::open(artifact, Meter::Time).await?;
    let install = started.elapsed();
    let bench = workbench.bench(&[decided(name)?]).await?;
    let mut hooks = bench.hooks.iter();
    let asked = hooks.find(|bench| bench.hook == Hook::TimeoutPolicy);
    let asked = asked.context("it has a timeout policy")?;
    Ok(format!(
        "{name:<8} {size:>12} {:>9} {:>9} {:>11} {:>11} {:>11} {:>11}",
        shown(build),
        shown(install),
        shown(asked.cold.p50),
        shown(asked.cold.p99),
        shown(asked.warm.p50),
        shown(asked.warm.p99)
    ))
}

/// A recorded invocation that is decided, and not one that finds its configuration wrong.
fn decided(plugin: &str) -> Result<Case> {
    let recorded = recorded(plugin);
    let decided = |one: &&Recorded| {
        let warn = one.decided.get("warn_ms");
        warn.is_some_and(|warn| !warn.is_null())
    };
    let asked = recorded.iter().find(decided);
    let asked = asked.context("an invocation that is decided")?;
    let (job, past) = (&asked.run.job, &asked.past);
    let config = job.hooks.first().map(|hook| &hook.config);
    let declared = job.timeout.map(|timeout| timeout.as_millis());
    let case = json!({
        "config": config,
        "declared_ms": declared.map(|declared| u32::try_from(declared).unwrap_or(u32::MAX)),
        "run": { "job": job.name.as_str(), "labels": job.labels },
        "history": {
            "runs": past.runs, "failures": past.failures,
            "p50_ms": past.p50_ms, "p95_ms": past.p95_ms, "p99_ms": past.p99_ms, "max_ms": past.max_ms,
        },
        "expect": {},
    });
    Ok(Case::Timeout(serde_json::from_value(case)?))
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
    fn times_have_a_unit_that_suits_them() {
        assert_eq!(shown(Duration::from_micros(28)), "28.0 µs");
        assert_eq!(shown(Duration::from_micros(2_500)), "2.50 ms");
        assert_eq!(shown(Duration::from_secs(12)), "12.0 s");
    }
}
